/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how a native kernel's command line is written (docs/NATIVE.md): words with blanks between them; a stretch in
 * quotes keeps its blanks; a backslash before a quote or a backslash makes that an ordinary character, and is an
 * ordinary one before anything else. Must not know: where a line comes from, templates. */
#ifndef CHAIN_ARGS_H
#define CHAIN_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* The most words that a native kernel takes. */
enum { CHAIN_ARGS_MAX = 256 };

/* Takes a line apart in place: its words, borrowed from it, in `argv`, which has room for `most`. A quote that is not
 * closed reaches to the end. Returns how many words there are; more than `most`: the line had more, and what is behind
 * them is left as it was. */
size_t chain_args_split(char *text, char **argv, size_t most);

/* Where the quoting stands behind `bytes` bytes of a line. */
struct chain_args_state {
	bool quoted;    /* in a quoted stretch */
	bool backslash; /* behind a backslash that may make the next character an ordinary one */
};
void chain_args_scan(struct chain_args_state *state, const char *text, size_t bytes);

/* Writes `text` so that it stands for itself, in quotes or not, wherever blanks in it are meant to be: a backslash
 * before each quote and each backslash. At most `size` bytes with the terminator; returns the length of it all, as
 * snprintf does. */
size_t chain_args_escape(const char *text, char *out, size_t size);

#endif
