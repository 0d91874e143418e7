/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: records from one processor to another, in order, in one piece each: one side writes, the other reads, neither
 * waits for a lock. A record that was begun and not committed was never there. Must not know: what the records say. */
#ifndef STAGE_FANOUT_RING_H
#define STAGE_FANOUT_RING_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	RING_BYTES = 64 * 1024,                /* a power of two */
	RING_RECORD_MOST = RING_BYTES / 2 - 16 /* there comes to be room for two of them, however they lie */
};

struct ring_record {
	uint32_t kind;  /* the user's, not 0 */
	uint32_t bytes; /* of what follows */
	uint64_t unused;
	uint8_t payload[];
};

/* Both counts only grow. Who reads one that the other writes does so with acquire, after which the records are read;
 * who writes one does so with release, after the records. */
struct ring {
	_Atomic uint64_t written, read;
	uint64_t begun; /* the writer's: where the record under way lies */
	_Alignas(16) uint8_t bytes[RING_BYTES];
};

/* For the writer: room for a record of so many bytes, at most RING_RECORD_MOST; null: not yet. */
void *ring_begin(struct ring *ring, uint32_t bytes);
/* The record that was begun, of as many bytes, is there. */
void ring_commit(struct ring *ring, uint32_t kind, uint32_t bytes);
static inline uint64_t ring_used(const struct ring *ring)
{
	return atomic_load_explicit(&ring->written, memory_order_relaxed) -
	       atomic_load_explicit(&ring->read, memory_order_acquire);
}

/* For the reader: the first record; null: none. It stays, and is the reader's, until it is dropped. */
struct ring_record *ring_first(struct ring *ring);
void ring_drop(struct ring *ring, const struct ring_record *first);

#endif
