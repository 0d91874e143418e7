/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see layers_tree.h; and the nodes as struct rootfs has them. */

#include "layers_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- inodes --- */

/* One piece of memory: the attributes, and behind them their names and values. Null: there are none, or no memory. */
static struct fs_xattr *xattrs_copy(const struct fs_xattr *from, size_t count)
{
	size_t room = count * sizeof(*from);

	for (size_t i = 0; i < count; i++)
		room += strlen(from[i].name) + 1 + from[i].value_bytes;
	struct fs_xattr *list = count > 0 ? malloc(room) : NULL;

	if (!list)
		return NULL;
	char *at = (char *)(list + count);

	for (size_t i = 0; i < count; i++) {
		const size_t name_bytes = strlen(from[i].name) + 1;

		list[i] = (struct fs_xattr){ .name = at, .value = at + name_bytes, .value_bytes = from[i].value_bytes };
		memcpy(at, from[i].name, name_bytes);
		if (from[i].value_bytes > 0)
			memcpy(at + name_bytes, from[i].value, from[i].value_bytes);
		at += name_bytes + from[i].value_bytes;
	}
	return list;
}

bool layers_inode_set(struct layers_inode *inode, const struct layers_entry *entry)
{
	struct fs_xattr *xattrs = xattrs_copy(entry->xattrs, entry->xattr_count);

	if (!xattrs && entry->xattr_count > 0)
		return false;
	free(inode->xattrs);
	inode->xattrs = xattrs;
	inode->xattr_count = entry->xattr_count;
	inode->type = entry->type;
	inode->mode = entry->mode;
	inode->uid = entry->uid;
	inode->gid = entry->gid;
	inode->rdev = entry->rdev;
	inode->mtime = entry->mtime;
	inode->mtime_ns = entry->mtime_ns;
	inode->size_bytes = entry->type == FS_REGULAR ? entry->size_bytes : 0;
	inode->bytes = entry->bytes;
	return true;
}

struct layers_inode *layers_inode_new(const struct layers_entry *entry)
{
	struct layers_inode *inode = calloc(1, sizeof(*inode));
	const bool link = entry->type == FS_SYMLINK;

	if (!inode)
		return NULL;
	inode->target = link ? strdup(entry->target) : NULL;
	if ((link && !inode->target) || !layers_inode_set(inode, entry)) {
		layers_inode_drop(inode);
		return NULL;
	}
	return inode;
}

void layers_inode_drop(struct layers_inode *inode)
{
	if (!inode)
		return;
	free(inode->target);
	free(inode->xattrs);
	free(inode);
}

/* --- nodes --- */

/* FNV-1a over the folder's address and the name. */
static size_t slot_of(const struct layers *layers, const struct layers_node *folder, const char *name, size_t bytes)
{
	uint64_t hash = 0xcbf29ce484222325 ^ ((uintptr_t)folder >> 4);

	hash *= 0x100000001b3;
	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3;
	return (size_t)(hash ^ hash >> 32) & (layers->slots - 1);
}

struct layers_node *layers_find(const struct layers *layers, const struct layers_node *folder, const char *name,
				size_t bytes)
{
	struct layers_node *node = layers->table[slot_of(layers, folder, name, bytes)];

	while (node && (node->parent != folder || strncmp(node->name, name, bytes) != 0 || node->name[bytes] != '\0'))
		node = node->chain;
	return node;
}

static void table_add(struct layers *layers, struct layers_node *node)
{
	struct layers_node **slot = &layers->table[slot_of(layers, node->parent, node->name, strlen(node->name))];

	node->chain = *slot;
	*slot = node;
}

/* Twice as large; without memory for it, it stays as it is, and finding takes longer. */
static void table_grow(struct layers *layers)
{
	struct layers old = *layers;
	struct layers_node **table = calloc(old.slots * 2, sizeof(struct layers_node *));

	if (!table)
		return;
	layers->table = table;
	layers->slots = old.slots * 2;
	for (size_t i = 0; i < old.slots; i++) {
		for (struct layers_node *node = old.table[i], *next; node; node = next) {
			next = node->chain;
			table_add(layers, node);
		}
	}
	free(old.table);
}

struct layers_node *layers_node_new(struct layers *layers, struct layers_node *folder, const char *name, size_t bytes,
				    struct layers_inode *inode)
{
	struct layers_node *node = malloc(sizeof(*node) + bytes + 1);

