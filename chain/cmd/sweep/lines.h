/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a file line by line, in bounded memory however large it is. Must not know: what the lines mean. */
#ifndef KCHAIN_SWEEP_LINES_H
#define KCHAIN_SWEEP_LINES_H

#include "chain/error.h"

enum { LINES_LINE_MAX = 4 << 20 };

struct lines {
	const char *path; /* borrowed, for errors */
	int fd;           /* borrowed; read at places of our own */
	char *buf;        /* owned */
	size_t room, used, at;
	uint64_t read_to;  /* in the file: where the buffer ends */
	uint64_t line;     /* number of the line that was taken last, from 1 */
	uint64_t line_end; /* in the file: behind it, and its newline */
	bool whole;        /* it had its newline */
};

/* From byte 0 of the file on. */
enum chain_status lines_open(struct lines *lines, int fd, const char *path, struct chain_error *err) CHAIN_MUST_CHECK;
void lines_close(struct lines *lines);
/* The next line without its newline, borrowed until the next call; null in *out at the end. CHAIN_E_LIMIT: it has more
 * than LINES_LINE_MAX bytes; CHAIN_E_IO. */
enum chain_status lines_next(struct lines *lines, const char **out, size_t *out_bytes,
			     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
