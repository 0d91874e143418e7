/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "bake_hash.h"

#include <signal.h>
#include <stdlib.h>

enum { BLOCK = CHAIN_VERITY_BLOCK_BYTES };

static uint8_t *bytes_of(const struct bake_hash *hash, uint64_t number)
{
	return hash->buffers + number % BAKE_HASH_PIECES * BAKE_HASH_PIECE;
}

static struct bake_hash_piece *piece_of(struct bake_hash *hash, uint64_t number)
{
	return &hash->pieces[number % BAKE_HASH_PIECES];
}

/* What needs nothing of the pieces before it: blocks that are whole, where the piece begins with one. */
static void blocks_hash(struct bake_hash *hash, uint64_t number)
{
	struct bake_hash_piece *piece = piece_of(hash, number);

	piece->blocks = piece->offset % BLOCK == 0 ? piece->count / BLOCK : 0;
	chain_verity_blocks(bytes_of(hash, number), piece->blocks, piece->digests);
}

static void piece_add(struct bake_hash *hash, uint64_t number)
{
	const struct bake_hash_piece *piece = piece_of(hash, number);
	const size_t done = piece->blocks * BLOCK;

	chain_verity_add(&hash->verity, piece->blocks, (const uint8_t(*)[CHAIN_SHA256_BYTES])piece->digests);
	chain_verity_update(&hash->verity, bytes_of(hash, number) + done, piece->count - done);
}

static void *work(void *ctx)
{
	struct bake_hash *hash = ctx;

	(void)pthread_mutex_lock(&hash->lock);
	for (;;) {
		while (hash->taken == hash->filled && !hash->quit)
			(void)pthread_cond_wait(&hash->moved, &hash->lock);
		if (hash->taken == hash->filled)
			break;
		const uint64_t number = hash->taken++;

		(void)pthread_mutex_unlock(&hash->lock);
		blocks_hash(hash, number);
		(void)pthread_mutex_lock(&hash->lock);
		piece_of(hash, number)->ready = true;
		while (hash->hashed < hash->taken && piece_of(hash, hash->hashed)->ready) {
			piece_add(hash, hash->hashed);
			piece_of(hash, hash->hashed++)->ready = false;
		}
		(void)pthread_cond_broadcast(&hash->moved);
	}
	(void)pthread_mutex_unlock(&hash->lock);
	return NULL;
}

enum chain_status bake_hash_start(struct bake_hash *hash, struct chain_error *err)
{
	const size_t bytes = (size_t)BAKE_HASH_PIECES * BAKE_HASH_PIECE;
	sigset_t all, before;

	if (hash->buffers)
		return CHAIN_OK;
	hash->buffers = malloc(bytes);
	if (!hash->buffers)
		return chain_fail_no_memory(err, "buffers", bytes);
	(void)pthread_mutex_init(&hash->lock, NULL);
	(void)pthread_cond_init(&hash->moved, NULL);
	chain_verity_init(&hash->verity);
	/* signals are for the thread that writes the image */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (hash->threads < BAKE_HASH_THREADS && pthread_create(&hash->thread[hash->threads], NULL, work, hash) == 0)
		hash->threads++;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return CHAIN_OK;
}

void bake_hash_stop(struct bake_hash *hash)
{
	if (!hash->buffers)
		return;
	(void)pthread_mutex_lock(&hash->lock);
	hash->quit = true;
	(void)pthread_cond_broadcast(&hash->moved);
	(void)pthread_mutex_unlock(&hash->lock);
	while (hash->threads > 0)
		(void)pthread_join(hash->thread[--hash->threads], NULL);
	(void)pthread_cond_destroy(&hash->moved);
	(void)pthread_mutex_destroy(&hash->lock);
	free(hash->buffers);
	*hash = (struct bake_hash){ .buffers = NULL };
}

/* Waits until at most `left` pieces are not hashed yet. */
static void wait_for(struct bake_hash *hash, uint64_t left)
{
	(void)pthread_mutex_lock(&hash->lock);
	while (hash->filled - hash->hashed > left)
		(void)pthread_cond_wait(&hash->moved, &hash->lock);
	(void)pthread_mutex_unlock(&hash->lock);
}

uint8_t *bake_hash_buffer(struct bake_hash *hash)
{
	wait_for(hash, BAKE_HASH_PIECES - 1);
	return bytes_of(hash, hash->filled);
}

void bake_hash_put(struct bake_hash *hash, size_t count)
{
	struct bake_hash_piece *piece = piece_of(hash, hash->filled);

	piece->offset = hash->offset;
	piece->count = count;
	hash->offset += count;
	if (hash->threads == 0) {
		blocks_hash(hash, hash->filled);
		piece_add(hash, hash->filled);
		return;
	}
	(void)pthread_mutex_lock(&hash->lock);
	hash->filled++;
	(void)pthread_cond_broadcast(&hash->moved);
	(void)pthread_mutex_unlock(&hash->lock);
}

void bake_hash_take(struct bake_hash *hash, uint8_t out[CHAIN_LOCATED_BYTES])
{
	wait_for(hash, 0);
	chain_verity_final_located(&hash->verity, out);
	chain_verity_init(&hash->verity);
	hash->offset = 0;
}
