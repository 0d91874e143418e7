/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "image_tree.h"
#include "fs/check.h"

#include <stdlib.h>
#include <string.h>

struct walk {
	const struct fs *fs;
	image_tree_visit *visit;
	void *ctx;
	char path[CHAIN_IMAGE_PATH_BYTES]; /* "" is the root */
};

static enum chain_status node_walk(struct walk *walk, const struct fs_node *node, struct chain_error *err);

static enum chain_status entry_walk(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	struct walk *walk = ctx;
	const size_t used = strlen(walk->path);
	struct fs_node node;

	if (entry->name_bytes + 2 > sizeof(walk->path) - used)
		return CHAIN_FAIL(err, LIMIT, .subject = walk->path, .detail = "bytes of path",
				  .value = used + entry->name_bytes + 1, .limit = sizeof(walk->path) - 1);
	walk->path[used] = '/';
	memcpy(walk->path + used + 1, entry->name, entry->name_bytes);
	walk->path[used + 1 + entry->name_bytes] = '\0';
	enum chain_status status = fs_node_read(walk->fs, entry->nid, &node, err);

	if (!status)
		status = node_walk(walk, &node, err);
	walk->path[used] = '\0';
	return status;
}

/* Ends: each folder makes the path longer, which has a limit. */
static enum chain_status node_walk(struct walk *walk, const struct fs_node *node, struct chain_error *err)
{
	const char *path = walk->path[0] ? walk->path : "/";
	const enum chain_status status = walk->visit ? walk->visit(walk->ctx, path, node, err) : CHAIN_OK;

	if (status || node->type != FS_DIRECTORY)
		return status;
	return fs_read_dir(walk->fs, node, entry_walk, walk, err);
}

enum chain_status image_tree_walk(const struct fs *fs, const char *path, image_tree_visit *visit, void *ctx,
				  struct chain_error *err)
{
	struct walk walk = { .fs = fs, .visit = visit, .ctx = ctx };
	size_t bytes = strlen(path);
	struct fs_node node;
	enum chain_status status = fs_check(fs, NULL, err);

	if (!status)
		status = fs_lookup(fs, path, false, &node, err);
	if (status)
		return status;
	if (bytes >= sizeof(walk.path))
		return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes of path", .value = bytes,
				  .limit = sizeof(walk.path) - 1);
	while (bytes > 0 && path[bytes - 1] == '/')
		bytes--;
	memcpy(walk.path, path, bytes);
	return node_walk(&walk, &node, err);
}

bool image_child_path(const struct image_child *child, char out[CHAIN_IMAGE_PATH_BYTES])
{
	if (child->entry.path_bytes >= CHAIN_IMAGE_PATH_BYTES)
		return false;
	memcpy(out, child->entry.path, child->entry.path_bytes);
	out[child->entry.path_bytes] = '\0';
	return true;
}

static bool is_image(const struct chain_image *image, struct image_child *child)
{
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct fs_node node;

	return child->entry.kind == CHAIN_MANIFEST_FILE && image_child_path(child, path) &&
	       !fs_lookup(&image->fs, path, false, &node, NULL) &&
	       !fs_file_bytes(&image->fs, &node, &child->bytes, &child->bytes_count, NULL) &&
	       chain_image_is(child->bytes, child->bytes_count);
}

static int by_place(const void *a, const void *b)
{
	const struct image_child *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return (x->entry.path > y->entry.path) - (x->entry.path < y->entry.path);
}

enum chain_status image_children_find(const struct chain_image *image, struct image_child **out, size_t *out_count,
				      struct chain_error *err)
{
	struct image_child *children = calloc(image->entry_count + 1, sizeof(*children));
	size_t count = 0, kept = 0;

	*out = children;
	*out_count = 0;
	if (!children)
		return chain_fail_no_memory(err, "images in it", image->entry_count * sizeof(*children));
	for (uint64_t cursor = 0; chain_manifest_next(image, &cursor, &children[count].entry);)
		count += is_image(image, &children[count]);
	qsort(children, count, sizeof(*children), by_place);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || children[kept - 1].bytes != children[i].bytes)
			children[kept++] = children[i];
	*out_count = kept;
	return CHAIN_OK;
}

/* `left`: images that may still be looked at. In ones that nobody has verified, files may lie on each other, so that
 * there are more ways than images. */
static enum chain_status nesting(const uint8_t *bytes, uint64_t bytes_count, unsigned depth, unsigned *left,
				 struct chain_error *err)
{
	struct image_child *children;
	struct chain_image image;
	size_t count;

	if (depth > IMAGE_NESTING_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "images in images", .detail = "levels", .value = depth,
				  .limit = IMAGE_NESTING_MAX);
	if (chain_image_open(&image, bytes, bytes_count, NULL))
		return CHAIN_OK;
	enum chain_status status = image_children_find(&image, &children, &count, err);

	for (size_t i = 0; !status && i<count && * left> 0; i++) {
		--*left;
		status = nesting(children[i].bytes, children[i].bytes_count, depth + 1, left, err);
	}
	free(children);
	return status;
}

enum chain_status image_nesting_check(const uint8_t *bytes, uint64_t bytes_count, unsigned depth,
				      struct chain_error *err)
{
	enum { IMAGES_MAX = 65536 };
	unsigned left = IMAGES_MAX;
	const enum chain_status status = nesting(bytes, bytes_count, depth, &left, err);

	if (!status && left == 0)
		return CHAIN_FAIL(err, LIMIT, .subject = "images in images", .detail = "images",
				  .value = IMAGES_MAX + 1, .limit = IMAGES_MAX);
	return status;
}
