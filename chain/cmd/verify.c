/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain verify`: every byte of an image, and of the images baked into it. */

#include "image_file.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

struct verify {
	bool json;
	const char *path;
	uint64_t files, images;
	struct image_check check;
};

/* An image in a file of an image that was verified. */
struct child {
	struct chain_manifest_entry entry;
	const uint8_t *bytes;
	uint64_t bytes_count;
};

static bool path_of(const struct child *child, char out[CHAIN_IMAGE_PATH_BYTES])
{
	if (child->entry.path_bytes >= CHAIN_IMAGE_PATH_BYTES)
		return false;
	memcpy(out, child->entry.path, child->entry.path_bytes);
	out[child->entry.path_bytes] = '\0';
	return true;
}

/* Its digest was found right before. */
static bool is_image(const struct chain_image *image, struct child *child)
{
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct fs_node node;

	return child->entry.kind == CHAIN_MANIFEST_FILE && path_of(child, path) &&
	       fs_lookup(&image->fs, path, false, &node, NULL) == CHAIN_OK &&
	       fs_file_bytes(&image->fs, &node, &child->bytes, &child->bytes_count, NULL) == CHAIN_OK &&
	       chain_image_is(child->bytes, child->bytes_count);
}

static int by_place(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return (x->entry.path > y->entry.path) - (x->entry.path < y->entry.path);
}

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct verify *v,
				struct chain_error *err);

static enum chain_status child_verify(const struct child *child, unsigned depth, struct verify *v,
				      struct chain_error *err)
{
	struct chain_error inner = {.status = CHAIN_OK};
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct chain_image image;
	enum chain_status status = chain_image_open(&image, child->bytes, child->bytes_count, &inner);

	if (status == CHAIN_OK)
		status = verify(&image, depth + 1, v, &inner);
	return status != CHAIN_OK && path_of(child, path) ? image_file_error(path, &inner, err) : status;
}

/* An image inside an image has its parent's digest over it, but may have been damaged before it was baked. One that has
 * several names is verified once. */
static enum chain_status children_verify(const struct chain_image *image, unsigned depth, struct verify *v,
					 struct chain_error *err)
{
	struct child *children = calloc(image->entry_count + 1, sizeof(*children));
	enum chain_status status = CHAIN_OK;
	size_t count = 0;

	if (!children)
		return chain_fail(err, CHAIN_E_NO_MEMORY, "images in it", NULL, image->entry_count * sizeof(*children),
				  0, 0, 0);
	for (uint64_t cursor = 0; chain_manifest_next(image, &cursor, &children[count].entry);)
		count += is_image(image, &children[count]);
	qsort(children, count, sizeof(*children), by_place);
	for (size_t i = 0; status == CHAIN_OK && i < count; i++)
		if (i == 0 || children[i].bytes != children[i - 1].bytes)
			status = child_verify(&children[i], depth, v, err);
	free(children);
	return status;
}

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct verify *v,
				struct chain_error *err)
{
	const enum chain_status status = image_file_verify(&v->check, image, err);

	if (status != CHAIN_OK)
		return status;
	v->files += image->entry_count;
	v->images++;
	if (depth == DEPTH_MAX)
		return chain_fail(err, CHAIN_E_LIMIT, "images in images", NULL, depth + 1, DEPTH_MAX, 0, 0);
	return children_verify(image, depth, v, err);
}

static enum chain_status report(const struct verify *v, const struct image_file *file, struct chain_error *err)
{
	char id[IMAGE_ID_BYTES], size[CMD_SIZE_BYTES];

	image_id_text(file->image.header.id, id);
	if (v->json)
		return image_file_print(json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "image", v->path, "id", id, "ok", 1,
						  "bytes", (json_int_t)file->file.bytes_count, "files",
						  (json_int_t)v->files, "images", (json_int_t)v->images),
					err);
	fputs(cmd_style(stdout, CMD_GREEN), stdout);
	cmd_text_put(stdout, v->path);
	printf(": good%s  %s, %llu files and links", cmd_style(stdout, CMD_PLAIN), cmd_size_text(file->file.bytes_count, size),
	       (unsigned long long)v->files);
	if (v->images > 1)
		printf(", %llu image%s inside", (unsigned long long)v->images - 1, v->images > 2 ? "s" : "");
	printf("\n  id %s\n", id);
	return CHAIN_OK;
}

static enum chain_status use(void *ctx, const struct image_file *file, struct chain_error *err)
{
	struct verify *v = ctx;

	v->check.file = &file->file;
	cmd_progress_start(&v->check.progress, "checked");
	const enum chain_status status = verify(&file->image, 0, v, err);

	cmd_progress_end(&v->check.progress);
	const enum chain_status whole = image_file_check(file, v->path, err);

	if (status != CHAIN_OK || whole != CHAIN_OK)
		return whole != CHAIN_OK ? whole : status;
	return report(v, file, err);
}

int cmd_verify(int argc, char **argv)
{
	struct verify v = {.json = false};
	const struct cmd_opt opts[] = {
	    {"json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &v.json}};
	const struct cmd_spec spec = {
	    .command = "verify",
	    .operands = "IMAGE",
	    .opts = opts,
	    .opt_count = 1,
	    .least = 1,
	    .most = 1,
	    .about = "Checks every byte of an image, and of the images baked into it. What is damaged is named:\n"
		     "a part (elf, stage, manifest, fs-meta, sections, padding) or a baked file."};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	v.path = args.v[0];
	code = image_file_with(v.path, v.json, use, &v);
	cmd_args_free(&args);
	return code;
}
