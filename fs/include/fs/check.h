/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: checking a whole EROFS image, as fsck does: everything that is reachable from the root, and that it adds up.
 * Must not know: manifests and digests (the contents of files are not looked at). Uses malloc, in proportion to the
 * number of inodes; time is linear in the size of the image, whatever its bytes say, but for one sort of what lies
 * where. No recursion. */
#ifndef FS_CHECK_H
#define FS_CHECK_H

#include "fs/fs.h"

/* What was found. Hard links count once. */
struct fs_check_report {
	uint64_t inode_count, directory_count, file_count, link_count, device_count;
	uint64_t entry_count; /* names, "." and ".." left out */
	uint64_t file_bytes;
};

/* `fs` is mounted. Checks every reachable inode (form, type, layout, data inside the image, attributes, times), every
 * directory (order, names, "." and "..", types as in the inodes, one parent each), link targets, link counts, the
 * superblock's checksum and count of inodes, and that no bytes are metadata of two inodes, or metadata of one and data
 * of another. `out` may be null; it is filled on success. */
enum chain_status fs_check(const struct fs *fs, struct fs_check_report *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
