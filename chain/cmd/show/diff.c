/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain diff`: what differs between two images, file by file, in their roots too. */

#include "chain/cmd/image_file.h"
#include "chain/cmd/image_tree.h"
#include "chain/json_write.h"
#include "chain/verity.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_FILE   "/kchain/root"
#define ROOT_PREFIX "root:"

/* One file, folder, link or device. */
struct entry {
	char *path; /* owned; in a root: behind ROOT_PREFIX */
	struct fs_node node;
	uint8_t digest[CHAIN_SHA256_BYTES]; /* of a file's bytes, or a link's target; else zero */
};

struct side {
	char id[IMAGE_ID_BYTES];
	struct entry *v;
	size_t count, room;
	const struct fs *fs; /* that is being walked */
	const char *prefix;
	bool root_is_listed;
};

static void side_free(struct side *side)
{
	for (size_t i = 0; i < side->count; i++)
		free(side->v[i].path);
	free(side->v);
}

static enum chain_status digest_make(const struct fs *fs, const struct fs_node *node, uint8_t *out,
				     struct chain_error *err)
{
	char target[4096];
	const uint8_t *bytes;
	uint64_t count;
	enum chain_status status = CHAIN_OK;

	if (node->type == FS_REGULAR) {
		status = fs_file_bytes(fs, node, &bytes, &count, err);
		if (!status)
			chain_verity_of(bytes, count, out);
	} else if (node->type == FS_SYMLINK && node->size_bytes <= sizeof(target)) {
		status = fs_read(fs, node, 0, target, node->size_bytes, err);
		if (!status)
			chain_sha256_of(target, node->size_bytes, out);
	}
	return status;
}

static enum chain_status entry_add(void *ctx, const char *path, const struct fs_node *node, struct chain_error *err)
{
	struct side *side = ctx;

	if (side->root_is_listed && !*side->prefix && strcmp(path, ROOT_FILE) == 0)
		return CHAIN_OK;
	if (side->count == side->room) {
		const size_t room = side->room ? side->room * 2 : 256;
		struct entry *grown = realloc(side->v, room * sizeof(*grown));

		if (!grown)
			return chain_fail_no_memory(err, path, room * sizeof(*grown));
		side->v = grown;
		side->room = room;
	}
	struct entry *entry = &side->v[side->count];

	*entry = (struct entry){ .node = *node };
	if (asprintf(&entry->path, "%s%s", side->prefix, path) < 0)
		return chain_fail_no_memory(err, path, strlen(path));
	side->count++;
	return digest_make(side->fs, node, entry->digest, err);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* A root that is no EROFS is a file like any other. */
static enum chain_status collect(void *ctx, const struct image_file *file, struct chain_error *err)
{
	struct side *side = ctx;
	struct fs_node node;
	struct fs root;
	const uint8_t *bytes;
	uint64_t count;

	image_id_text(file->image.header.id, side->id);
	side->root_is_listed = !fs_lookup(&file->image.fs, ROOT_FILE, true, &node, NULL) && node.type == FS_REGULAR &&
			       !fs_file_bytes(&file->image.fs, &node, &bytes, &count, NULL) &&
			       !fs_mount(&root, bytes, count, NULL);
	side->fs = &file->image.fs;
	side->prefix = "";
	enum chain_status status = image_tree_walk(side->fs, "/", entry_add, side, err);

	if (!status && side->root_is_listed) {
		side->fs = &root;
		side->prefix = ROOT_PREFIX;
		status = image_tree_walk(side->fs, "/", entry_add, side, err);
	}
	if (side->count > 0)
		qsort(side->v, side->count, sizeof(*side->v), by_path);
	return status;
}

/* --- comparing --- */

enum change { ADDED, REMOVED, CHANGED };
static const char *const change_names[] = { "added", "removed", "changed" };

/* What of an entry is another; times alone are reported as well. Null: nothing. */
static const char *what_differs(const struct entry *a, const struct entry *b)
{
	const struct fs_node *x = &a->node, *y = &b->node;

	if (x->type != y->type)
		return "type";
	if (memcmp(a->digest, b->digest, sizeof(a->digest)) != 0 ||
	    (x->type == FS_REGULAR && x->size_bytes != y->size_bytes))
		return "contents";
	if (x->mode != y->mode)
		return "mode";
	if (x->uid != y->uid || x->gid != y->gid)
		return "owner";
	if (x->type != FS_REGULAR && x->type != FS_DIRECTORY && x->rdev != y->rdev)
		return "device";
	return x->mtime != y->mtime || x->mtime_ns != y->mtime_ns ? "time" : NULL;
}

static bool tell_json(json_t *list, enum change change, const struct entry *a, const struct entry *b, const char *what)
{
	const struct entry *const sides[] = { a, b };
	static const char *const names[] = { "before", "after" };
	const char *path = (a ? a : b)->path;
	json_t *row = chain_json_object(CHAIN_TEXT("change", change_names[change]));
	bool good = row && cmd_json_set_text(row, "path", path, strlen(path));

	if (good && what)
		good = json_object_set_new(row, "what", json_string(what)) == 0;
	for (size_t i = 0; good && i < 2; i++) {
		char hex[CHAIN_SHA256_HEX + 1];

		if (!sides[i])
			continue;
		chain_sha256_to_hex(sides[i]->digest, hex);
		good = json_object_set_new(
			       row, names[i],
			       chain_json_object(
				       CHAIN_INT("bytes", (json_int_t)sides[i]->node.size_bytes),
				       CHAIN_INT("mode", (json_int_t)sides[i]->node.mode),
				       CHAIN_TEXT("fsverity", sides[i]->node.type == FS_REGULAR ? hex : NULL))) == 0;
	}
	return json_array_append_new(list, row) == 0 && good;
}

static void tell(enum change change, const struct entry *a, const struct entry *b, const char *what)
{
	const struct entry *one = a ? a : b;

	printf("%c ", "+-~"[change]);
	cmd_text_put(stdout, one->path);
	if (change == CHANGED && strcmp(what, "contents") == 0)
		printf("  %llu -> %llu bytes", (unsigned long long)a->node.size_bytes,
		       (unsigned long long)b->node.size_bytes);
	else if (change == CHANGED)
		printf("  (%s)", what);
	else if (one->node.type == FS_REGULAR)
		printf("  %llu bytes", (unsigned long long)one->node.size_bytes);
	putchar('\n');
}

/* How many differ, each of which is reported. */
static size_t compare(const struct side *a, const struct side *b, json_t *list)
{
	size_t i = 0, j = 0, found = 0;

	while (i < a->count || j < b->count) {
		const int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->v[i].path, b->v[j].path);
		const struct entry *x = order <= 0 ? &a->v[i++] : NULL, *y = order >= 0 ? &b->v[j++] : NULL;
		const char *what = x && y ? what_differs(x, y) : NULL;
		const enum change change = !x ? ADDED : !y ? REMOVED : CHANGED;

		if (x && y && !what)
			continue;
		found++;
		if (list)
			(void)tell_json(list, change, x, y, what);
		else
			tell(change, x, y, what);
	}
	return found;
}

static int finish(const struct side *a, const struct side *b, bool json)
{
	json_t *list = json ? json_array() : NULL;
	const size_t found = compare(a, b, list);

	if (!json) {
		if (found == 0)
			printf("no file differs; %s\n",
			       strcmp(a->id, b->id) == 0 ? "the images are the same" : "the stages or the layout do");
		return CMD_OK;
	}
	return cmd_json_print(chain_json_object(CHAIN_TEXT("before", a->id), CHAIN_TEXT("after", b->id),
						CHAIN_BOOL("same", strcmp(a->id, b->id) == 0),
						CHAIN_STEAL("changes", list))) ?
		       CMD_OK :
		       CMD_REFUSED;
}

int cmd_diff(int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &json },
	};
	const struct cmd_spec spec = {
		.command = "diff",
		.operands = "IMAGE IMAGE",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 2,
		.most = 2,
		.about = "Says which files were added (+), removed (-) and changed (~) from the first image to the "
			 "second: by "
			 "path, contents, mode, owner and time. What is in a root is listed with \"root:\" before its "
			 "path.",
	};
	struct side a = { .prefix = "" }, b = { .prefix = "" };
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	code = image_file_with(args.v[0], json, collect, &a);
	if (code == CMD_OK)
		code = image_file_with(args.v[1], json, collect, &b);
	if (code == CMD_OK)
		code = finish(&a, &b, json);
	side_free(&a);
	side_free(&b);
	cmd_args_free(&args);
	return code;
}
