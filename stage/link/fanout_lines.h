/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the text of many kernels on one console: whole lines, each with its kernel's index.
 * Must not know: what the kernels are, or how they end. */
#ifndef STAGE_LINK_FANOUT_LINES_H
#define STAGE_LINK_FANOUT_LINES_H

#include <stddef.h>
#include <stdint.h>

struct fanout_line;
struct fanout_lines {
	struct fanout_line *first; /* owned: those that kernels have begun, and some to be used again */
	size_t kernels;            /* in all: how wide an index is */
};

/* Text that kernel `index` wrote, in pieces as they came. */
void fanout_lines_write(struct fanout_lines *lines, uint32_t index, const char *bytes, uint64_t count);
/* The kernel has ended: what it has begun is a line. */
void fanout_lines_end(struct fanout_lines *lines, uint32_t index);
void fanout_lines_free(struct fanout_lines *lines);

#endif
