/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "bake_hash.h"

#include <signal.h>
#include <stdlib.h>

static uint8_t *piece(const struct bake_hash *hash, uint64_t number)
{
	return hash->buffers + number % BAKE_HASH_PIECES * BAKE_HASH_PIECE;
}

static void *work(void *ctx)
{
	struct bake_hash *hash = ctx;

	(void)pthread_mutex_lock(&hash->lock);
	for (;;) {
		while (hash->hashed == hash->filled && !hash->quit)
			(void)pthread_cond_wait(&hash->moved, &hash->lock);
		if (hash->hashed == hash->filled)
			break;
		const uint64_t number = hash->hashed;

		(void)pthread_mutex_unlock(&hash->lock);
		chain_sha256_update(&hash->sha, piece(hash, number), hash->counts[number % BAKE_HASH_PIECES]);
		(void)pthread_mutex_lock(&hash->lock);
		hash->hashed++;
		(void)pthread_cond_signal(&hash->moved);
	}
	(void)pthread_mutex_unlock(&hash->lock);
	return NULL;
}

enum chain_status bake_hash_start(struct bake_hash *hash, struct chain_error *err)
{
	sigset_t all, before;

	if (hash->buffers)
		return CHAIN_OK;
	hash->buffers = malloc((size_t)BAKE_HASH_PIECES * BAKE_HASH_PIECE);
	if (!hash->buffers)
		return chain_fail(err, CHAIN_E_NO_MEMORY, "buffers", NULL, (uint64_t)BAKE_HASH_PIECES * BAKE_HASH_PIECE,
				  0, 0, 0);
	(void)pthread_mutex_init(&hash->lock, NULL);
	(void)pthread_cond_init(&hash->moved, NULL);
	chain_sha256_init(&hash->sha);
	/* signals are for the thread that writes the image */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	hash->threaded = pthread_create(&hash->thread, NULL, work, hash) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return CHAIN_OK;
}

void bake_hash_stop(struct bake_hash *hash)
{
	if (!hash->buffers)
		return;
	if (hash->threaded) {
		(void)pthread_mutex_lock(&hash->lock);
		hash->quit = true;
		(void)pthread_cond_signal(&hash->moved);
		(void)pthread_mutex_unlock(&hash->lock);
		(void)pthread_join(hash->thread, NULL);
	}
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
	return piece(hash, hash->filled);
}

void bake_hash_put(struct bake_hash *hash, size_t count)
{
	if (!hash->threaded) {
		chain_sha256_update(&hash->sha, piece(hash, hash->filled), count);
		return;
	}
	hash->counts[hash->filled % BAKE_HASH_PIECES] = count;
	(void)pthread_mutex_lock(&hash->lock);
	hash->filled++;
	(void)pthread_cond_signal(&hash->moved);
	(void)pthread_mutex_unlock(&hash->lock);
}

void bake_hash_take(struct bake_hash *hash, uint8_t out[CHAIN_SHA256_BYTES])
{
	wait_for(hash, 0);
	chain_sha256_final(&hash->sha, out);
	chain_sha256_init(&hash->sha);
}