	if (!node)
		return NULL;
	if (layers->count >= layers->slots)
		table_grow(layers);
	*node = (struct layers_node){ .parent = folder,
				      .next = folder->children,
				      .inode = inode,
				      .depth = folder->depth + 1,
				      .layer = layers->number };
	memcpy(node->name, name, bytes);
	node->name[bytes] = '\0';
	if (node->next)
		node->next->before = node;
	folder->children = node;
	inode->names++;
	layers->count++;
	table_add(layers, node);
	return node;
}

static void node_free(struct layers *layers, struct layers_node *node)
{
	struct layers_node **slot = &layers->table[slot_of(layers, node->parent, node->name, strlen(node->name))];

	while (*slot != node)
		slot = &(*slot)->chain;
	*slot = node->chain;
	if (--node->inode->names == 0)
		layers_inode_drop(node->inode);
	layers->count--;
	free(node);
}

/* Without recursion: what is in a folder is taken out first. */
void layers_node_remove(struct layers *layers, struct layers_node *node)
{
	struct layers_node *at = node;

	*(node->before ? &node->before->next : &node->parent->children) = node->next;
	if (node->next)
		node->next->before = node->before;
	for (;;) {
		while (at->children)
			at = at->children;
		if (at == node)
			break;
		struct layers_node *folder = at->parent;

		folder->children = at->next;
		if (at->next)
			at->next->before = NULL;
		node_free(layers, at);
		at = folder;
	}
	node_free(layers, node);
}

/* --- the tree --- */

enum chain_status layers_new(struct layers **out, const char *name, struct chain_error *err)
{
	enum { SLOTS = 1024 };
	const struct layers_entry root = { .type = FS_DIRECTORY, .mode = 0755 };
	struct layers *layers = calloc(1, sizeof(*layers));

	*out = layers;
	if (!layers)
		return chain_fail_no_memory(err, name, sizeof(*layers));
	layers->name = name;
	layers->slots = SLOTS;
	layers->table = calloc(SLOTS, sizeof(struct layers_node *));
	layers->root = calloc(1, sizeof(*layers->root) + 1);
	if (layers->root)
		layers->root->inode = layers_inode_new(&root);
	if (layers->table && layers->root && layers->root->inode)
		return CHAIN_OK;
	layers_free(layers);
	*out = NULL;
	return chain_fail_no_memory(err, name, SLOTS * sizeof(struct layers_node *));
}

void layers_free(struct layers *layers)
{
	if (!layers)
		return;
	while (layers->table && layers->root && layers->root->children)
		layers_node_remove(layers, layers->root->children);
	if (layers->root)
		layers_inode_drop(layers->root->inode);
	free(layers->root);
	free(layers->table);
	free(layers);
}

/* --- nodes of a root --- */

/* A path that grows and shrinks while the tree is walked. */
struct emit {
	struct rootfs *out;
	const char *name;
	struct emitted {
		const struct layers_inode *inode;
		const char *path;
	} * first; /* of inodes with several names, by inode; open addressing */
	size_t slots;
	char path[LAYERS_PATH_MAX + 2];
};

static enum chain_status emit_no_memory(const struct emit *emit, uint64_t bytes, struct chain_error *err)
{
	return chain_fail_no_memory(err, emit->name, bytes);
}

/* The path that an inode has got already; a new row when it is the first. */
static struct emitted *emitted_find(const struct emit *emit, const struct layers_inode *inode)
{
	size_t at = ((uintptr_t)inode >> 4) * 0x9e3779b97f4a7c15 >> 20 & (emit->slots - 1);

	while (emit->first[at].inode && emit->first[at].inode != inode)
		at = (at + 1) & (emit->slots - 1);
	return &emit->first[at];
}

static enum chain_status inode_copy(const struct emit *emit, const struct layers_inode *inode, struct rootfs_node *node,
				    struct chain_error *err)
{
	struct fs_spec *spec = &node->spec;

