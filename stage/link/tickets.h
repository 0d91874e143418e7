/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: numbers that one processor hands out and all take from, each once, in order, without a lock.
 * Must not know: what the numbers stand for.
 *
 * `filled` and `taken` only grow (modulo 2^32; there are never so many). Ticket t is slots[t % room], or t itself where
 * there are no slots. It is the giver's to write while taken <= t - room, and there to be taken when filled > t: the
 * giver stores the slot, then `filled` (release); a taker loads `filled` (acquire), the slot, and makes the ticket its
 * own by moving `taken` from t to t + 1. If that fails another one took it, and what was read of the slot, which may
 * have been filled again meanwhile, is nobody's. */
#ifndef STAGE_LINK_TICKETS_H
#define STAGE_LINK_TICKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tickets {
	_Atomic uint32_t filled, taken;
	_Atomic uint32_t *slots; /* borrowed: `room` of them; null: the tickets are 0, 1, 2, … */
	uint32_t room;
};

/* On one processor only; there are never more than `room` that nobody has taken. */
static inline void tickets_give(struct tickets *t, uint32_t number)
{
	uint32_t filled = atomic_load_explicit(&t->filled, memory_order_relaxed);
	if (t->slots)
		atomic_store_explicit(&t->slots[filled % t->room], number, memory_order_relaxed);
	atomic_store_explicit(&t->filled, filled + 1, memory_order_release);
}

/* On any processor. False: there is none. */
static inline bool tickets_take(struct tickets *t, uint32_t *out)
{
	uint32_t taken = atomic_load_explicit(&t->taken, memory_order_relaxed);
	do {
		if (taken == atomic_load_explicit(&t->filled, memory_order_acquire))
			return false;
		*out = t->slots ? atomic_load_explicit(&t->slots[taken % t->room], memory_order_relaxed) : taken;
	} while (!atomic_compare_exchange_weak_explicit(&t->taken, &taken, taken + 1, memory_order_acq_rel,
							memory_order_relaxed));
	return true;
}

/* Given and not taken; a moment later there may be fewer. */
static inline uint32_t tickets_left(const struct tickets *t)
{
	return atomic_load_explicit(&t->filled, memory_order_relaxed) -
	       atomic_load_explicit(&t->taken, memory_order_relaxed);
}

#endif
