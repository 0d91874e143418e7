/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the words of a command line that is being made. Must not know: whose. */
#ifndef KCHAIN_WORDS_H
#define KCHAIN_WORDS_H

#include <stddef.h>

struct words {
	char **v; /* owned, null-terminated, its strings too; null while there are none */
	size_t count;
	size_t lacking; /* bytes that there were not; 0: no failure */
};

/* Adds one word. */
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_free(struct words *words);

#endif
