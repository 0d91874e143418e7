/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what all fuzz targets hold the library to, whatever it parses.
 * Must not know: any format. */
#ifndef CHAIN_TESTS_FUZZ_H
#define CHAIN_TESTS_FUZZ_H

#include "chain/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input. */
#define FUZZ_HOLDS(condition)                                                                        \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                     \
		}                                                                                    \
	} while (0)

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
	for (size_t i = 0; i < bytes; i++)
		FUZZ_HOLDS((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
	return status;
}

#endif
