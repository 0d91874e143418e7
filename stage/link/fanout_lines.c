/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fanout_lines.h"

#include "stage/console.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 240 };

struct fanout_line {
	struct fanout_line *next;
	uint32_t index;
	size_t used; /* 0: nobody's */
	char bytes[LINE_BYTES];
};

/* "+": the line goes on. */
static void print(const struct fanout_lines *lines, struct fanout_line *line, bool more)
{
	char text[LINE_BYTES + 32];
	int width = snprintf(NULL, 0, "%zu", lines->kernels - 1);
	int used = snprintf(text, sizeof(text), "%*" PRIu32 "%s %.*s\n", width + 2, line->index, more ? "+" : "|",
			    (int)line->used, line->bytes);
	stage_console_write(text, (uint64_t)used);
	line->used = 0;
}

/* Null: no memory. */
static struct fanout_line *line_of(struct fanout_lines *lines, uint32_t index)
{
	struct fanout_line *line = lines->first, *unused = NULL;
	for (; line && (line->index != index || !line->used); line = line->next)
		if (!line->used)
			unused = line;
	if (!line)
		line = unused;
	if (!line && (line = calloc(1, sizeof(*line)))) {
		line->next = lines->first;
		lines->first = line;
	}
	if (line)
		line->index = index;
	return line;
}

static void put(const struct fanout_lines *lines, struct fanout_line *line, const char *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (bytes[i] == '\r')
			continue;
		if (bytes[i] != '\n')
			line->bytes[line->used++] = bytes[i];
		if (bytes[i] == '\n' || line->used == LINE_BYTES)
			print(lines, line, bytes[i] != '\n');
	}
}

void fanout_lines_write(struct fanout_lines *lines, uint32_t index, const char *bytes, uint64_t count)
{
	struct fanout_line *line = line_of(lines, index);
	if (line) {
		put(lines, line, bytes, count);
		return;
	}
	struct fanout_line own = { .index = index }; /* without memory to wait in, each piece is shown as it comes */
	put(lines, &own, bytes, count);
	if (own.used)
		print(lines, &own, true);
}

void fanout_lines_end(struct fanout_lines *lines, uint32_t index)
{
	for (struct fanout_line *line = lines->first; line; line = line->next)
		if (line->index == index && line->used)
			print(lines, line, false);
}

void fanout_lines_free(struct fanout_lines *lines)
{
	for (struct fanout_line *line = lines->first, *after; line; line = after) {
		after = line->next;
		free(line);
	}
}
