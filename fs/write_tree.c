/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"
#include "write_internal.h"

#include <stdlib.h>
#include <string.h>

enum chain_status fs_writer_new(struct fs_writer **out, struct chain_error *err)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return chain_fail_no_memory(err, "filesystem writer", sizeof(**out));
	return CHAIN_OK;
}

void fs_writer_free(struct fs_writer *writer)
{
	if (!writer)
		return;
	free(writer->specs);
	free(writer->nodes);
	free(writer->placed);
	free(writer);
}

/* Makes room for one more element; doubling keeps adding linear. */
static enum chain_status grow(void **array, size_t *capacity, size_t count, size_t element_bytes,
			      struct chain_error *err)
{
	size_t wanted = *capacity ? *capacity * 2 : 64;
	void *moved;

	if (count < *capacity)
		return CHAIN_OK;
	if (wanted >= FS_NONE)
		return CHAIN_FAIL(err, LIMIT, .subject = "filesystem", .detail = "nodes", .value = wanted,
				  .limit = FS_NONE);
	moved = realloc(*array, wanted * element_bytes);
	if (!moved)
		return chain_fail_no_memory(err, "filesystem writer", wanted * element_bytes);
	*array = moved;
	*capacity = wanted;
	return CHAIN_OK;
}

static enum chain_status check_path(const char *path, struct chain_error *err)
{
	const char *part = path;
	size_t bytes = strlen(path);

	if (path[0] != '/')
		return chain_fail_text(err, CHAIN_E_FS_BAD_PATH, path, "not an absolute path");
	if (bytes > FS_PATH_BYTES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes of path", .value = bytes,
				  .limit = FS_PATH_BYTES_MAX);
	if (bytes == 1)
		return CHAIN_OK;
	while (*part) {
		size_t part_bytes = strcspn(++part, "/");

		if (part_bytes == 0 || part_bytes > FS_EROFS_NAME_MAX)
			return chain_fail_text(err, CHAIN_E_FS_BAD_PATH, path,
					       "a part is empty or has more than 255 bytes");
		if (fs_name_is_dot(part, part_bytes))
			return chain_fail_text(err, CHAIN_E_FS_BAD_PATH, path, "\".\" and \"..\" are no names");
		part += part_bytes;
	}
	return CHAIN_OK;
}

static enum chain_status misfit(const struct fs_spec *spec, const char *what, uint64_t number, struct chain_error *err)
{
	return CHAIN_FAIL(err, FS_BAD_SPEC, .subject = spec->path, .detail = what, .value = number);
}

static enum chain_status check_regular(const struct fs_spec *spec, struct chain_error *err)
{
	uint64_t align = spec->align_bytes;

	if (align && (align < FS_BLOCK_BYTES || (align & (align - 1))))
		return misfit(spec, "the alignment is no power of two of at least 4096", align, err);
	if (spec->in_metadata && (align || spec->reserve_bytes))
		return misfit(spec, "a file in the metadata has no alignment and no room behind it",
			      align ? align : spec->reserve_bytes, err);
	return CHAIN_OK;
}

static enum chain_status check_spec(const struct fs_spec *spec, struct chain_error *err)
{
	enum chain_status status = check_path(spec->path, err);

	if (status)
		return status;
	if (spec->type < FS_REGULAR || spec->type > FS_SYMLINK)
		return misfit(spec, "the type is unknown", spec->type, err);
	if (spec->mode & ~(uint32_t)FS_MODE_PERMISSIONS)
		return misfit(spec, "the mode has bits besides 07777", spec->mode, err);
	if (spec->mtime_ns >= 1000000000)
		return misfit(spec, "a time has more than 999999999 nanoseconds", spec->mtime_ns, err);
	if (spec->path[1] == 0 && spec->type != FS_DIRECTORY)
		return misfit(spec, "the root is a directory", spec->type, err);
	if (spec->hard_link)
		return spec->type == FS_DIRECTORY ? misfit(spec, "directories have no hard links", spec->type, err) :
						    CHAIN_OK;
	if ((spec->type == FS_SYMLINK) != (spec->target != NULL))
		return misfit(spec, "symbolic links have a target, and nothing else has", spec->type, err);
	if (spec->target && (!*spec->target || strlen(spec->target) > FS_LINK_BYTES_MAX))
		return misfit(spec, "a target has 1 to 4095 bytes", strlen(spec->target), err);
	if (spec->type == FS_REGULAR && (status = check_regular(spec, err)))
		return status;
	return fs_xattrs_check(spec, err);
}

