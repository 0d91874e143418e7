/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the writer's files share: the tree, and which step does what. write_tree.c sorts the nodes and links
 * them, write_layout.c gives each inode and each piece of data its place, write_emit.c makes the bytes. */
#ifndef FS_WRITE_INTERNAL_H
#define FS_WRITE_INTERNAL_H

#include "fs/erofs_format.h"
#include "fs/write.h"

#include "chain/verity.h"

#define FS_NONE UINT32_MAX /* no node */

enum { FS_PATH_BYTES_MAX = 4095, FS_XATTRS_MAX = 256 };

/* One name. Hard links have a node of their own, whose `inode` is another's. Indexes are into fs_writer.nodes, which
 * is in tree order: a directory comes before what it holds, names ascend. */
struct fs_wnode {
	const struct fs_spec *spec; /* null: a directory that nobody added */
	const char *path;           /* the first path_bytes of it */
	uint32_t path_bytes, name_offset;
	uint32_t parent, first_child, last_child, next;
	uint32_t inode; /* the node whose inode it is: itself, unless a hard link */
	uint32_t data;  /* the node that owns its data: itself, unless stored once for both */
	uint32_t nlink;
	uint32_t number; /* of the inode, from 1 */
	uint32_t xattr_bytes;
	uint32_t inline_bytes; /* at the end of its data, stored behind the inode: in the metadata only */
	bool extended;
	uint8_t digest[CHAIN_LOCATED_BYTES]; /* of the data it owns, when the spec has none: known once the data was
					       emitted */
	uint64_t nid, data_offset, size_bytes, align_bytes;
};

struct fs_writer {
	const struct fs_spec **specs;
	size_t spec_count, spec_capacity;
	struct fs_wnode *nodes;
	size_t node_count, node_capacity;
	struct fs_placed *placed;
	size_t placed_count;
	uint64_t build_time; /* the root's; inodes with the same are compact */
	uint32_t build_time_ns;
	uint64_t inode_count, meta_bytes, image_bytes;
	bool laid_out;
};

/* "/" has an empty path here. */
enum chain_status fs_writer_make_tree(struct fs_writer *writer, struct chain_error *err) CHAIN_MUST_CHECK;

enum fs_type fs_wnode_type(const struct fs_wnode *node);

/* What of the image its data belongs to, in the order in which these lie. All but the last are metadata. */
enum fs_area_kind { FS_AREA_DIRECTORIES, FS_AREA_LINKS, FS_AREA_META_FILES, FS_AREA_FILES, FS_AREA_NONE };
enum fs_area_kind fs_wnode_area(const struct fs_wnode *node);

/* A directory's entries in stored order, "." and ".." among its children. */
struct fs_wdir {
	const struct fs_writer *writer;
	uint32_t dir, child;
	unsigned dots; /* of the two, how many have been taken */
};
struct fs_wentry {
	const char *name;
	uint32_t name_bytes;
	uint64_t nid;
	enum fs_type type;
};
void fs_wdir_start(struct fs_wdir *it, const struct fs_writer *writer, uint32_t dir);
bool fs_wdir_peek(const struct fs_wdir *it, struct fs_wentry *out);
void fs_wdir_take(struct fs_wdir *it);
/* Takes as many entries as fit one block: their number and the bytes they fill. */
uint32_t fs_wdir_take_block(struct fs_wdir *it, uint32_t *out_bytes);

/* Inline attributes of a spec (nullable). */
enum chain_status fs_xattrs_check(const struct fs_spec *spec, struct chain_error *err) CHAIN_MUST_CHECK;
uint32_t fs_xattrs_bytes(const struct fs_spec *spec);
/* Fills fs_xattrs_bytes, sorted by name. */
void fs_xattrs_write(const struct fs_spec *spec, uint8_t *buf);

#endif
