/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the parts of Linux that an init sets up: file systems, modules, the root, interfaces. Each function does one
 * part and returns the first failure. Must not know: who asks for it. */
#ifndef INIT_SYSTEM_H
#define INIT_SYSTEM_H

#include "interfaces.h"
#include "spec.h"

/* A failed system call: CHAIN_E_IO with `subject` and the words of errno. */
enum chain_status init_fail(struct chain_error *err, const char *subject);

/* A whole file as text, terminated: new, the caller frees. `max_bytes` bounds it (CHAIN_E_LIMIT). CHAIN_E_IO. */
enum chain_status init_read(const char *path, uint64_t max_bytes, char **out, uint64_t *out_bytes,
			    struct chain_error *err) CHAIN_MUST_CHECK;
/* Takes the place of what has that name. */
enum chain_status init_write_file(const char *path, const char *text, size_t bytes, unsigned mode,
				  struct chain_error *err) CHAIN_MUST_CHECK;

/* proc, sys, dev, for init's own use. */
enum chain_status init_mounts_early(struct chain_error *err) CHAIN_MUST_CHECK;

/* Loads them one after another; one that the kernel has already is none too many. */
enum chain_status init_modules_load(const struct init_spec *spec, struct chain_error *err) CHAIN_MUST_CHECK;

/* Mounts the root, with what can be written to over it, and makes it "/"; what the initial file system held is gone
 * then. */
enum chain_status init_root_enter(const struct init_spec *spec, struct chain_error *err) CHAIN_MUST_CHECK;

/* Addresses and routes, by the kernel's netlink; each interface is found by its MAC address, and waited for. *out_index
 * has room for one number for each, by which the kernel knows it. */
enum chain_status init_network_up(const struct init_interfaces *interfaces, int *out_index,
				  struct chain_error *err) CHAIN_MUST_CHECK;
/* The address is not ours any more. */
enum chain_status init_network_remove(int index, uint32_t address, uint32_t mask,
				      struct chain_error *err) CHAIN_MUST_CHECK;

/* /etc/resolv.conf, /etc/hosts and the hostname: where /etc can't be written, files of /run are bound over those that
 * are there. */
enum chain_status init_names_set(const struct init_interfaces *interfaces, const char *hostname,
				 struct chain_error *err) CHAIN_MUST_CHECK;

/* How much of what can be written to the root is used, in percent, and how much there is. False: nothing can. */
bool init_root_fill(unsigned *out_percent, uint64_t *out_bytes);

#endif
