/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the files of fs/ share with each other and with nobody else. */
#ifndef FS_INTERNAL_H
#define FS_INTERNAL_H

#include "fs/erofs_format.h"
#include "fs/fs.h"

enum {
	FS_LINKS_MAX = 40 /* symbolic links followed on one path */,
	FS_LINK_BYTES_MAX = 4095 /* PATH_MAX without its terminator */
};

/* The subject of errors about an image: the reader does not know its name. */
#define FS_SUBJECT "filesystem"

/* The one gate to the image's bytes: [offset, offset + count), borrowed, or null when any of it lies outside. */
static inline const uint8_t *fs_gate(const struct fs *fs, uint64_t offset, uint64_t count)
{
	if (count > fs->bytes_count || offset > fs->bytes_count - count)
		return NULL;
	return fs->bytes + offset;
}

/* The superblock's checksum. `block` is everything from the superblock to the end of its block. */
uint32_t fs_super_checksum(const uint8_t *block, uint64_t count);
/* Of a filesystem whose superblock and size of blocks are known: CHAIN_E_FS_BAD_CHECKSUM, CHAIN_E_TRUNCATED. */
enum chain_status fs_checksum_check(const struct fs *fs, struct chain_error *err) CHAIN_MUST_CHECK;

/* What an inode's disk form says beyond struct fs_node. */
struct fs_inode_place {
	uint64_t offset;      /* of the inode in the image */
	uint32_t inode_bytes; /* 32 or 64 */
	uint32_t xattr_bytes; /* that follow it */
	uint32_t layout;      /* enum fs_erofs_layout */
};
enum chain_status fs_inode_read(const struct fs *fs, uint64_t nid, struct fs_node *out, struct fs_inode_place *place,
				struct chain_error *err) CHAIN_MUST_CHECK;

/* Calls `visit` for every entry, "." and ".." included. */
enum chain_status fs_dir_visit_all(const struct fs *fs, const struct fs_node *dir, fs_visit *visit, void *ctx,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* Binary search; CHAIN_E_FS_NOT_FOUND is returned but not recorded. */
enum chain_status fs_dir_find(const struct fs *fs, const struct fs_node *dir, const char *name, size_t name_bytes,
			      uint64_t *out_nid, struct chain_error *err) CHAIN_MUST_CHECK;

/* Bytewise order, a prefix first. */
int fs_name_compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes);
static inline bool fs_name_is_dot(const char *name, size_t bytes)
{
	return (bytes == 1 && name[0] == '.') || (bytes == 2 && name[0] == '.' && name[1] == '.');
}

const char *fs_type_name(enum fs_type type); /* "a directory" */

#endif
