/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/parallel.h"

#include "chain/parallel.h"
#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/pages.h"
#include "stage/processors.h"

#include <stdatomic.h>

enum {
	/* To start processors takes as long as to hash some MiB, on a machine of its own 10 ms behind INIT. So there is
	 * another one for each of so many bytes that were to be hashed. */
	BYTES_EACH = 16 << 20,
	BYTES_EACH_AS_GUEST = 2 << 20,
	MEMORY_EACH = 64 * 1024, /* a processor's stacks and tables, and room for what is allocated beside them */
	MEMORY_SHARE = 8,        /* of what is free no more than one part in so many is used for that */
	/* How long others may take for their last pieces: some tens of ms, for which the clock's rate needs not be
	 * known, then so long by the clock. */
	PARK_SPINS = 1000000,
	PARK_US = 1000000,
};

/* One work at a time. Pieces are taken by whoever is free next. */
static struct {
	chain_parallel_piece *piece;
	void *ctx;
	size_t count;
	atomic_size_t next;
	atomic_bool done[CHAIN_PARALLEL_PIECES];
} work;
static uint64_t bytes_seen;
static uint32_t processors = 1; /* that are started */
static bool
	alone; /* for good: one was lost, and what it may still write to would be in use again, or none can be had */

static void take_pieces(void *arg)
{
	(void)arg;
	for (size_t i; (i = atomic_fetch_add(&work.next, 1)) < work.count;) {
		work.piece(work.ctx, i);
		atomic_store_explicit(&work.done[i], true, memory_order_release);
	}
}

/* How many processors should be there, if the machine has as many. */
static uint64_t wanted(uint64_t bytes)
{
	const uint64_t room = stage_pages_unclaimed() / MEMORY_SHARE / MEMORY_EACH;

	bytes_seen = bytes_seen > UINT64_MAX - bytes ? UINT64_MAX : bytes_seen + bytes;
	const uint64_t worth = bytes_seen / (stage_is_under_hypervisor() ? BYTES_EACH_AS_GUEST : BYTES_EACH);

	return 1 + (worth < room ? worth : room);
}

/* Not to have helpers is no failure: the work is done anyway. */
static bool gather(uint64_t bytes)
{
	const uint32_t listed = stage_bootinfo()->cpus;
	struct stage_processors there = { .started = 1 };
	struct chain_error err = { 0 };

	if (alone || listed < 2)
		return false;
	const uint64_t most = wanted(bytes);

	/* a failure leaves those that are there, for this time: to try again would take memory each time */
	alone = stage_processors_borrow(most < listed ? (uint32_t)most : listed, &there, &err);
	processors = there.started;
	return processors > 1;
}

static bool are_parked(const uint32_t *helping, uint32_t helpers)
{
	for (uint32_t i = 0; i < helpers; i++)
		if (!stage_processor_is_parked(helping[i]))
			return false;
	return true;
}

/* Whoever is late is taken back. False: one of them was lost. */
static bool wait_for(const uint32_t *helping, uint32_t helpers)
{
	bool all = true;

	for (uint32_t spins = 0; spins < PARK_SPINS && !are_parked(helping, helpers); spins++)
		stage_pause();
	if (are_parked(helping, helpers))
		return true;
	const uint64_t deadline = stage_deadline_after_us(PARK_US);

	while (!are_parked(helping, helpers) && !stage_deadline_passed(deadline))
		stage_pause();
	for (uint32_t i = 0; i < helpers; i++)
		all = (stage_processor_is_parked(helping[i]) || stage_processor_take_back(helping[i])) && all;
	return all;
}

static bool run(chain_parallel_piece *piece, void *ctx, size_t count)
{
	uint32_t helping[CHAIN_PARALLEL_PIECES], helpers = 0;

	work.piece = piece;
	work.ctx = ctx;
	work.count = count;
	atomic_store(&work.next, 0);
	for (size_t i = 0; i < count; i++)
		atomic_store_explicit(&work.done[i], false, memory_order_relaxed);
	/* those that a fan-out has at work are not parked */
	for (uint32_t index = 1; index < processors && helpers + 1 < count; index++)
		if (stage_processor_is_parked(index)) {
			stage_processor_lend(index, take_pieces, NULL);
			helping[helpers++] = index;
		}
	take_pieces(NULL);
	const bool whole = wait_for(helping, helpers);

	alone = alone || !whole;
	for (size_t i = 0; i < count; i++)
		if (!atomic_load_explicit(&work.done[i], memory_order_acquire))
			piece(ctx, i);
	return whole;
}

void stage_parallel_init(void)
{
	static const struct chain_parallel processors_of_machine = { gather, run };

	alone = false;
	chain_parallel_set(&processors_of_machine);
}
