/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: SHA-256 on a thread of its own, so that a large file is hashed while its next pieces are read and the last ones
 * written. Must not know: where the bytes come from or go to. */
#ifndef KCHAIN_BAKE_HASH_H
#define KCHAIN_BAKE_HASH_H

#include "chain/digest.h"

#include <pthread.h>

enum { BAKE_HASH_PIECE = 512 * 1024, BAKE_HASH_PIECES = 4 };

/* A ring of buffers: the caller fills the one at `filled`, the thread hashes the one at `hashed`. */
struct bake_hash {
	uint8_t *buffers; /* null: not started */
	size_t counts[BAKE_HASH_PIECES];
	uint64_t filled, hashed; /* pieces so far; under `lock` */
	bool threaded, quit;
	struct chain_sha256 sha;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

/* Makes buffers and thread, or only the buffers where there can be no thread: then the caller's does the work. Does
 * nothing where they are there already; `hash` was zeroed. */
enum chain_status bake_hash_start(struct bake_hash *hash, struct chain_error *err) CHAIN_MUST_CHECK;
void bake_hash_stop(struct bake_hash *hash);

/* The next buffer, BAKE_HASH_PIECE bytes, when it is free. */
uint8_t *bake_hash_buffer(struct bake_hash *hash);
/* Hands over the first `count` bytes of that buffer: they stay as they are and may be read until the next call of
 * bake_hash_buffer. */
void bake_hash_put(struct bake_hash *hash, size_t count);
/* Of all bytes since the last time. */
void bake_hash_take(struct bake_hash *hash, uint8_t out[CHAIN_SHA256_BYTES]);

#endif
