/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine as a running Linux knows it, by its files in /sys: the firmware's memory map, processors, tables.
 * Must not know: what is started on it. */
#ifndef NEXT_MACHINE_H
#define NEXT_MACHINE_H

#include "chain/bootinfo.h"

#include <jansson.h>

/* A whole file as text, terminated, without a newline at its end; false: it is not there, can't be read, or has `size`
 * bytes and more. */
bool next_text_read(const char *path, char *out, size_t size);

/* `root`: what stands before "/sys", in tests; else "". CHAIN_E_IO names the file that is lacking; the caller frees
 * `out` also after a failure. */
enum chain_status next_machine_read(const char *root, struct chain_bootinfo *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* What the handoff `parent` (nullable) calls the root of this Linux is memory again when this Linux is gone. */
enum chain_status next_machine_free_root(struct chain_bootinfo *info, const json_t *parent,
					 struct chain_error *err) CHAIN_MUST_CHECK;

#endif
