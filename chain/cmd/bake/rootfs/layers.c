/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the tree of layers: names, inodes, and how an entry changes them. */

#include "layers.h"
#include "layers_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char whiteout[] = ".wh.", opaque[] = ".wh..wh..opq";

/* Subject: the archive and its entry. */
static void subject_make(const struct layers *layers, const char *path, char out[CHAIN_SUBJECT_BYTES])
{
	(void)snprintf(out, CHAIN_SUBJECT_BYTES, "%s: %s", layers->name, chain_is_utf8(path) ? path : "a name");
}

static enum chain_status refuse(const struct layers *layers, const char *path, enum chain_status status,
				const char *detail, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];

	subject_make(layers, path, subject);
	return chain_fail_text(err, status, subject, detail);
}

static enum chain_status limit(const struct layers *layers, const char *path, const char *what, uint64_t value,
			       uint64_t most, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];

	subject_make(layers, path, subject);
	return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = what, .value = value, .limit = most);
}

/* A node and all folders above it are of this layer. */
static void touch(struct layers *layers, struct layers_node *node)
{
	for (; node && node->layer != layers->number; node = node->parent)
		node->layer = layers->number;
}

static enum chain_status no_memory(const struct layers *layers, struct chain_error *err)
{
	return chain_fail_no_memory(err, layers->name, sizeof(struct layers_node) + sizeof(struct layers_inode));
}

/* --- names --- */

/* The next part of a path that means something, "." parts left out. False: there is none. */
static bool part_next(const char **at, const char **out_part, size_t *out_bytes)
{
	do {
		*at += strspn(*at, "/");
		*out_part = *at;
		*out_bytes = strcspn(*at, "/");
		*at += *out_bytes;
	} while (*out_bytes == 1 && **out_part == '.');
	return *out_bytes > 0;
}

static bool is_dots(const char *part, size_t bytes)
{
	return bytes == 2 && part[0] == '.' && part[1] == '.';
}

/* Of an entry or of what it is a hard link to. */
static enum chain_status path_check(const struct layers *layers, const char *path, const char *entry_path,
				    struct chain_error *err)
{
	const char *at = path, *part;
	size_t bytes;

	if (!*path)
		return refuse(layers, entry_path, CHAIN_E_ROOT_NAME, "an empty name", err);
	if (!chain_is_utf8(path))
		return refuse(layers, entry_path, CHAIN_E_ROOT_NAME, "a name that is not UTF-8", err);
	if (*path == '/')
		return refuse(layers, entry_path, CHAIN_E_ROOT_NAME, "an absolute name", err);
	if (strlen(path) > LAYERS_PATH_MAX)
		return limit(layers, entry_path, "bytes of path", strlen(path), LAYERS_PATH_MAX, err);
	while (part_next(&at, &part, &bytes)) {
		if (is_dots(part, bytes))
			return refuse(layers, entry_path, CHAIN_E_ROOT_NAME,
				      "a name with '..' in it, which may lead out of the tree", err);
		if (bytes > LAYERS_NAME_MAX)
			return limit(layers, entry_path, "bytes of name", bytes, LAYERS_NAME_MAX, err);
	}
	return CHAIN_OK;
}

/* The last part of a path, which begins there; what is before it leads to its folder. Empty: the root itself. */
static const char *last_part(const char *path, size_t *out_bytes)
{
	const char *at = path, *part, *last = path + strlen(path);
	size_t bytes;

	*out_bytes = 0;
	while (part_next(&at, &part, &bytes)) {
		last = part;
		*out_bytes = bytes;
	}
	return last;
}

bool layers_is_whiteout(const struct layers *layers, const char *path)
{
	size_t bytes;
	const char *name = last_part(path, &bytes);

	return layers->whiteouts && bytes >= strlen(whiteout) && strncmp(name, whiteout, strlen(whiteout)) == 0;
}

/* --- paths --- */

/* A walk along a path: where it is, and how it got there. */
struct walk {
	struct layers *layers;
	const char *entry_path; /* the entry's path, for errors */
	bool make;              /* folders that are missing are made; else the walk ends, at null */
	struct layers_node *at;
	unsigned links;
	struct chain_error *err;
};

static enum chain_status implied_make(struct walk *walk, const char *name, size_t bytes, struct layers_node **out)
{
	const struct layers_entry folder = { .type = FS_DIRECTORY, .mode = 0755 };
	struct layers *layers = walk->layers;

