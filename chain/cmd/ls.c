/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain ls`: the tree baked into an image. */

#include "fs/check.h"
#include "image_file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 256 };

struct listing {
	const struct fs *fs;
	bool details;
	json_t *list; /* null: print */
	char path[CHAIN_IMAGE_PATH_BYTES];
	unsigned depth;
};

static const char TYPES[] = "?-dcbpsl"; /* by enum fs_type */

static void mode_text(const struct fs_node *node, char out[11])
{
	out[0] = (unsigned)node->type < sizeof(TYPES) - 1 ? TYPES[node->type] : '?';
	for (int i = 0; i < 9; i++)
		out[i + 1] = node->mode & (0400u >> i) ? "rwxrwxrwx"[i] : '-';
	out[10] = '\0';
}

static enum chain_status target_read(const struct listing *l, const struct fs_node *node, char **out,
				     struct chain_error *err)
{
	*out = NULL;
	if (node->type != FS_SYMLINK)
		return CHAIN_OK;
	if (node->size_bytes > 4096)
		return chain_fail(err, CHAIN_E_LIMIT, l->path, NULL, node->size_bytes, 4096, 0, 0);
	*out = calloc(1, node->size_bytes + 1);
	if (!*out)
		return chain_fail(err, CHAIN_E_NO_MEMORY, l->path, NULL, node->size_bytes, 0, 0, 0);
	return fs_read(l->fs, node, 0, *out, node->size_bytes, err);
}

static enum chain_status node_show(struct listing *l, const struct fs_node *node, struct chain_error *err)
{
	static const char *const kinds[] = {"?", "file", "folder", "device", "device", "pipe", "socket", "link"};
	const char *path = l->path[0] ? l->path : "/";
	char *target, mode[11], date[32] = "";
	const time_t when = (time_t)node->mtime;
	struct tm tm;
	const enum chain_status status = target_read(l, node, &target, err);

	if (status != CHAIN_OK) {
		free(target);
		return status;
	}
	mode_text(node, mode);
	if (l->list) {
		json_t *entry = json_pack(
		    "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "path", path, "type", kinds[node->type & 7], "mode",
		    (json_int_t)node->mode, "uid", (json_int_t)node->uid, "gid", (json_int_t)node->gid, "links",
		    (json_int_t)node->nlink, "bytes", (json_int_t)node->size_bytes, "mtime", (json_int_t)node->mtime);
		if (target)
			json_object_set_new(entry, "target", json_string(target));
		json_array_append_new(l->list, entry);
	} else {
		if (l->details) {
			if (gmtime_r(&when, &tm))
				(void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
			printf("%s %3u %5u %5u %12llu %s ", mode, node->nlink, node->uid, node->gid,
			       (unsigned long long)node->size_bytes, date);
		}
		cmd_text_put(stdout, path);
		if (l->details && target) {
			fputs(" -> ", stdout);
			cmd_text_put(stdout, target);
		}
		if (!l->details && node->type == FS_DIRECTORY && l->path[0])
			putchar('/');
		putchar('\n');
	}
	free(target);
	return CHAIN_OK;
}

static enum chain_status tree_show(struct listing *l, const struct fs_node *node, struct chain_error *err);

static enum chain_status entry_show(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	struct listing *l = ctx;
	const size_t used = strlen(l->path);
	struct fs_node node;

	if (entry->name_bytes + 2 > sizeof(l->path) - used)
		return chain_fail(err, CHAIN_E_LIMIT, l->path, NULL, used + entry->name_bytes + 1, sizeof(l->path) - 1,
				  0, 0);
	l->path[used] = '/';
	memcpy(l->path + used + 1, entry->name, entry->name_bytes);
	l->path[used + 1 + entry->name_bytes] = '\0';
	enum chain_status status = fs_node_read(l->fs, entry->nid, &node, err);

	if (status == CHAIN_OK)
		status = tree_show(l, &node, err);
	l->path[used] = '\0';
	return status;
}

static enum chain_status tree_show(struct listing *l, const struct fs_node *node, struct chain_error *err)
{
	enum chain_status status = node_show(l, node, err);

	if (status != CHAIN_OK || node->type != FS_DIRECTORY)
		return status;
	if (++l->depth > DEPTH_MAX)
		return chain_fail(err, CHAIN_E_LIMIT, l->path, NULL, l->depth, DEPTH_MAX, 0, 0);
	status = fs_read_dir(l->fs, node, entry_show, l, err);
	l->depth--;
	return status;
}

static enum chain_status list(struct listing *l, const char *path, struct chain_error *err)
{
	struct fs_node node;
	const enum chain_status status = fs_lookup(l->fs, path, false, &node, err);
	size_t bytes = strlen(path);

	if (status != CHAIN_OK)
		return status;
	if (bytes >= sizeof(l->path))
		return chain_fail(err, CHAIN_E_LIMIT, path, NULL, bytes, sizeof(l->path) - 1, 0, 0);
	while (bytes > 0 && path[bytes - 1] == '/')
		bytes--;
	memcpy(l->path, path, bytes);
	return tree_show(l, &node, err);
}

struct ls {
	const char *path;
	bool json, details;
};

static enum chain_status ls(void *ctx, const struct image_file *file, struct chain_error *err)
{
	const struct ls *ls = ctx;
	struct listing l = {.fs = &file->image.fs, .details = ls->details, .list = ls->json ? json_array() : NULL};
	/* A folder with two parents, which no baker makes, would be listed as often as there are ways to it. */
	enum chain_status status = fs_check(&file->image.fs, NULL, err);

	if (status == CHAIN_OK)
		status = list(&l, ls->path, err);
	if (status == CHAIN_OK && ls->json)
		return image_file_print(l.list, err);
	json_decref(l.list);
	return status;
}

int cmd_ls(int argc, char **argv)
{
	struct ls options = {.path = "/"};
	const struct cmd_opt opts[] = {
	    {"long", 'l', CMD_OPT_FLAG, NULL, "with mode, links, owner, group, size and time (UTC)", &options.details},
	    {"json", 0, CMD_OPT_FLAG, NULL, "print one JSON array instead of text", &options.json},
	};
	const struct cmd_spec spec = {.command = "ls",
				      .operands = "IMAGE [PATH]",
				      .opts = opts,
				      .opt_count = 2,
				      .least = 1,
				      .most = 2,
				      .about =
					  "Lists what is baked into an image, or what of it is at PATH and below."};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (args.count > 1)
		options.path = args.v[1];
	code = image_file_with(args.v[0], options.json, ls, &options);
	cmd_args_free(&args);
	return code;
}
