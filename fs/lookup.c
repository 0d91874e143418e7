/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"

#include <string.h>

/* What is left of a path: a link's target is put in front of what followed the link, without copying either. */
struct stretch {
	const char *at, *end;
};
struct walk {
	const struct fs *fs;
	const char *path; /* as asked for; the subject of errors */
	struct stretch left[FS_LINKS_MAX + 1];
	unsigned depth, links;
	struct fs_node here;
};

static bool next_part(struct walk *walk, const char **out_name, size_t *out_bytes)
{
	while (walk->depth) {
		struct stretch *top = &walk->left[walk->depth - 1];
		const char *start;

		while (top->at < top->end && *top->at == '/')
			top->at++;
		if (top->at == top->end) {
			walk->depth--;
			continue;
		}
		start = top->at;
		while (top->at < top->end && *top->at != '/')
			top->at++;
		*out_name = start;
		*out_bytes = (size_t)(top->at - start);
		return true;
	}
	return false;
}

/* Whether anything, be it a slash, follows the part that was taken last: then it has to be a directory. */
static bool more_follows(const struct walk *walk)
{
	for (unsigned i = 0; i < walk->depth; i++)
		if (walk->left[i].at < walk->left[i].end)
			return true;
	return false;
}

static enum chain_status follow(struct walk *walk, const struct fs_node *link, struct chain_error *err)
{
	const uint8_t *target;
	uint64_t target_bytes;
	enum chain_status status;

	if (walk->links++ == FS_LINKS_MAX)
		return CHAIN_FAIL(err, FS_LOOP, .subject = walk->path, .limit = FS_LINKS_MAX);
	if (link->size_bytes == 0 || link->size_bytes > FS_LINK_BYTES_MAX)
		return CHAIN_FAIL(err, FS_BAD_LINK, .subject = walk->path, .detail = "the target is empty or too long",
				  .nid = link->nid, .bytes = link->size_bytes);
	status = fs_file_bytes(walk->fs, link, &target, &target_bytes, err);
	if (status)
		return status;
	walk->left[walk->depth].at = (const char *)target;
	walk->left[walk->depth].end = (const char *)target + target_bytes;
	walk->depth++;
	if (target[0] == '/')
		return fs_node_read(walk->fs, walk->fs->root_nid, &walk->here, err);
	return CHAIN_OK;
}

static enum chain_status fail_not_directory(const struct walk *walk, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_FS_NOT_DIRECTORY, walk->path, "a part of the path");
}

static enum chain_status step(struct walk *walk, const char *name, size_t name_bytes, bool follow_last,
			      struct chain_error *err)
{
	bool up = name_bytes == 2 && name[0] == '.' && name[1] == '.';
	struct fs_node node;
	uint64_t nid;
	enum chain_status status;

	if (walk->here.type != FS_DIRECTORY)
		return fail_not_directory(walk, err);
	if ((name_bytes == 1 && name[0] == '.') || (up && walk->here.nid == walk->fs->root_nid))
		return CHAIN_OK;
	status = fs_dir_find(walk->fs, &walk->here, name, name_bytes, &nid, err);
	if (status == CHAIN_E_FS_NOT_FOUND)
		return chain_fail_subject(err, CHAIN_E_FS_NOT_FOUND, walk->path);
	if (!status)
		status = fs_node_read(walk->fs, nid, &node, err);
	if (status)
		return status;
	if (node.type == FS_SYMLINK && (follow_last || more_follows(walk)))
		return follow(walk, &node, err);
	walk->here = node;
	if (node.type != FS_DIRECTORY && more_follows(walk))
		return fail_not_directory(walk, err);
	return CHAIN_OK;
}

enum chain_status fs_lookup(const struct fs *fs, const char *path, bool follow_last, struct fs_node *out,
			    struct chain_error *err)
{
	struct walk walk = { .fs = fs, .path = path };
	const char *name;
	size_t name_bytes;
	enum chain_status status;

	if (path[0] != '/')
		return chain_fail_text(err, CHAIN_E_FS_BAD_PATH, path, "not an absolute path");
	walk.left[0].at = path;
	walk.left[0].end = path + strlen(path);
	walk.depth = 1;
	status = fs_node_read(fs, fs->root_nid, &walk.here, err);
	while (!status && next_part(&walk, &name, &name_bytes))
		status = step(&walk, name, name_bytes, follow_last, err);
	if (!status)
		*out = walk.here;
	return status;
}
