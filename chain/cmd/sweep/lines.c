/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_ROOM = 64 << 10 };

enum chain_status lines_open(struct lines *lines, int fd, const char *path, struct chain_error *err)
{
	*lines = (struct lines){ .path = path, .fd = fd, .buf = malloc(FIRST_ROOM), .room = FIRST_ROOM };
	return lines->buf ? CHAIN_OK : chain_fail_no_memory(err, path, FIRST_ROOM);
}

void lines_close(struct lines *lines)
{
	free(lines->buf);
	*lines = (struct lines){ .fd = -1 };
}

/* Makes room behind what is unread. */
static enum chain_status make_room(struct lines *lines, struct chain_error *err)
{
	memmove(lines->buf, lines->buf + lines->at, lines->used - lines->at);
	lines->used -= lines->at;
	lines->at = 0;
	if (lines->used < lines->room)
		return CHAIN_OK;
	if (lines->used > LINES_LINE_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = lines->path, .detail = "bytes of one line",
				  .value = lines->used, .limit = LINES_LINE_MAX);
	char *grown = realloc(lines->buf, 2 * lines->room);
	if (!grown)
		return chain_fail_no_memory(err, lines->path, 2 * lines->room);
	lines->buf = grown;
	lines->room *= 2;
	return CHAIN_OK;
}

/* False in *out_more: the file has ended. */
static enum chain_status fill(struct lines *lines, bool *out_more, struct chain_error *err)
{
	enum chain_status status = make_room(lines, err);
	ssize_t got = -1;
	while (!status && got < 0) {
		got = pread(lines->fd, lines->buf + lines->used, lines->room - lines->used, (off_t)lines->read_to);
		if (got < 0 && errno != EINTR)
			status = chain_fail_text(err, CHAIN_E_IO, lines->path, strerror(errno));
	}
	if (status)
		return status;
	lines->used += (size_t)got;
	lines->read_to += (uint64_t)got;
	*out_more = got > 0;
	return CHAIN_OK;
}

enum chain_status lines_next(struct lines *lines, const char **out, size_t *out_bytes, struct chain_error *err)
{
	size_t searched = 0;
	*out = NULL;
	for (;;) {
		const char *from = lines->buf + lines->at, *end;
		end = memchr(from + searched, '\n', lines->used - lines->at - searched);
		bool more = true;
		searched = lines->used - lines->at;
		if (!end) {
			enum chain_status status = fill(lines, &more, err);
			if (status)
				return status;
		}
		if (!end && more)
			continue;
		if (!end && !searched)
			return CHAIN_OK;
		from = lines->buf + lines->at;
		*out = from;
		*out_bytes = end ? (size_t)(end - from) : searched;
		lines->whole = end != NULL;
		lines->at += *out_bytes + lines->whole;
		lines->line++;
		lines->line_end = lines->read_to - (lines->used - lines->at);
		return CHAIN_OK;
	}
}
