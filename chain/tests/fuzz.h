/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what all fuzz targets hold the library to, whatever it parses.
 * Must not know: any format. */
#ifndef CHAIN_TESTS_FUZZ_H
#define CHAIN_TESTS_FUZZ_H

#include "chain/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input. */
#define FUZZ_HOLDS(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* Images are mostly zeros, which are a waste of a fuzzer's time and of room in the tree. So an input of such a target
 * is a list: the size (32 bits), then pieces: offset (32 bits), length (16 bits), bytes. Returns the image, the
 * caller's to free; it has exactly *out_size bytes, so that a sanitizer sees a read past its end. Whatever does not fit
 * is cut. */
enum { FUZZ_IMAGE_MAX = 256 * 1024 };
static inline uint8_t *fuzz_expand(const uint8_t *data, size_t size, size_t *out_size)
{
	uint32_t total = 0, offset;
	uint16_t length;

	if (size >= sizeof(total))
		memcpy(&total, data, sizeof(total));
	total = total > FUZZ_IMAGE_MAX ? FUZZ_IMAGE_MAX : total;
	uint8_t *image = calloc(total ? total : 1, 1);

	FUZZ_HOLDS(image);
	for (size_t at = sizeof(total); at + sizeof(offset) + sizeof(length) < size; at += length) {
		memcpy(&offset, data + at, sizeof(offset));
		memcpy(&length, data + at + sizeof(offset), sizeof(length));
		at += sizeof(offset) + sizeof(length);
		length = length > size - at ? (uint16_t)(size - at) : length;
		if (offset < total)
			memcpy(image + offset, data + at, length < total - offset ? length : total - offset);
	}
	*out_size = total;
	return image;
}

/* Neither control characters of ASCII nor those that UTF-8 writes as 0xc2 0x80 to 0xc2 0x9f, which terminals obey as
 * well. */
static inline bool fuzz_printable(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i], next = i + 1 < bytes ? (unsigned char)text[i + 1] : 0;

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
			return false;
	}
	return true;
}

/* The record says what was returned, and prints as one line that a terminal can be shown. Returns `status`. */
static inline enum chain_status fuzz_status(enum chain_status status, const struct chain_error *err)
{
	char text[2048];

	FUZZ_HOLDS(err->status == status);
	if (status == CHAIN_OK)
		return status;
	FUZZ_HOLDS(strcmp(chain_status_slug(status), "unknown") != 0);
	size_t bytes = chain_error_format(err, text, sizeof(text));
	FUZZ_HOLDS(bytes > 0 && bytes < sizeof(text) && strlen(text) == bytes);
	FUZZ_HOLDS(fuzz_printable(text, bytes));
	return status;
}

/* The same where what was parsed is UTF-8 if it got that far: then the error is as well, so that it can be written as
 * JSON. */
static inline enum chain_status fuzz_text_status(enum chain_status status, const struct chain_error *err)
{
	const char *const texts[] = { err->subject, err->detail };

	for (size_t i = 0; i < 2; i++) {
		json_t *text = json_string(texts[i]);

		FUZZ_HOLDS(text);
		json_decref(text);
	}
	return fuzz_status(status, err);
}

#endif