	spec->mode = inode->mode;
	spec->uid = inode->uid;
	spec->gid = inode->gid;
	spec->rdev = inode->rdev;
	spec->mtime = inode->mtime;
	spec->mtime_ns = inode->mtime_ns;
	spec->size_bytes = inode->size_bytes;
	node->bytes = inode->bytes;
	if (inode->target) {
		spec->target = rootfs_text(emit->out, inode->target, strlen(inode->target), err);
		if (!spec->target)
			return CHAIN_E_NO_MEMORY;
	}
	if (inode->xattr_count == 0)
		return CHAIN_OK;
	struct fs_xattr *list = rootfs_memory(emit->out, inode->xattr_count * sizeof(*list), err);

	if (!list)
		return CHAIN_E_NO_MEMORY;
	spec->xattrs = list;
	spec->xattr_count = inode->xattr_count;
	for (size_t i = 0; i < inode->xattr_count; i++) {
		const struct fs_xattr *from = &inode->xattrs[i];

		list[i].name = rootfs_text(emit->out, from->name, strlen(from->name), err);
		list[i].value = rootfs_text(emit->out, from->value, from->value_bytes, err);
		list[i].value_bytes = from->value_bytes;
		if (!list[i].name || !list[i].value)
			return CHAIN_E_NO_MEMORY;
	}
	return CHAIN_OK;
}

static enum chain_status node_emit(const struct emit *emit, const struct layers_inode *inode, struct chain_error *err)
{
	struct rootfs_node *node = rootfs_add(emit->out, emit->path, inode->type, err);
	struct emitted *first = inode->names > 1 && node ? emitted_find(emit, inode) : NULL;

	if (!node)
		return CHAIN_E_NO_MEMORY;
	if (first && first->inode) {
		node->spec.hard_link = first->path;
		return CHAIN_OK;
	}
	if (first)
		*first = (struct emitted){ inode, node->spec.path };
	return inode_copy(emit, inode, node, err);
}

static int by_name(const void *a, const void *b)
{
	const struct layers_node *x = *(struct layers_node *const *)a, *y = *(struct layers_node *const *)b;

	return strcmp(x->name, y->name);
}

/* New; null: no memory, or no children. */
static struct layers_node **children_sorted(const struct layers_node *folder, size_t *out_count)
{
	size_t count = 0;

	for (const struct layers_node *node = folder->children; node; node = node->next)
		count++;
	struct layers_node **list = count > 0 ? malloc(count * sizeof(struct layers_node *)) : NULL;

	*out_count = count;
	count = 0;
	for (struct layers_node *node = folder->children; list && node; node = node->next)
		list[count++] = node;
	if (list)
		qsort(list, count, sizeof(struct layers_node *), by_name);
	return list;
}

/* Depth is bounded by the length of a path. */
static enum chain_status folder_emit(struct emit *emit, const struct layers_node *folder, size_t path_bytes,
				     struct chain_error *err)
{
	size_t count;
	struct layers_node **list = children_sorted(folder, &count);
	enum chain_status status =
		list || count == 0 ? CHAIN_OK : emit_no_memory(emit, count * sizeof(struct layers_node *), err);

	for (size_t i = 0; !status && i < count; i++) {
		const size_t name_bytes = strlen(list[i]->name), bytes = path_bytes + 1 + name_bytes;

		if (bytes > LAYERS_PATH_MAX) {
			status = CHAIN_FAIL(err, LIMIT, .subject = emit->name, .detail = "bytes of path",
					    .value = bytes, .limit = LAYERS_PATH_MAX);
			break;
		}
		emit->path[path_bytes] = '/';
		memcpy(emit->path + path_bytes + 1, list[i]->name, name_bytes + 1);
		status = node_emit(emit, list[i]->inode, err);
		if (!status && list[i]->children)
			status = folder_emit(emit, list[i], bytes, err);
	}
	free(list);
	return status;
}

enum chain_status layers_emit(const struct layers *layers, struct rootfs *out, struct chain_error *err)
{
	struct emit emit = { .out = out, .name = layers->name, .slots = 16, .path = "/" };

	while (emit.slots < layers->count * 2)
		emit.slots *= 2;
	emit.first = calloc(emit.slots, sizeof(*emit.first));
	enum chain_status status = emit.first ? CHAIN_OK : emit_no_memory(&emit, emit.slots * sizeof(*emit.first), err);

	if (!status)
		status = node_emit(&emit, layers->root->inode, err);
	emit.path[0] = '\0';
	if (!status)
		status = folder_emit(&emit, layers->root, 0, err);
	free(emit.first);
	return status;
}
