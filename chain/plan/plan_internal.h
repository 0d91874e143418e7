/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what plan.c, plan_place.c, plan_order.c and plan_check.c share. Not for others. */
#ifndef CHAIN_PLAN_INTERNAL_H
#define CHAIN_PLAN_INTERNAL_H

#include "chain/door.h"
#include "chain/plan.h"

enum { PLAN_PAGE = 4096, PLAN_LOW_END = 1 << 20 };

/* Something besides the kernel that gets a place: a module of the request, the handoff, the information structure. */
struct plan_item {
	struct chain_blob blob;
	const char *string;
	enum chain_owner owner;
	uint32_t tag;
	const struct chain_stream *stream;
	struct chain_stream_pin pin;
	bool movable;
	bool joined;    /* it lies right behind the one before it, with which it gets its place */
	uint64_t bytes; /* the blob's, and zeros up to where a joined one begins */
	bool stays;     /* used where it lies */
	bool placed;
	struct chain_range range; /* once placed */
};

/* The state of one chain_plan_build. All arrays are freed by it, but those of `plan`. */
struct plan_build {
	const struct chain_plan_request *request;
	struct chain_plan *plan;
	struct chain_kernel kernel;
	uint64_t kernel_end; /* where the last segment ends */
	struct plan_item
		*items; /* in the order the kernel will see; behind them, uncounted, the information structure */
	size_t item_count;
	struct chain_claims busy;  /* besides that, what the request calls in use: nothing may be read to there */
	struct chain_claims avoid; /* the running image and boot modules: kept clear of where there is a choice */
	struct chain_range root;   /* where it will lie, rounded up; empty: none */
	struct chain_error *err;
};

/* plan_place.c: claims the kernel's segments; then the items that stay, and places for the others and the information
 * structure. */
enum chain_status plan_place_kernel(struct plan_build *build) CHAIN_MUST_CHECK;
enum chain_status plan_place_items(struct plan_build *build) CHAIN_MUST_CHECK;

/* plan_order.c: a place between 1 MiB and `end` clear of the plan's claims, of `also` (nullable) and of every source of
 * `moves`. */
enum chain_status plan_find_clear(const struct chain_plan *plan, const struct chain_claims *also,
				  const struct chain_move *moves, size_t move_count, uint64_t bytes, uint64_t end,
				  const char *subject, uint64_t *out_phys, struct chain_error *err) CHAIN_MUST_CHECK;
/* Orders `moves` into plan->moves, so that nothing is overwritten before it is read; a cycle is cut by a detour of one
 * move's bytes. `moves` is used up. */
enum chain_status plan_order(struct chain_plan *plan, struct chain_move *moves, size_t move_count, const char *subject,
			     struct chain_error *err) CHAIN_MUST_CHECK;

/* Where a move's source lies; empty for zeroes and for bytes that lie nowhere known. */
static inline struct chain_range plan_source(const struct chain_move *move)
{
	if (move->kind != CHAIN_MOVE_COPY || move->source_phys == CHAIN_PHYS_UNKNOWN)
		return (struct chain_range){ 0, 0 };
	return (struct chain_range){ move->source_phys, move->source_phys + chain_range_bytes(move->dest) };
}

#endif
