/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "tail.h"

#include "chain/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void init_tail_add(struct init_tail *tail, const char *bytes, size_t count)
{
	tail->total += count;
	if (count > INIT_TAIL_BYTES) {
		bytes += count - INIT_TAIL_BYTES;
		count = INIT_TAIL_BYTES;
	}
	for (size_t i = 0; i < count; i++)
		tail->ring[(tail->total - count + i) % INIT_TAIL_BYTES] = bytes[i];
}

/* A line of `bytes` bytes, behind which is room for a zero byte. */
static json_t *line_text(const char *line, size_t bytes, bool cut)
{
	static const char unknown[] = "\xef\xbf\xbd";
	char *text = malloc(3 * bytes + 4);
	size_t used = 0;
	if (!text)
		return NULL;
	if (cut)
		used = (size_t)(stpcpy(text, "...") - text);
	for (size_t i = 0; i < bytes;) {
		size_t length = chain_utf8_bytes(line + i);
		bool control = length && chain_text_has_control(line + i, length) && line[i] != '\t';
		if (!length || length > bytes - i || control) {
			memcpy(text + used, unknown, 3);
			used += 3;
			i++;
			continue;
		}
		memcpy(text + used, line + i, length);
		used += length;
		i += length;
	}
	json_t *value = json_stringn(text, used);
	free(text);
	return value;
}

static json_t *lines_of(char *text, size_t bytes, bool cut)
{
	json_t *lines = json_array();
	size_t begin = bytes, count = 0, end = bytes;
	if (end && text[end - 1] == '\n')
		end--;
	for (begin = end; begin > 0 && count < INIT_TAIL_LINES; begin--)
		count += text[begin - 1] == '\n';
	if (count == INIT_TAIL_LINES)
		begin++;
	for (size_t at = begin, line = begin; bytes && at <= end; at++) {
		if (at < end && text[at] != '\n')
			continue;
		size_t length = at - line;
		length -= length && text[at - 1] == '\r';
		text[at] = '\0';
		if (json_array_append_new(lines, line_text(text + line, length, cut && line == 0)))
			break;
		line = at + 1;
	}
	return lines;
}

json_t *init_tail_lines(const struct init_tail *tail)
{
	static char text[INIT_TAIL_BYTES + 1];
	size_t bytes = tail->total < INIT_TAIL_BYTES ? tail->total : INIT_TAIL_BYTES;
	for (size_t i = 0; i < bytes; i++)
		text[i] = tail->ring[(tail->total - bytes + i) % INIT_TAIL_BYTES];
	text[bytes] = '\0';
	return lines_of(text, bytes, tail->total > INIT_TAIL_BYTES);
}
