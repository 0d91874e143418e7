/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "image_file.h"

#include <string.h>

/* What is too long loses its middle: the file, and what in it, are what one looks for. */
enum chain_status image_file_error(const char *path, const struct chain_error *inner, struct chain_error *err)
{
	const size_t used = strlen(path) + strlen(": "), whole = strlen(inner->subject),
		     room = used + 4 < CHAIN_SUBJECT_BYTES ? CHAIN_SUBJECT_BYTES - 1 - used : 0;
	const bool cut = room > 0 && whole > room;
	char subject[2 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s: %s%s", path, cut ? "..." : "",
		       cut ? inner->subject + (whole - room + 3) : inner->subject);
	return chain_fail_again(err, inner, subject);
}

enum chain_status image_file_open(const char *path, struct image_file *out, struct chain_error *err)
{
	struct chain_error inner = { .status = CHAIN_OK };
	enum chain_status status = cmd_file_load(path, 0, &out->file, err);

	if (status)
		return status;
	status = chain_image_open(&out->image, out->file.bytes, out->file.bytes_count, &inner);
	if (!status)
		return CHAIN_OK;
	status = image_file_check(out, path, err);
	cmd_file_free(&out->file);
	return status ? status : image_file_error(path, &inner, err);
}

enum chain_status image_file_check(const struct image_file *file, const char *path, struct chain_error *err)
{
	return cmd_file_check(&file->file, path, err);
}

void image_file_close(struct image_file *file)
{
	cmd_file_free(&file->file);
}

/* A large image goes by without filling the memory. */
static void check_progress(void *ctx, uint64_t done, uint64_t total)
{
	enum { KEPT = 64 << 20 };
	struct image_check *check = ctx;
	const uint64_t more = done - check->heard;

	(void)total;
	check->heard = done;
	check->kept += more;
	cmd_progress_add(&check->progress, more);
	if (check->kept < KEPT)
		return;
	cmd_file_forget(check->file);
	check->kept = 0;
}

enum chain_status image_file_verify(struct image_check *check, const struct chain_image *image, struct chain_error *err)
{
	check->heard = 0;
	return chain_image_verify(image, check_progress, check, err);
}

int image_file_with(const char *path, bool json, image_file_use *use, void *ctx)
{
	struct chain_error err = { .status = CHAIN_OK }, inner = { .status = CHAIN_OK };
	struct image_file file;
	int code = CMD_OK;

	if (image_file_open(path, &file, &err))
		return cmd_refuse(&err, json);
	const enum chain_status status = use(ctx, &file, &inner);

	if (image_file_check(&file, path, &err)) {
		code = cmd_refuse(&err, json);
	} else if (status) {
		(void)image_file_error(path, &inner, &err);
		code = cmd_refuse(&err, json);
	}
	image_file_close(&file);
	return code;
}

enum chain_status image_file_print(json_t *doc, struct chain_error *err)
{
	return cmd_json_print(doc) ? CHAIN_OK :
				     chain_fail_text(err, CHAIN_E_IO, "the result", "it can't be written as JSON");
}

const char *image_id_text(const uint8_t id[CHAIN_SHA256_BYTES], char buf[IMAGE_ID_BYTES])
{
	memcpy(buf, "sha256:", 7);
	chain_sha256_to_hex(id, buf + 7);
	return buf;
}

bool image_id_parse(const char *text, uint8_t out[CHAIN_SHA256_BYTES])
{
	return strncmp(text, "sha256:", 7) == 0 && chain_sha256_from_hex(text + 7, strlen(text + 7), out);
}
