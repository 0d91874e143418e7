/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a file's bytes in memory without reading them, for files that may be larger than it. What can't be had when it
 * is touched (the file was cut meanwhile, the disk has an error) reads as zeros and is reported by cmd_map_check: no
 * signal ends the process. Must not know: what is read, or by whom. */
#ifndef KCHAIN_CMD_MAP_H
#define KCHAIN_CMD_MAP_H

#include "chain/error.h"

struct cmd_map;

/* The first `bytes` (at least 1) of the file at `fd`, which stays the caller's; `path` names it in errors. New. */
enum chain_status cmd_map_open(const char *path, int fd, size_t bytes, struct cmd_map **out,
			       struct chain_error *err) CHAIN_MUST_CHECK;
void cmd_map_close(struct cmd_map *map);
/* Borrowed until cmd_map_close; not to be written to, nor handed to a system call, which would say EFAULT of a part
 * that is lost. */
const uint8_t *cmd_map_bytes(const struct cmd_map *map);
/* Whether all that was read so far were the file's bytes, and they are still there: else CHAIN_E_FILE_CHANGED or
 * CHAIN_E_IO, in the place of what `err` holds, since what was found in such bytes says nothing. */
enum chain_status cmd_map_check(const struct cmd_map *map, const char *path, struct chain_error *err) CHAIN_MUST_CHECK;
/* Gives the memory back that was filled by what was read; it is filled again when it is read again. */
void cmd_map_forget(const struct cmd_map *map);

#endif
