/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The order of moves: a graph in which the move that writes D waits for every other move that still reads from D. */
#include "plan_internal.h"

#include <stdlib.h>

struct node {
	uint32_t by_dest; /* moves by ascending destination: index of the move at this rank */
	uint32_t ready;   /* queue of moves that wait for nothing */
	uint32_t waiting; /* how many others must be done first */
	uint32_t step;    /* for the search for cycles: 0 not seen yet */
	bool done;
	bool detoured; /* its source was saved elsewhere, at `detour` */
	uint64_t detour;
};

struct order {
	struct chain_plan *plan;
	struct chain_move *moves; /* one that was read loses its source: what lay there is in nobody's way any more */
	struct node *nodes;
	uint32_t count, ready_head, ready_tail;
	const char *subject;
	struct chain_error *err;
};

enum chain_status plan_find_clear(const struct chain_plan *plan, const struct chain_claims *also,
				  const struct chain_move *moves, size_t move_count, uint64_t bytes, uint64_t end,
				  const char *subject, uint64_t *out_phys, struct chain_error *err)
{
	struct chain_find want = { .bytes = bytes, .align = PLAN_PAGE, .within = { PLAN_LOW_END, end } };
	for (;;) {
		uint64_t base = 0;
		enum chain_status status =
			chain_claims_find(&plan->claims, also, plan->mem, plan->mem_count, &want, subject, &base, err);
		if (status)
			return status;
		size_t i = 0;
		while (i < move_count &&
		       !chain_range_overlaps(plan_source(&moves[i]), (struct chain_range){ base, base + bytes }))
			i++;
		if (i == move_count) {
			*out_phys = base;
			return CHAIN_OK;
		}
		want.within.base = plan_source(&moves[i]).end; /* grows each time, so this ends */
		if (want.within.base > want.within.end)
			want.within.base = want.within.end;
	}
}

/* Insertion sort: the moves come nearly sorted, kernel first, then ascending places. */
static void sort_by_dest(struct order *order)
{
	for (uint32_t i = 0; i < order->count; i++) {
		uint32_t at = i;
		uint64_t base = order->moves[i].dest.base;
		for (; at && order->moves[order->nodes[at - 1].by_dest].dest.base > base; at--)
			order->nodes[at].by_dest = order->nodes[at - 1].by_dest;
		order->nodes[at].by_dest = i;
	}
}

/* The lowest rank whose destination ends above `address`; destinations are disjoint. */
static uint32_t first_rank(const struct order *order, uint64_t address)
{
	uint32_t low = 0, high = order->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (order->moves[order->nodes[middle].by_dest].dest.end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Adds `change` to the count of every move that writes what `reader` reads; one that comes to 0 is ready. */
static void change_writers(struct order *order, uint32_t reader, int change)
{
	struct chain_range source = plan_source(&order->moves[reader]);
	if (source.base == source.end)
		return;
	for (uint32_t rank = first_rank(order, source.base); rank < order->count; rank++) {
		uint32_t writer = order->nodes[rank].by_dest;
		struct node *node = &order->nodes[writer];
		if (order->moves[writer].dest.base >= source.end)
			break;
		if (writer == reader)
			continue;
		node->waiting += (uint32_t)change;
		if (change < 0 && !node->waiting)
			order->nodes[order->ready_tail++].ready = writer;
	}
}

static void emit(struct order *order, const struct chain_move *move)
{
	order->plan->moves[order->plan->move_count++] = *move;
}

/* The source of a move was read. */
static void release(struct order *order, uint32_t index)
{
	change_writers(order, index, -1);
	order->moves[index].source_phys = CHAIN_PHYS_UNKNOWN;
}

static void finish(struct order *order, uint32_t index)
{
	struct node *node = &order->nodes[index];
	struct chain_move move = order->moves[index];
	node->done = true;
	if (node->detoured)
		move.source_phys = node->detour;
	emit(order, &move);
	if (!node->detoured)
		release(order, index);
}

/* A move that still reads what `writer` will write. There is one while `writer` waits. */
static uint32_t blocker_of(const struct order *order, uint32_t writer)
{
	uint32_t i = 0;
	while (i == writer || order->nodes[i].done || order->nodes[i].detoured ||
	       !chain_range_overlaps(plan_source(&order->moves[i]), order->moves[writer].dest))
		i++;
	return i;
}

/* The smallest move of a cycle. Everything left waits, so following blockers from anywhere ends in one. */
static uint32_t smallest_of_cycle(struct order *order)
{
	uint32_t at = 0, step = 0;
	while (order->nodes[at].done)
		at++;
	for (uint32_t i = 0; i < order->count; i++)
		order->nodes[i].step = 0;
	for (; !order->nodes[at].step; at = blocker_of(order, at))
		order->nodes[at].step = ++step;
	uint32_t smallest = at;
	for (uint32_t i = blocker_of(order, at); i != at; i = blocker_of(order, i))
		if (chain_range_bytes(order->moves[i].dest) < chain_range_bytes(order->moves[smallest].dest))
			smallest = i;
	return smallest;
}

/* Saves the source of one move of a cycle in free memory, from where it is read later. */
static enum chain_status detour(struct order *order)
{
	uint32_t index = smallest_of_cycle(order);
	struct chain_move move = order->moves[index];
	struct chain_plan *plan = order->plan;
	uint64_t bytes = chain_range_bytes(move.dest), phys = 0;
	enum chain_status status = plan_find_clear(plan, NULL, order->moves, order->count, bytes, CHAIN_MEMORY_END,
						   order->subject, &phys, order->err);
	if (status)
		return status;
	move.dest = (struct chain_range){ phys, phys + bytes };
	move.owner = CHAIN_OWNER_TRAMPOLINE;
	move.tag = index;
	status = chain_claims_add(&plan->claims, move.dest, move.owner, move.tag, order->err);
	if (status)
		return status;
	emit(order, &move);
	order->nodes[index].detoured = true;
	order->nodes[index].detour = phys;
	release(order, index);
	return CHAIN_OK;
}

static enum chain_status run(struct order *order)
{
	sort_by_dest(order);
	for (uint32_t i = 0; i < order->count; i++)
		change_writers(order, i, 1);
	for (uint32_t i = 0; i < order->count; i++)
		if (!order->nodes[i].waiting)
			order->nodes[order->ready_tail++].ready = i;
	while (order->ready_head < order->count) {
		while (order->ready_head < order->ready_tail)
			finish(order, order->nodes[order->ready_head++].ready);
		if (order->ready_head == order->count)
			break;
		enum chain_status status = detour(order);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

enum chain_status plan_order(struct chain_plan *plan, struct chain_move *moves, size_t move_count, const char *subject,
			     struct chain_error *err)
{
	struct order order = {
		.plan = plan, .moves = moves, .count = (uint32_t)move_count, .subject = subject, .err = err
	};
	if (!move_count)
		return CHAIN_OK;
	order.nodes = calloc(move_count, sizeof(*order.nodes));
	plan->moves = malloc(2 * move_count * sizeof(*plan->moves)); /* each may take one detour */
	enum chain_status status = CHAIN_OK;
	if (!order.nodes || !plan->moves)
		status = chain_fail_no_memory(err, subject, 2 * move_count * sizeof(*plan->moves));
	if (!status)
		status = run(&order);
	free(order.nodes);
	return status;
}
