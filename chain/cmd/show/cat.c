/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain cat`: a baked file's bytes, its digest checked first, or the manifest. */

#include "chain/cmd/image_file.h"

#include <string.h>

struct cat {
	const char *path; /* null: the manifest */
	bool json, manifest;
};

/* With the text where it is one. */
static json_t *as_json(const char *path, const uint8_t *bytes, uint64_t count)
{
	json_t *text = json_stringn((const char *)bytes, count);
	char hex[CHAIN_SHA256_HEX + 1];
	uint8_t digest[CHAIN_SHA256_BYTES];

	chain_sha256_of(bytes, count, digest);
	chain_sha256_to_hex(digest, hex);
	json_t *doc =
		cmd_json_of_file("path", path, json_pack("{s:I, s:s}", "bytes", (json_int_t)count, "sha256", hex));

	if (text)
		json_object_set_new(doc, "text", text);
	return doc;
}

/* In pieces of our own: what is lost of a mapped file shows here and not in a system call. */
static enum chain_status put(const struct image_file *file, const uint8_t *bytes, uint64_t count,
			     struct chain_error *err)
{
	uint8_t piece[65536];

	while (count > 0) {
		const size_t now = count < sizeof(piece) ? (size_t)count : sizeof(piece);

		memcpy(piece, bytes, now);
		const enum chain_status status = image_file_check(file, "the image", err);

		if (status)
			return status;
		if (fwrite(piece, 1, now, stdout) != now)
			return CHAIN_OK; /* main says why */
		bytes += now;
		count -= now;
	}
	return CHAIN_OK;
}

static enum chain_status cat(void *ctx, const struct image_file *file, struct chain_error *err)
{
	const struct cat *cat = ctx;
	const uint8_t *bytes = (const uint8_t *)file->image.manifest;
	uint64_t count = file->image.manifest_bytes;

	if (cat->path) {
		const enum chain_status status = chain_image_file(&file->image, cat->path, &bytes, &count, NULL, err);

		if (status)
			return status;
	}
	if (cat->json)
		return image_file_print(as_json(cat->path ? cat->path : "manifest", bytes, count), err);
	return put(file, bytes, count, err);
}

int cmd_cat(int argc, char **argv)
{
	struct cat options = { .path = NULL };
	const struct cmd_opt opts[] = {
		{ "manifest", 0, CMD_OPT_FLAG, NULL, "print the manifest; its SHA-256 is the image's id",
		  &options.manifest },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print path, size, digest and, of a text, the text as JSON",
		  &options.json },
	};
	const struct cmd_spec spec = {
		.command = "cat",
		.operands = "IMAGE [PATH]",
		.opts = opts,
		.opt_count = 2,
		.least = 1,
		.most = 2,
		.about = "Prints a file baked into an image. Nothing is printed of a file that is damaged.",
		.epilog = "example: kchain cat image.elf --manifest | sha256sum"
	};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (args.count > 1)
		options.path = args.v[1];
	if (options.manifest != (args.count == 1))
		code = cmd_usage("cat", options.manifest ? "--manifest takes no PATH" :
							   "which file? Give a PATH, or --manifest");
	else
		code = image_file_with(args.v[0], options.json, cat, &options);
	cmd_args_free(&args);
	return code;
}