	if (walk->at->depth == LAYERS_DEPTH_MAX)
		return limit(layers, walk->entry_path, "folders in each other", LAYERS_DEPTH_MAX + 1, LAYERS_DEPTH_MAX,
			     walk->err);
	struct layers_inode *inode = layers_inode_new(&folder);

	*out = inode ? layers_node_new(layers, walk->at, name, bytes, inode) : NULL;
	if (!*out) {
		layers_inode_drop(inode);
		return no_memory(layers, walk->err);
	}
	touch(layers, walk->at);
	return CHAIN_OK;
}

static enum chain_status walk_along(struct walk *walk, const char *path, size_t path_bytes);

static enum chain_status walk_link(struct walk *walk, const struct layers_node *link)
{
	const char *target = link->inode->target;

	if (++walk->links > LAYERS_LINKS_MAX)
		return limit(walk->layers, walk->entry_path, "links in its path", walk->links, LAYERS_LINKS_MAX,
			     walk->err);
	if (*target == '/')
		walk->at = walk->layers->root;
	return walk_along(walk, target, strlen(target));
}

static enum chain_status walk_part(struct walk *walk, const char *part, size_t bytes)
{
	struct layers_node *node;

	if (is_dots(part, bytes)) {
		if (!walk->at->parent)
			return refuse(walk->layers, walk->entry_path, CHAIN_E_ROOT_NAME,
				      "a link in its path leads out of the tree", walk->err);
		walk->at = walk->at->parent;
		return CHAIN_OK;
	}
	if (bytes > LAYERS_NAME_MAX)
		return limit(walk->layers, walk->entry_path, "bytes of name", bytes, LAYERS_NAME_MAX, walk->err);
	node = layers_find(walk->layers, walk->at, part, bytes);
	if (!node && !walk->make) {
		walk->at = NULL;
		return CHAIN_OK;
	}
	if (!node) {
		const enum chain_status status = implied_make(walk, part, bytes, &node);

		if (status)
			return status;
	}
	if (node->inode->type == FS_SYMLINK)
		return walk_link(walk, node);
	if (node->inode->type != FS_DIRECTORY && walk->make)
		return refuse(walk->layers, walk->entry_path, CHAIN_E_ROOT_PARENT, node->name, walk->err);
	walk->at = node->inode->type == FS_DIRECTORY ? node : NULL;
	return CHAIN_OK;
}

/* To the folder that a path leads to; `at` is null when it is not there. Depth is bounded by LAYERS_LINKS_MAX. */
static enum chain_status walk_along(struct walk *walk, const char *path, size_t path_bytes)
{
	const char *at = path, *part;
	size_t bytes;
	enum chain_status status = CHAIN_OK;

	while (!status && walk->at && part_next(&at, &part, &bytes) && part < path + path_bytes)
		status = walk_part(walk, part, bytes);
	return status;
}

/* The folder that the last part of `path` is in; null: it is not there. */
static enum chain_status folder_find(struct layers *layers, const char *path, const char *entry_path, bool make,
				     struct layers_node **out, struct chain_error *err)
{
	size_t bytes;
	const char *last = last_part(path, &bytes);
	struct walk walk = { .layers = layers, .entry_path = entry_path, .make = make, .at = layers->root, .err = err };
	const enum chain_status status = walk_along(&walk, path, (size_t)(last - path));

	*out = walk.at;
	return status;
}

/* --- whiteouts --- */

/* What this layer brought stays, wherever in the layer it stands. */
static void lower_remove(struct layers *layers, struct layers_node *folder)
{
	for (struct layers_node *node = folder->children, *next; node; node = next) {
		next = node->next;
		if (node->layer != layers->number)
			layers_node_remove(layers, node);
		else if (node->inode->type == FS_DIRECTORY)
			lower_remove(layers, node);
	}
}

static enum chain_status whiteout_put(struct layers *layers, const char *path, struct chain_error *err)
{
	struct layers_node *folder, *node;
	size_t bytes;
	const char *name = last_part(path, &bytes);
	const enum chain_status status = folder_find(layers, path, path, false, &folder, err);

	if (status || !folder)
		return status;
	if (bytes == strlen(opaque) && strncmp(name, opaque, bytes) == 0) {
		lower_remove(layers, folder);
		return CHAIN_OK;
	}
	name += strlen(whiteout);
	bytes -= strlen(whiteout);
	if (bytes == 0 || (bytes == 1 && *name == '.') || is_dots(name, bytes))
		return refuse(layers, path, CHAIN_E_ROOT_NAME, "a whiteout of no name", err);
	node = layers_find(layers, folder, name, bytes);
	if (node && node->layer != layers->number)
		layers_node_remove(layers, node);
	else if (node)
		lower_remove(layers, node);
	return CHAIN_OK;
}

