/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a file's digest on threads of its own, so that a large file is hashed while its next pieces are read and the
 * last ones written. Must not know: where the bytes come from or go to. */
#ifndef KCHAIN_BAKE_HASH_H
#define KCHAIN_BAKE_HASH_H

#include "chain/verity.h"

#include <pthread.h>

enum {
	BAKE_HASH_PIECE = 512 * 1024,
	BAKE_HASH_PIECES = 4,
	BAKE_HASH_THREADS = 2,
	BAKE_HASH_BLOCKS = BAKE_HASH_PIECE / CHAIN_VERITY_BLOCK_BYTES,
};

/* A ring of buffers: the caller fills the one at `filled`, threads take those from `taken` on, and what they have
 * hashed is added to the file's tree in order, up to `hashed`. */
struct bake_hash {
	uint8_t *buffers; /* null: not started */
	struct bake_hash_piece {
		uint64_t offset; /* in the file */
		size_t count, blocks;
		bool ready; /* under `lock` */
		uint8_t digests[BAKE_HASH_BLOCKS][CHAIN_SHA256_BYTES];
	} pieces[BAKE_HASH_PIECES];
	uint64_t filled, taken, hashed; /* pieces so far; under `lock` */
	uint64_t offset;                /* the caller's */
	bool quit;
	struct chain_verity verity; /* under `lock` */
	pthread_t thread[BAKE_HASH_THREADS];
	size_t threads; /* that run */
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

/* Makes buffers and threads, or only the buffers where there can be no thread: then the caller's does the work. Does
 * nothing where they are there already; `hash` was zeroed. */
enum chain_status bake_hash_start(struct bake_hash *hash, struct chain_error *err) CHAIN_MUST_CHECK;
void bake_hash_stop(struct bake_hash *hash);

/* The next buffer, BAKE_HASH_PIECE bytes, when it is free. */
uint8_t *bake_hash_buffer(struct bake_hash *hash);
/* Hands over the first `count` bytes of that buffer: they stay as they are and may be read until the next call of
 * bake_hash_buffer. */
void bake_hash_put(struct bake_hash *hash, size_t count);
/* Of all bytes since the last time. */
void bake_hash_take(struct bake_hash *hash, uint8_t out[CHAIN_LOCATED_BYTES]);

#endif
