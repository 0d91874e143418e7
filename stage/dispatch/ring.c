/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "ring.h"

#include <assert.h>
#include <stddef.h>

enum { UNIT = 16, SKIPPED = 0 /* the kind of what is left over at the end, too little for the record behind it */ };
static_assert(sizeof(struct ring_record) == UNIT, "a header is a unit");

static struct ring_record *at(struct ring *r, uint64_t position)
{
	return (struct ring_record *)(r->bytes + position % RING_BYTES);
}

static uint64_t whole(uint32_t bytes)
{
	return sizeof(struct ring_record) + (((uint64_t)bytes + UNIT - 1) & ~(uint64_t)(UNIT - 1));
}

void *ring_begin(struct ring *r, uint32_t bytes)
{
	uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
	uint64_t to_end = RING_BYTES - written % RING_BYTES, skip = whole(bytes) > to_end ? to_end : 0;
	if (RING_BYTES - (written - atomic_load_explicit(&r->read, memory_order_acquire)) < skip + whole(bytes))
		return NULL;
	if (skip)
		*at(r, written) = (struct ring_record){ .kind = SKIPPED, .bytes = (uint32_t)(skip - UNIT) };
	r->begun = written + skip;
	return at(r, r->begun)->payload;
}

void ring_commit(struct ring *r, uint32_t kind, uint32_t bytes)
{
	*at(r, r->begun) = (struct ring_record){ .kind = kind, .bytes = bytes };
	atomic_store_explicit(&r->written, r->begun + whole(bytes), memory_order_release);
}

struct ring_record *ring_first(struct ring *r)
{
	uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
	if (read == atomic_load_explicit(&r->written, memory_order_acquire))
		return NULL;
	struct ring_record *first = at(r, read);
	if (first->kind != SKIPPED)
		return first;
	ring_drop(r, first); /* another one follows: they came together */
	return ring_first(r);
}

void ring_drop(struct ring *r, const struct ring_record *first)
{
	uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
	atomic_store_explicit(&r->read, read + whole(first->bytes), memory_order_release);
}
