/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: work in pieces that need nothing of each other, done on several processors where a program has them.
 * Must not know: what the work is, or how a program comes by processors. */
#ifndef CHAIN_PARALLEL_H
#define CHAIN_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Piece `index` of the work that `ctx` describes. It runs on any processor, and once more on another one where its
 * processor was lost: it writes nothing but the piece's own result, and uses neither heap nor files. */
typedef void chain_parallel_piece(void *ctx, size_t index);
enum { CHAIN_PARALLEL_PIECES = 64 }; /* at most, at a time */

struct chain_parallel {
	/* Whether others are there to help. `bytes`: how much is to be worked on, so that processors are started for
	 * what is worth it. */
	bool (*gather)(uint64_t bytes);
	/* Returns when all pieces are done. False: a processor was lost while it did one. What it was to write to must
	 * stay its own for good; nobody else helps any more. */
	bool (*run)(chain_parallel_piece *piece, void *ctx, size_t count);
};

/* Whoever has processors says so, once, at the beginning; borrowed. Null: none. */
void chain_parallel_set(const struct chain_parallel *parallel);
/* False where nobody has said so. */
bool chain_parallel_gather(uint64_t bytes);
/* Only after chain_parallel_gather has said yes. */
bool chain_parallel_run(chain_parallel_piece *piece, void *ctx, size_t count);

#endif
