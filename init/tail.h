/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the last lines that a program wrote. Must not know: where they come from. */
#ifndef INIT_TAIL_H
#define INIT_TAIL_H

#include <jansson.h>
#include <stddef.h>

enum { INIT_TAIL_BYTES = 4096, INIT_TAIL_LINES = 20 };

struct init_tail {
	char ring[INIT_TAIL_BYTES];
	size_t total; /* bytes that were ever written */
};

void init_tail_add(struct init_tail *tail, const char *bytes, size_t count);

/* An array of the last lines, at most INIT_TAIL_LINES; of a first one that is not whole any more what is left, behind
 * "...". What is no UTF-8, and control characters but tabs, become U+FFFD. New reference; null: no memory. */
json_t *init_tail_lines(const struct init_tail *tail);

#endif
