/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a root's nodes as an EROFS that Linux can use in place. Must not know: where it will lie. */
#ifndef KCHAIN_ROOTFS_WRITE_H
#define KCHAIN_ROOTFS_WRITE_H

#include "rootfs.h"

/* Writes it to an empty file; *out_bytes is how long it is. Names are UTF-8 (CHAIN_E_BAKE_PATH). The nodes are as they
 * were, in any order. */
enum chain_status rootfs_write(const struct rootfs *rootfs, int fd, uint64_t *out_bytes,
			       struct chain_error *err) CHAIN_MUST_CHECK;

/* A file without a name in `folder`, or in the one for temporary files where it can't be had there; -1: see `err`. */
int rootfs_unnamed(const char *folder, struct chain_error *err);

#endif
