/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain cat`: a baked file's bytes, its digest checked first, or the manifest. */

#include "image_file.h"

#include <errno.h>
#include <string.h>

static enum chain_status find(const struct image_file *file, const char *image, const char *path, bool manifest,
			      const uint8_t **out, uint64_t *out_count, struct chain_error *err)
{
	struct chain_error inner = {.status = CHAIN_OK};
	uint8_t digest[CHAIN_SHA256_BYTES];

	if (manifest) {
		*out = (const uint8_t *)file->image.manifest;
		*out_count = file->image.manifest_bytes;
		return CHAIN_OK;
	}
	if (chain_image_file(&file->image, path, out, out_count, digest, &inner) == CHAIN_OK)
		return CHAIN_OK;
	return image_file_error(image, &inner, err);
}

/* As text where it is UTF-8, else as hexadecimal digits. */
static json_t *as_json(const char *path, const uint8_t *bytes, uint64_t count)
{
	json_t *text = json_stringn((const char *)bytes, count);
	char hex[CHAIN_SHA256_HEX + 1];
	uint8_t digest[CHAIN_SHA256_BYTES];

	chain_sha256_of(bytes, count, digest);
	chain_sha256_to_hex(digest, hex);
	json_t *doc = json_pack("{s:s, s:I, s:s}", "path", path, "bytes", (json_int_t)count, "sha256", hex);

	if (text)
		json_object_set_new(doc, "text", text);
	return doc;
}

int cmd_cat(int argc, char **argv)
{
	bool json = false, manifest = false;
	const struct cmd_opt opts[] = {
	    {"manifest", 0, CMD_OPT_FLAG, NULL, "print the manifest; its SHA-256 is the image's id", &manifest},
	    {"json", 0, CMD_OPT_FLAG, NULL, "print path, size, digest and, of a text, the text as JSON", &json},
	};
	const struct cmd_spec spec = {
	    .command = "cat",
	    .operands = "IMAGE [PATH]",
	    .opts = opts,
	    .opt_count = 2,
	    .least = 1,
	    .most = 2,
	    .about = "Prints a file baked into an image. Nothing is printed of a file that is damaged.",
	    .epilog = "kchain cat IMAGE --manifest | sha256sum"};
	struct chain_error err = {.status = CHAIN_OK};
	struct image_file file;
	struct cmd_args args;
	const uint8_t *bytes;
	uint64_t count;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (manifest != (args.count == 1)) {
		code =
		    cmd_usage("cat", manifest ? "--manifest takes no PATH" : "which file? Give a PATH, or --manifest");
	} else if (image_file_open(args.v[0], &file, &err) != CHAIN_OK) {
		code = cmd_refuse(&err, json);
	} else {
		const char *path = manifest ? "manifest" : args.v[1];

		if (find(&file, args.v[0], path, manifest, &bytes, &count, &err) != CHAIN_OK)
			code = cmd_refuse(&err, json);
		else if (json)
			code = cmd_json_print(as_json(path, bytes, count)) ? CMD_OK : CMD_REFUSED;
		else
			code = fwrite(bytes, 1, count, stdout) == count ? CMD_OK : CMD_REFUSED;
		image_file_close(&file);
	}
	cmd_args_free(&args);
	return code;
}
