/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the nodes and inodes of a tree of layers in memory, and finding a name in a folder whatever number of names it
 * has. Must not know: what entries, whiteouts and paths mean. */
#ifndef KCHAIN_ROOTFS_LAYERS_TREE_H
#define KCHAIN_ROOTFS_LAYERS_TREE_H

#include "layers.h"

enum { LAYERS_PATH_MAX = 4095, LAYERS_NAME_MAX = 255, LAYERS_DEPTH_MAX = LAYERS_PATH_MAX / 2 };

struct layers_inode {
	enum fs_type type;
	uint32_t mode, uid, gid, rdev, mtime_ns;
	uint64_t mtime, size_bytes;
	char *target;            /* owned */
	struct fs_xattr *xattrs; /* owned, one piece of memory with all that they point to */
	size_t xattr_count;
	struct rootfs_bytes bytes;
	uint32_t names; /* how many nodes have it */
};

struct layers_node {
	struct layers_node *parent, *children, *next, *before; /* no order among children */
	struct layers_node *chain;                             /* of the same place in the table */
	struct layers_inode *inode;
	uint32_t depth; /* the root's is 0 */
	uint32_t layer; /* that changed it, or something below it, last */
	char name[];
};

struct layers {
	const char *name;
	struct layers_node *root, **table;
	size_t count, slots; /* nodes without the root; a power of two */
	uint64_t entries;
	uint32_t number; /* of the layer */
	bool whiteouts;
};

/* What an entry says, without a node; null: no memory. */
struct layers_inode *layers_inode_new(const struct layers_entry *entry);
/* Takes over what an entry says of a folder; false, and nothing is changed: no memory. */
bool layers_inode_set(struct layers_inode *inode, const struct layers_entry *entry);
/* One that no node has; null is fine. */
void layers_inode_drop(struct layers_inode *inode);

struct layers_node *layers_find(const struct layers *layers, const struct layers_node *folder, const char *name,
				size_t bytes);
/* Of the current layer. Null: no memory. */
struct layers_node *layers_node_new(struct layers *layers, struct layers_node *folder, const char *name, size_t bytes,
				    struct layers_inode *inode);
/* With all that is below it; not the root. */
void layers_node_remove(struct layers *layers, struct layers_node *node);

#endif
