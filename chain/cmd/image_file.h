/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what inspect, verify, ls and cat share: an image file on the host, opened, with errors that name the file. */
#ifndef KCHAIN_IMAGE_FILE_H
#define KCHAIN_IMAGE_FILE_H

#include "chain/image.h"
#include "cmd.h"

struct image_file {
	struct cmd_file file;
	struct chain_image image;
};

/* Loads and opens; the error's subject is "FILE: part". */
enum chain_status image_file_open(const char *path, struct image_file *out, struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether what was found in it counts (cmd_file_check): in the place of what `err` holds. To be asked before a result
 * is printed, and at the end. */
enum chain_status image_file_check(const struct image_file *file, const char *path,
				   struct chain_error *err) CHAIN_MUST_CHECK;
void image_file_close(struct image_file *file);

/* Records `inner` in `err` with the file's name before its subject; returns its status. */
enum chain_status image_file_error(const char *path, const struct chain_error *inner, struct chain_error *err);

/* chain_image_verify of an image of this file or in it, with progress on stderr, in memory that does not grow with its
 * size. */
struct image_check {
	const struct cmd_file *file;
	struct cmd_progress progress; /* started, and ended by the caller */
	uint64_t heard, kept;         /* bytes of this image; since memory was given back */
};
enum chain_status image_file_verify(struct image_check *check, const struct chain_image *image,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* Opens, calls `use`, closes. What fails is printed with the file's name before the error's subject. Returns the exit
 * code. */
typedef enum chain_status image_file_use(void *ctx, const struct image_file *file, struct chain_error *err);
int image_file_with(const char *path, bool json, image_file_use *use, void *ctx);
/* cmd_json_print, for a `use`. */
enum chain_status image_file_print(json_t *doc, struct chain_error *err) CHAIN_MUST_CHECK;

/* "sha256:…" */
enum { IMAGE_ID_BYTES = 7 + CHAIN_SHA256_HEX + 1 };
bool image_id_parse(const char *text, uint8_t out[CHAIN_SHA256_BYTES]);
const char *image_id_text(const uint8_t id[CHAIN_SHA256_BYTES], char buf[IMAGE_ID_BYTES]);

#endif