/* --- entries --- */

static enum chain_status root_put(struct layers *layers, const struct layers_entry *entry, struct chain_error *err)
{
	if (entry->type != FS_DIRECTORY || entry->hard_link)
		return refuse(layers, entry->path, CHAIN_E_ROOT_NAME, "the root itself, which can only be a folder",
			      err);
	return layers_inode_set(layers->root->inode, entry) ? CHAIN_OK : no_memory(layers, err);
}

/* The inode that an entry is to have: a new one, or that of the file it is a hard link to. */
static enum chain_status inode_get(struct layers *layers, const struct layers_entry *entry, struct layers_inode **out,
				   struct chain_error *err)
{
	struct layers_node *folder, *node;
	size_t bytes;

	if (!entry->hard_link) {
		*out = layers_inode_new(entry);
		return *out ? CHAIN_OK : no_memory(layers, err);
	}
	const char *name = last_part(entry->hard_link, &bytes);
	const enum chain_status status = folder_find(layers, entry->hard_link, entry->path, false, &folder, err);

	if (status)
		return status;
	node = folder && bytes > 0 ? layers_find(layers, folder, name, bytes) : NULL;
	if (!node || node->inode->type == FS_DIRECTORY)
		return refuse(layers, entry->path, CHAIN_E_ROOT_HARD_LINK, entry->hard_link, err);
	*out = node->inode;
	return CHAIN_OK;
}

/* A folder that is there already gets the entry's attributes and keeps what is in it. */
static enum chain_status node_put(struct layers *layers, const struct layers_entry *entry, struct layers_node *folder,
				  struct chain_error *err)
{
	size_t bytes;
	const char *name = last_part(entry->path, &bytes);
	struct layers_node *node = layers_find(layers, folder, name, bytes);
	struct layers_inode *inode;

	if (node && !entry->hard_link && entry->type == FS_DIRECTORY && node->inode->type == FS_DIRECTORY) {
		touch(layers, node);
		return layers_inode_set(node->inode, entry) ? CHAIN_OK : no_memory(layers, err);
	}
	if (node)
		layers_node_remove(layers, node);
	if (folder->depth == LAYERS_DEPTH_MAX)
		return limit(layers, entry->path, "folders in each other", LAYERS_DEPTH_MAX + 1, LAYERS_DEPTH_MAX, err);
	const enum chain_status status = inode_get(layers, entry, &inode, err);

	if (status)
		return status;
	node = layers_node_new(layers, folder, name, bytes, inode);
	if (!node) {
		if (inode->names == 0)
			layers_inode_drop(inode);
		return no_memory(layers, err);
	}
	touch(layers, folder);
	return CHAIN_OK;
}

static enum chain_status entry_check(struct layers *layers, const struct layers_entry *entry, struct chain_error *err)
{
	if (++layers->entries > LAYERS_ENTRIES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = layers->name, .detail = "entries", .value = layers->entries,
				  .limit = LAYERS_ENTRIES_MAX);
	enum chain_status status = path_check(layers, entry->path, entry->path, err);

	if (!status && entry->hard_link)
		status = path_check(layers, entry->hard_link, entry->path, err);
	if (status || entry->hard_link || entry->type != FS_SYMLINK)
		return status;
	if (!*entry->target)
		return refuse(layers, entry->path, CHAIN_E_ROOT_NAME, "a link to an empty name", err);
	if (!chain_is_utf8(entry->target))
		return refuse(layers, entry->path, CHAIN_E_ROOT_NAME, "a link to a name that is not UTF-8", err);
	if (strlen(entry->target) > LAYERS_PATH_MAX)
		return limit(layers, entry->path, "bytes of target", strlen(entry->target), LAYERS_PATH_MAX, err);
	return CHAIN_OK;
}

enum chain_status layers_put(struct layers *layers, const struct layers_entry *entry, struct chain_error *err)
{
	struct layers_node *folder;
	size_t bytes;
	enum chain_status status = entry_check(layers, entry, err);

	if (status)
		return status;
	if (layers_is_whiteout(layers, entry->path))
		return whiteout_put(layers, entry->path, err);
	(void)last_part(entry->path, &bytes);
	if (bytes == 0)
		return root_put(layers, entry, err);
	status = folder_find(layers, entry->path, entry->path, true, &folder, err);
	return status ? status : node_put(layers, entry, folder, err);
}

void layers_begin(struct layers *layers, bool whiteouts)
{
	layers->number++;
	layers->whiteouts = whiteouts;
}
