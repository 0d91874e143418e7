/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain ls`: the tree baked into an image. */

#include "chain/cmd/image_file.h"
#include "chain/cmd/image_tree.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct listing {
	const struct chain_image *image;
	const struct fs *fs; /* of it */
	bool details, digests;
	json_t *list; /* null: print */
};

static const char TYPES[] = "?-dcbpsl"; /* by enum fs_type */

static void mode_text(const struct fs_node *node, char out[11])
{
	out[0] = (unsigned)node->type < sizeof(TYPES) - 1 ? TYPES[node->type] : '?';
	for (int i = 0; i < 9; i++)
		out[i + 1] = node->mode & (0400u >> i) ? "rwxrwxrwx"[i] : '-';
	out[10] = '\0';
}

static enum chain_status target_read(const struct listing *l, const char *path, const struct fs_node *node, char **out,
				     struct chain_error *err)
{
	*out = NULL;
	if (node->type != FS_SYMLINK)
		return CHAIN_OK;
	if (node->size_bytes > 4096)
		return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes of a link", .value = node->size_bytes,
				  .limit = 4096);
	*out = calloc(1, node->size_bytes + 1);
	if (!*out)
		return chain_fail_no_memory(err, path, node->size_bytes);
	return fs_read(l->fs, node, 0, *out, node->size_bytes, err);
}

/* As `fsverity digest` says it. The manifest of an image of the first version has other digests. */
static enum chain_status digest_find(const struct listing *l, const char *path, const struct fs_node *node,
				     char out[CHAIN_SHA256_HEX + 1], struct chain_error *err)
{
	struct chain_manifest_entry entry;
	const uint8_t *bytes;
	uint64_t count;
	enum chain_status status = chain_manifest_find(l->image, path, &entry, err);

	if (!status && entry.digest.kind != CHAIN_DIGEST_FSVERITY) {
		status = fs_file_bytes(l->fs, node, &bytes, &count, err);
		if (!status)
			chain_digest_of(CHAIN_DIGEST_FSVERITY, bytes, count, &entry.digest);
	}
	if (!status)
		chain_sha256_to_hex(entry.digest.bytes, out);
	return status;
}

static enum chain_status digest_print(const struct listing *l, const char *path, const struct fs_node *node,
				      struct chain_error *err)
{
	char hex[CHAIN_SHA256_HEX + 1];
	const enum chain_status status = digest_find(l, path, node, hex, err);

	if (status)
		return status;
	printf("sha256:%s ", hex);
	cmd_text_put(stdout, path);
	putchar('\n');
	return CHAIN_OK;
}

/* Names and targets are bytes: what is no UTF-8 is shown in hexadecimal digits besides. */
static enum chain_status node_list(struct listing *l, const char *path, const struct fs_node *node, const char *target,
				   struct chain_error *err)
{
	static const char *const kinds[] = { "?", "file", "folder", "device", "device", "pipe", "socket", "link" };
	json_t *entry = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "type", kinds[node->type & 7], "mode",
				  (json_int_t)node->mode, "uid", (json_int_t)node->uid, "gid", (json_int_t)node->gid,
				  "links", (json_int_t)node->nlink, "bytes", (json_int_t)node->size_bytes, "mtime",
				  (json_int_t)node->mtime);
	char hex[CHAIN_SHA256_HEX + 1];
	bool good = entry && cmd_json_set_text(entry, "path", path, strlen(path));

	if (good && node->type == FS_REGULAR) {
		const enum chain_status status = digest_find(l, path, node, hex, err);

		if (status) {
			json_decref(entry);
			return status;
		}
		good = json_object_set_new(entry, "fsverity", json_string(hex)) == 0;
	}
	if (good && target)
		good = cmd_json_set_text(entry, "target", target, node->size_bytes);
	if (good && json_array_append(l->list, entry) == 0) {
		json_decref(entry);
		return CHAIN_OK;
	}
	json_decref(entry);
	return chain_fail_no_memory(err, path, sizeof(*entry));
}

static void node_print(const struct listing *l, const char *path, const struct fs_node *node, const char *target)
{
	char mode[11], date[32] = "";
	const time_t when = (time_t)node->mtime;
	struct tm tm;

	mode_text(node, mode);
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
	if (!l->details && node->type == FS_DIRECTORY && path[1])
		putchar('/');
	putchar('\n');
}

static enum chain_status node_show(void *ctx, const char *path, const struct fs_node *node, struct chain_error *err)
{
	struct listing *l = ctx;
	char *target;
	enum chain_status status = target_read(l, path, node, &target, err);

	if (!status && l->list)
		status = node_list(l, path, node, target, err);
	else if (!status && l->digests)
		status = node->type == FS_REGULAR ? digest_print(l, path, node, err) : CHAIN_OK;
	else if (!status)
		node_print(l, path, node, target);
	free(target);
	return status;
}

struct ls {
	const char *path;
	bool json, details, digests;
};

static enum chain_status ls(void *ctx, const struct image_file *file, struct chain_error *err)
{
	const struct ls *ls = ctx;
	struct listing l = { .image = &file->image,
			     .fs = &file->image.fs,
			     .details = ls->details,
			     .digests = ls->digests,
			     .list = ls->json ? json_array() : NULL };
	const enum chain_status status = image_tree_walk(l.fs, ls->path, node_show, &l, err);

	if (!status && ls->json)
		return image_file_print(l.list, err);
	json_decref(l.list);
	return status;
}

int cmd_ls(int argc, char **argv)
{
	struct ls options = { .path = "/" };
	const struct cmd_opt opts[] = {
		{ "long", 'l', CMD_OPT_FLAG, NULL, "with mode, links, owner, group, size and time (UTC)",
		  &options.details },
		{ "digest", 0, CMD_OPT_FLAG, NULL,
		  "files alone, each behind its digest, as `fsverity digest` prints it", &options.digests },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print one JSON array instead of text", &options.json },
	};
	const struct cmd_spec spec = {
		.command = "ls",
		.operands = "IMAGE [PATH]",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 1,
		.most = 2,
		.about = "Lists what is baked into an image, or what of it is at PATH and below."
	};
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
