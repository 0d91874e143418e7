/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: laying out and writing an EROFS image from a list of nodes: uncompressed, 4 KiB blocks, metadata first, then
 * data. Deterministic: the same nodes in any order give the same bytes. Metadata, which fs_writer_meta_bytes covers:
 * superblock, inodes with their attributes, directories, targets of symbolic links, files that are to lie there (these
 * three behind their inodes as far as they fit: FLAT_INLINE); so the digest of these bytes vouches for the whole name
 * space. Data: all other regular files, in tree order, each from a block of its own (FLAT_PLAIN). Files whose given
 * digests and sizes are equal are stored once, unless room is reserved behind them. Must not know: directories of the
 * host, the manifest's form. Host only (uses malloc). No I/O of its own.
 *
 * Use: fs_writer_new, fs_writer_add for each node, fs_writer_layout (sizes and places are final),
 * fs_writer_emit (bytes go to the sink), fs_writer_free. */
#ifndef FS_WRITE_H
#define FS_WRITE_H

#include "fs/fs.h"

enum { FS_BLOCK_BYTES = 4096 };

struct fs_xattr {
	const char *name;
	const void *value;
	size_t value_bytes;
};

/* What the caller says of a node. Borrowed until fs_writer_free, strings included. */
struct fs_spec {
	const char *
		path; /* absolute, no "." or "..", no trailing slash; parents that are not added are made (mode 0755) */
	enum fs_type type;
	uint32_t mode, uid, gid, rdev;
	uint64_t mtime;
	uint32_t mtime_ns;
	const char *target;    /* symbolic link: its text; else null */
	const char *hard_link; /* path of an added node of the same type, no directory, this is another name of; else
				  null. Only path and type count then */
	uint64_t size_bytes;   /* regular file */
	const uint8_t *digest; /* regular file: digest and locator (chain/verity.h), 40 bytes, when known before layout;
				  equal ones are stored once. Null: not looked for */
	uint64_t align_bytes; /* regular file: 0 or a power of two, at least 4096: where its data starts in the image */
	uint64_t reserve_bytes; /* regular file: zeroed room kept behind its data */
	bool in_metadata; /* regular file: its data, in one piece, is part of the metadata, aligned to nothing where it
			     fits behind its inode, and stored for it alone; needs align and reserve to be 0 */
	const struct fs_xattr *xattrs;
	size_t xattr_count;
	void *cookie; /* handed to the source */
};

/* Supplies bytes [offset, offset+count) of a regular file; called in ascending order, in pieces of at most 1 MiB. */
typedef enum chain_status fs_source(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
				    struct chain_error *err);
/* Takes bytes at an offset of the image. Calls ascend, except the superblock, which comes last. Gaps are zero
 * (the caller's file is sparse or zeroed, and of fs_writer_image_bytes: room reserved at the end is such a gap). The
 * superblock comes as the whole first block, after everything else, so a torn image can't be mounted. */
typedef enum chain_status fs_sink(void *ctx, uint64_t offset, const void *buf, size_t count, struct chain_error *err);
/* May bring a whole file that lies behind the metadata, of one byte at least, to `offset` of the image by itself, past
 * source and sink (a copy within the kernel, say). Then *out_placed is true and out_digest digest and locator of what
 * lies there. Calls ascend. */
typedef enum chain_status fs_place(void *ctx, const struct fs_spec *spec, uint64_t offset, bool *out_placed,
				   uint8_t out_digest[40], struct chain_error *err);

/* Where a file or link came to lie; valid after layout. `path` as given. */
struct fs_placed {
	const struct fs_spec *spec;
	uint64_t nid, data_offset, size_bytes;
	bool shared; /* another node owns the bytes */
	const uint8_t
		*digest; /* 40 bytes, of the content (a link's: 32, of its target's text): what was given, or, after
				  emit, as it went by */
};

struct fs_writer;
enum chain_status fs_writer_new(struct fs_writer **out, struct chain_error *err) CHAIN_MUST_CHECK;
void fs_writer_free(struct fs_writer *writer);
enum chain_status fs_writer_add(struct fs_writer *writer, const struct fs_spec *spec,
				struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status fs_writer_layout(struct fs_writer *writer, struct chain_error *err) CHAIN_MUST_CHECK;
/* After layout: the whole image and its leading metadata in bytes (both multiples of 4096), and the placed files. */
uint64_t fs_writer_image_bytes(const struct fs_writer *writer);
uint64_t fs_writer_meta_bytes(const struct fs_writer *writer);
/* Files and links sorted by path (bytewise); borrowed until fs_writer_free. */
const struct fs_placed *fs_writer_placed(const struct fs_writer *writer, size_t *out_count);
/* Emits the image in one pass over the data. A file whose digest was not given is hashed as it goes by, and
 * fs_writer_placed has the digest afterwards; one that was given is believed. The UUID is made of SHA-256 over the
 * metadata (UUID and checksum zeroed) and the digests of the files in the order of their data, so it changes whenever
 * any content does. Needs 2 MiB of memory beyond the nodes. `place` may be null. */
enum chain_status fs_writer_emit(struct fs_writer *writer, fs_source *source, fs_sink *sink, fs_place *place, void *ctx,
				 struct chain_error *err) CHAIN_MUST_CHECK;
#endif
