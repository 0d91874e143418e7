/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the program that a root is for: starting it as a child, and what becomes of it. Must not know: how the system
 * was set up; what is told of it and to whom. */
#ifndef INIT_APP_H
#define INIT_APP_H

#include "spec.h"
#include "users.h"

#include <sys/types.h>

struct init_app {
	pid_t pid;
	int out, err; /* our ends of its standard output and error; -1: ended */
};

/* Starts it: as the user, in the folder, with the environment, in a session of its own, with nothing to read on
 * standard input. CHAIN_E_IO says what was not to be had, of the program, its interpreter, its folder or its user. */
enum chain_status init_app_start(const struct init_spec *spec, const struct init_user *user, struct init_app *out,
				 struct chain_error *err) CHAIN_MUST_CHECK;

/* A shell of the root's on the console, as root. CHAIN_E_IO: it has none. */
enum chain_status init_shell_start(const struct init_spec *spec, struct init_app *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;

/* Why a file can't be executed though it was found: what its first bytes say. `error`: errno of execve. */
void init_exec_why(const char *path, int error, char *out, size_t size);

#endif
