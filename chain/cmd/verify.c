/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain verify`: every byte of an image, and of the images baked into it. */

#include "image_file.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

struct count {
	uint64_t files, images;
};

static bool is_image_file(const struct chain_image *image, const char *path, const uint8_t **bytes, uint64_t *count)
{
	uint8_t digest[CHAIN_SHA256_BYTES];

	return chain_image_file(image, path, bytes, count, digest, NULL) == CHAIN_OK && chain_image_is(*bytes, *count);
}

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct count *out,
				struct chain_error *err);

/* An image inside an image has its parent's digest over it, but may have been damaged before it was baked. */
static enum chain_status children_verify(const struct chain_image *image, unsigned depth, struct count *out,
					 struct chain_error *err)
{
	struct chain_manifest_entry entry;
	char path[CHAIN_IMAGE_PATH_BYTES];

	for (uint64_t cursor = 0; chain_manifest_next(image, &cursor, &entry);) {
		struct chain_error inner = {.status = CHAIN_OK};
		struct chain_image child;
		const uint8_t *bytes;
		uint64_t count;

		if (entry.kind != CHAIN_MANIFEST_FILE || entry.path_bytes >= sizeof(path))
			continue;
		memcpy(path, entry.path, entry.path_bytes);
		path[entry.path_bytes] = '\0';
		if (!is_image_file(image, path, &bytes, &count))
			continue;
		enum chain_status status = chain_image_open(&child, bytes, count, &inner);

		if (status == CHAIN_OK)
			status = verify(&child, depth + 1, out, &inner);
		if (status != CHAIN_OK)
			return image_file_error(path, &inner, err);
	}
	return CHAIN_OK;
}

static enum chain_status verify(const struct chain_image *image, unsigned depth, struct count *out,
				struct chain_error *err)
{
	const enum chain_status status = chain_image_verify(image, NULL, NULL, err);

	if (status != CHAIN_OK)
		return status;
	out->files += image->entry_count;
	out->images++;
	if (depth == DEPTH_MAX)
		return chain_fail(err, CHAIN_E_LIMIT, "images in images", NULL, depth + 1, DEPTH_MAX, 0, 0);
	return children_verify(image, depth, out, err);
}

static int report(const struct image_file *file, const char *path, const struct count *count, bool json)
{
	char id[IMAGE_ID_BYTES], size[CMD_SIZE_BYTES];

	image_id_text(file->image.header.id, id);
	if (json)
		return cmd_json_print(json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "image", path, "id", id, "ok", 1,
						"bytes", (json_int_t)file->file.bytes_count, "files",
						(json_int_t)count->files, "images", (json_int_t)count->images))
			   ? CMD_OK
			   : CMD_REFUSED;
	printf("%s%s: good%s  %s, %llu files and links", cmd_style(stdout, CMD_GREEN), path,
	       cmd_style(stdout, CMD_PLAIN), cmd_size_text(file->file.bytes_count, size),
	       (unsigned long long)count->files);
	if (count->images > 1)
		printf(", %llu images inside", (unsigned long long)count->images - 1);
	printf("\n  id %s\n", id);
	return CMD_OK;
}

int cmd_verify(int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = {{"json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &json}};
	const struct cmd_spec spec = {
	    .command = "verify",
	    .operands = "IMAGE",
	    .opts = opts,
	    .opt_count = 1,
	    .least = 1,
	    .most = 1,
	    .about = "Checks every byte of an image, and of the images baked into it. What is damaged is named:\n"
		     "a part (elf, stage, manifest, fs-meta, sections, padding) or a baked file."};
	struct chain_error err = {.status = CHAIN_OK}, inner = {.status = CHAIN_OK};
	struct image_file file;
	struct count count = {0, 0};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (image_file_open(args.v[0], &file, &err) != CHAIN_OK) {
		code = cmd_refuse(&err, json);
	} else {
		if (verify(&file.image, 0, &count, &inner) == CHAIN_OK) {
			code = report(&file, args.v[0], &count, json);
		} else {
			(void)image_file_error(args.v[0], &inner, &err);
			code = cmd_refuse(&err, json);
		}
		image_file_close(&file);
	}
	cmd_args_free(&args);
	return code;
}
