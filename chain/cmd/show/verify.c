/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain verify`: every byte of an image, and of the images baked into it. */

#include "chain/cmd/image_file.h"
#include "chain/cmd/image_tree.h"

#include <stdlib.h>
#include <string.h>

struct verify {
	bool json;
	const char *path;
	const char *id; /* asked for; null: any */
	uint8_t wanted[CHAIN_SHA256_BYTES];
	uint64_t files, images;
	struct image_check check;
};

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct verify *v,
				struct chain_error *err);

static enum chain_status child_verify(const struct image_child *child, unsigned depth, struct verify *v,
				      struct chain_error *err)
{
	struct chain_error inner = { .status = CHAIN_OK };
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct chain_image image;
	enum chain_status status = chain_image_open(&image, child->bytes, child->bytes_count, &inner);

	if (!status)
		status = verify(&image, depth + 1, v, &inner);
	return status && image_child_path(child, path) ? image_file_error(path, &inner, err) : status;
}

/* An image inside an image has its parent's digest over it, but may have been damaged before it was baked. One that has
 * several names is verified once. */
static enum chain_status children_verify(const struct chain_image *image, unsigned depth, struct verify *v,
					 struct chain_error *err)
{
	struct image_child *children;
	size_t count;
	enum chain_status status = image_children_find(image, &children, &count, err);

	for (size_t i = 0; !status && i < count; i++)
		status = child_verify(&children[i], depth, v, err);
	free(children);
	return status;
}

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct verify *v,
				struct chain_error *err)
{
	if (depth > IMAGE_NESTING_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "images in images", .detail = "levels", .value = depth,
				  .limit = IMAGE_NESTING_MAX);
	enum chain_status status = image_file_verify(&v->check, image, err);

	if (!status)
		status = image_tree_walk(&image->fs, "/", NULL, NULL, err);
	if (status)
		return status;
	v->files += image->entry_count;
	v->images++;
	return children_verify(image, depth, v, err);
}

/* The id is the digest of the manifest, which was compared with it when the image was opened. */
static enum chain_status id_check(const struct verify *v, const struct chain_image *image, struct chain_error *err)
{
	char id[IMAGE_ID_BYTES];

	if (!v->id || memcmp(image->header.id, v->wanted, CHAIN_SHA256_BYTES) == 0)
		return CHAIN_OK;
	return chain_fail_text(err, CHAIN_E_IMAGE_OTHER_ID, "id", image_id_text(image->header.id, id));
}

static enum chain_status report(const struct verify *v, const struct image_file *file, struct chain_error *err)
{
	char id[IMAGE_ID_BYTES], size[CMD_SIZE_BYTES];

	image_id_text(file->image.header.id, id);
	if (v->json)
		return image_file_print(
			cmd_json_of_file("image", v->path,
					 json_pack("{s:s, s:b, s:I, s:I, s:I}", "id", id, "ok", 1, "bytes",
						   (json_int_t)file->file.bytes_count, "files", (json_int_t)v->files,
						   "images", (json_int_t)v->images)),
			err);
	fputs(cmd_style(stdout, CMD_GREEN), stdout);
	cmd_text_put(stdout, v->path);
	printf(": good%s  %s, %llu files and links", cmd_style(stdout, CMD_PLAIN),
	       cmd_size_text(file->file.bytes_count, size), (unsigned long long)v->files);
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
	enum chain_status status = id_check(v, &file->image, err);

	if (!status)
		status = verify(&file->image, 1, v, err);

	cmd_progress_end(&v->check.progress);
	const enum chain_status whole = image_file_check(file, v->path, err);

	if (status || whole)
		return whole ? whole : status;
	return report(v, file, err);
}

int cmd_verify(int argc, char **argv)
{
	struct verify v = { .json = false };
	const struct cmd_opt opts[] = {
		{ "id", 0, CMD_OPT_TEXT, "ID",
		  "refuse an image with another id than this (sha256:…, as `kchain bake` says it)", &v.id },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &v.json }
	};
	const struct cmd_spec spec = {
		.command = "verify",
		.operands = "IMAGE",
		.opts = opts,
		.opt_count = 2,
		.least = 1,
		.most = 1,
		.about = "Checks every byte of an image, and of the images baked into it. What is damaged is named:\n"
			 "a part (elf, stage, manifest, fs-meta, sections, padding) or a baked file."
	};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	v.path = args.v[0];
	if (v.id && !image_id_parse(v.id, v.wanted))
		code = cmd_usage("verify", "--id: '%s' is none: sha256: and 64 hexadecimal digits", v.id);
	else
		code = image_file_with(v.path, v.json, use, &v);
	cmd_args_free(&args);
	return code;
}
