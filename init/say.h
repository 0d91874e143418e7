/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how init speaks: lines on the console for people, records for programs (docs/RECORDS.md), and the verdict at
 * the exit port. Must not know: what there is to say. */
#ifndef INIT_SAY_H
#define INIT_SAY_H

#include "chain/error.h"

#include <jansson.h>

/* Makes /dev/console standard input, output and error, and looks for the debug port. /dev is mounted. */
void init_say_begin(void);

/* A line on the console; one that was begun by others ends first. */
void init_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes of the program's, as they are: but a line that could be taken for a record gets "> " in front. Returns whether
 * there was such a line. `flush`: nothing follows. */
struct init_stream {
	char held[8]; /* the beginning of a line that may become such a one */
	size_t held_bytes;
};
bool init_say_bytes(struct init_stream *stream, const char *bytes, size_t count, bool flush);

/* Steals `record`; null is passed over. */
void init_record(json_t *record);
/* An error on the console and as a record. */
void init_say_error(const struct chain_error *err);

/* docs/RECORDS.md, "The exit port": where there is a debug port, and so QEMU, which ends then. */
void init_exit_port(int status);
/* A program of the root's must not reach the debug port: what its process inherits is taken away. */
void init_say_forget_port(void);

#endif