enum chain_status fs_writer_add(struct fs_writer *writer, const struct fs_spec *spec, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	if (writer->laid_out)
		return chain_fail_subject(err, CHAIN_E_FS_WRITER_ORDER, "fs_writer_add");
	status = check_spec(spec, err);
	if (!status)
		status = grow((void **)&writer->specs, &writer->spec_capacity, writer->spec_count,
			      sizeof(*writer->specs), err);
	if (!status)
		writer->specs[writer->spec_count++] = spec;
	return status;
}

/* Tree order: part by part, so that '/' comes before any other byte and a directory's contents follow it at once. */
static int compare_paths(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;

	for (size_t i = 0; i < common; i++) {
		if (a[i] == b[i])
			continue;
		if (a[i] == '/' || b[i] == '/')
			return a[i] == '/' ? -1 : 1;
		return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
	}
	return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

/* "/" is the empty path, so that every other one begins with its parent's. */
static size_t path_bytes_of(const struct fs_spec *spec)
{
	return spec->path[1] ? strlen(spec->path) : 0;
}

/* The same order on terminated paths, without measuring them first: the terminator is below '/' in it. */
static int compare_specs(const void *a, const void *b)
{
	const struct fs_spec *const *left_spec = a, *const *right_spec = b;
	const char *left = (*left_spec)->path, *right = (*right_spec)->path;

	if (!left[1] || !right[1]) /* "/" counts as the empty path */
		return (left[1] != 0) - (right[1] != 0);
	while (*left == *right && *left) {
		left++;
		right++;
	}
	if (*left == *right)
		return 0;
	if (!*left || !*right)
		return *left ? 1 : -1;
	if (*left == '/' || *right == '/')
		return *left == '/' ? -1 : 1;
	return (unsigned char)*left < (unsigned char)*right ? -1 : 1;
}

enum fs_type fs_wnode_type(const struct fs_wnode *node)
{
	return node->spec ? node->spec->type : FS_DIRECTORY;
}

enum fs_area_kind fs_wnode_area(const struct fs_wnode *node)
{
	switch (fs_wnode_type(node)) {
	case FS_DIRECTORY:
		return FS_AREA_DIRECTORIES;
	case FS_SYMLINK:
		return FS_AREA_LINKS;
	case FS_REGULAR:
		return node->spec->in_metadata ? FS_AREA_META_FILES : FS_AREA_FILES;
	default:
		return FS_AREA_NONE;
	}
}

static enum chain_status append(struct fs_writer *writer, const struct fs_spec *spec, const char *path,
				uint32_t path_bytes, uint32_t parent, struct chain_error *err)
{
	uint32_t index = (uint32_t)writer->node_count;
	struct fs_wnode *node;
	enum chain_status status =
		grow((void **)&writer->nodes, &writer->node_capacity, writer->node_count, sizeof(*writer->nodes), err);

	if (status)
		return status;
	node = &writer->nodes[writer->node_count++];
	memset(node, 0, sizeof(*node));
	node->spec = spec;
	node->path = path;
	node->path_bytes = path_bytes;
	node->parent = parent;
	node->first_child = node->last_child = node->next = FS_NONE;
	node->inode = node->data = index;
	node->nlink = fs_wnode_type(node) == FS_DIRECTORY ? 2 : 1;
	if (index) {
		struct fs_wnode *up = &writer->nodes[parent];

		node->name_offset = up->path_bytes + 1;
		if (up->last_child == FS_NONE)
			up->first_child = index;
		else
			writer->nodes[up->last_child].next = index;
		up->last_child = index;
		up->nlink += fs_wnode_type(node) == FS_DIRECTORY;
	}
	return CHAIN_OK;
}

static bool holds(const struct fs_wnode *dir, const char *path, size_t path_bytes)
{
	return path_bytes > dir->path_bytes && memcmp(dir->path, path, dir->path_bytes) == 0 &&
	       path[dir->path_bytes] == '/';
}

/* Hangs `spec` into the tree; `at` is the node added last. Directories on the way that nobody added are made. */
static enum chain_status hang(struct fs_writer *writer, const struct fs_spec *spec, uint32_t at,
			      struct chain_error *err)
{
	size_t path_bytes = path_bytes_of(spec);
	enum chain_status status;

	if (path_bytes == writer->nodes[at].path_bytes && memcmp(spec->path, writer->nodes[at].path, path_bytes) == 0)
		return chain_fail_subject(err, CHAIN_E_FS_DUPLICATE, spec->path);
	while (!holds(&writer->nodes[at], spec->path, path_bytes))
		at = writer->nodes[at].parent; /* ends at the root, which holds everything */
	for (;;) {
		const char *name = spec->path + writer->nodes[at].path_bytes + 1;
		size_t end = (size_t)(name - spec->path) + strcspn(name, "/");

		if (fs_wnode_type(&writer->nodes[at]) != FS_DIRECTORY)
			return chain_fail_text(err, CHAIN_E_FS_NOT_DIRECTORY, spec->path, writer->nodes[at].spec->path);
		if (end == path_bytes)
			return append(writer, spec, spec->path, (uint32_t)path_bytes, at, err);
		status = append(writer, NULL, spec->path, (uint32_t)end, at, err);
		if (status)
			return status;
		at = (uint32_t)writer->node_count - 1;
	}
}

/* The added node of this path, by binary search. */
static uint32_t find_node(const struct fs_writer *writer, const char *path)
{
	size_t low = 0, high = writer->node_count, path_bytes = strlen(path);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct fs_wnode *node = &writer->nodes[middle];
		int order = compare_paths(node->path, node->path_bytes, path, path_bytes);

		if (order == 0)
			return (uint32_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return FS_NONE;
}

static enum chain_status resolve_hard_links(struct fs_writer *writer, struct chain_error *err)
{
	for (size_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		struct fs_wnode *file;
		uint32_t found;

		if (!node->spec || !node->spec->hard_link)
			continue;
		found = find_node(writer, node->spec->hard_link);
		file = found == FS_NONE ? NULL : &writer->nodes[found];
		if (!file || !file->spec || fs_wnode_type(file) != fs_wnode_type(node) || file->spec->hard_link)
			return chain_fail_text(err, CHAIN_E_FS_BAD_HARD_LINK, node->spec->path, node->spec->hard_link);
		node->inode = node->data = found;
		file->nlink++;
	}
	return CHAIN_OK;
}

enum chain_status fs_writer_make_tree(struct fs_writer *writer, struct chain_error *err)
{
	bool has_root;
	enum chain_status status;

	writer->node_count = 0;
	if (writer->spec_count)
		qsort(writer->specs, writer->spec_count, sizeof(*writer->specs), compare_specs);
	has_root = writer->spec_count && path_bytes_of(writer->specs[0]) == 0;
	status = append(writer, has_root ? writer->specs[0] : NULL, "", 0, 0, err);
	for (size_t i = has_root; !status && i < writer->spec_count; i++)
		status = hang(writer, writer->specs[i], (uint32_t)writer->node_count - 1, err);
	return status ? status : resolve_hard_links(writer, err);
}
