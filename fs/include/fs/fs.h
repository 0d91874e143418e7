/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading an EROFS image that lies in memory, in place (EROFS on-disk format, Linux
 * Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h: superblock at 1024, compact and extended inodes,
 * FLAT_PLAIN and FLAT_INLINE data).
 * Must not know: files, devices, manifests, or who else uses the bytes. Freestanding: needs string.h only.
 *
 * Every byte of the image is hostile: all reads go through one bounds-checked gate. A compressed or chunked file,
 * a device table or an unknown incompatible feature is CHAIN_E_NOT_SUPPORTED with its name. */
#ifndef FS_FS_H
#define FS_FS_H

#include "chain/error.h"

#include <stdbool.h>

struct fs {
	const uint8_t *bytes; /* borrowed for the life of the struct */
	uint64_t bytes_count; /* of the blocks that the superblock claims; never more than was mounted */
	uint32_t block_bytes; /* 512 to 65536, a power of two; our writer writes 4096 */
	uint64_t meta_base;   /* byte offset of the metadata area */
	uint64_t root_nid;
	uint64_t inode_count;
	uint64_t build_time; /* of every compact inode: seconds since the epoch */
	uint32_t build_time_ns;
	uint8_t uuid[16];
};

enum fs_type { FS_REGULAR = 1, FS_DIRECTORY, FS_CHAR_DEVICE, FS_BLOCK_DEVICE, FS_FIFO, FS_SOCKET, FS_SYMLINK };

/* One inode, decoded. Plain data; may be copied. */
struct fs_node {
	uint64_t nid;
	enum fs_type type;
	uint32_t mode; /* permission bits, setuid, setgid and sticky: 07777 */
	uint32_t uid, gid, nlink,
		rdev;   /* rdev: as Linux encodes it, minor & 0xff | major << 8 | (minor & ~0xff) << 12 */
	uint64_t mtime; /* seconds since the epoch */
	uint32_t mtime_ns;
	uint64_t size_bytes;
	uint64_t data_offset; /* of the data in the image; data is contiguous unless tail_offset is set */
	uint64_t tail_offset; /* 0, or where the last partial block lies (FLAT_INLINE) */
};

/* One directory entry. `name` is borrowed from the image, not terminated. */
struct fs_dirent {
	const char *name;
	size_t name_bytes; /* 1 to 255; never "." or ".." , no '/' and no NUL inside */
	uint64_t nid;
	enum fs_type type;
};

/* Checks the superblock (magic, checksum where the feature says so, sizes against `bytes_count`). Borrows `bytes`.
 * `_verified`: the same of metadata whose digest was compared, so that the superblock's own checksum can't tell more.
 * */
enum chain_status fs_mount(struct fs *fs, const void *bytes, uint64_t bytes_count,
			   struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status fs_mount_verified(struct fs *fs, const void *bytes, uint64_t bytes_count,
				    struct chain_error *err) CHAIN_MUST_CHECK;

enum chain_status fs_node_read(const struct fs *fs, uint64_t nid, struct fs_node *out,
			       struct chain_error *err) CHAIN_MUST_CHECK;

/* Resolves an absolute path. Symbolic links are followed (at most 40; never out of the root); with
 * `follow_last` false a final link is returned itself. CHAIN_E_FS_NOT_FOUND, CHAIN_E_FS_NOT_DIRECTORY, CHAIN_E_FS_LOOP.
 */
enum chain_status fs_lookup(const struct fs *fs, const char *path, bool follow_last, struct fs_node *out,
			    struct chain_error *err) CHAIN_MUST_CHECK;

/* Calls `visit` for each entry of a directory except "." and "..", in stored (name) order; stops at the first
 * status that is not CHAIN_OK and returns it. Entries out of order or malformed are an error. */
typedef enum chain_status fs_visit(void *ctx, const struct fs_dirent *entry, struct chain_error *err);
enum chain_status fs_read_dir(const struct fs *fs, const struct fs_node *dir, fs_visit *visit, void *ctx,
			      struct chain_error *err) CHAIN_MUST_CHECK;

/* The file's bytes where they lie: borrowed, block-aligned when our writer wrote them. CHAIN_E_FS_NOT_CONTIGUOUS for an
 * inline tail behind whole blocks (read it with fs_read). An empty file gives a non-null pointer and 0. */
enum chain_status fs_file_bytes(const struct fs *fs, const struct fs_node *node, const uint8_t **out_bytes,
				uint64_t *out_count, struct chain_error *err) CHAIN_MUST_CHECK;

/* Copies [offset, offset+count) of a regular file or the target of a link; reading past the end is an error. */
enum chain_status fs_read(const struct fs *fs, const struct fs_node *node, uint64_t offset, void *buf, uint64_t count,
			  struct chain_error *err) CHAIN_MUST_CHECK;

#endif
