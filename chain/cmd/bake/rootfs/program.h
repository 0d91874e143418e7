/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: whether Linux could start a root's program: it is there, may be executed, and is made for this processor, or is
 * a script whose interpreter is so (execve(2)). Must not know: where the root comes from. */
#ifndef KCHAIN_ROOTFS_PROGRAM_H
#define KCHAIN_ROOTFS_PROGRAM_H

#include "rootfs.h"

enum { ROOTFS_INTERPRETERS_MAX = 5 }; /* behind each other, as Linux has it (fs/exec.c) */

/* Of nodes that were sorted. A name without a slash is sought in the folders of `entry`'s PATH, one that does not begin
 * with a slash in its working directory. `name` is what errors call the root. CHAIN_E_ROOT_PROGRAM says what is wrong
 * with which file. */
enum chain_status rootfs_program_check(const struct rootfs *rootfs, const struct rootfs_entry *entry, const char *name,
				       struct chain_error *err) CHAIN_MUST_CHECK;

#endif
