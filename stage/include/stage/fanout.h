/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: many calls of one kernel side by side: a worker on each processor, with memory of its own that is used
 * again and again, which takes one task after another; the boot processor works too, and hears what the others
 * tell. Must not know: steps, JSON, what the kernels compute. */
#ifndef STAGE_FANOUT_H
#define STAGE_FANOUT_H

#include "chain/fanout.h"
#include "stage/call.h"

struct stage_fanout_turn {
	uint32_t index, attempt;
	struct stage_assigned *devices;
	uint32_t processor;
	uint64_t window_phys;
	uint64_t start_ticks, end_ticks;
	struct stage_call_result result; /* its mailbox is borrowed, and not terminated */
	void *value; /* the client's, of what was in the mailbox; null: there is none, the mailbox is there itself */
};

struct stage_pool;

struct stage_fanout_client {
	/* On any processor, on many at once: the next task; false: none at the moment. Its texts are written to
	 * `texts`, which has room for the callee's text_bytes, or stay until the turn was reported to `done`. No heap,
	 * no console. */
	bool (*take)(void *ctx, char *texts, struct stage_call_task *out);
	/* All others on the boot processor. Makes more tasks ready to be taken, some at a time; false: there are no
	 * more but those that a turn's end brings. The first time, all workers are made. */
	bool (*prepare)(void *ctx);
	/* How many tasks are ready and not taken. */
	uint32_t (*ready)(void *ctx);
	/* Every task that was taken has been reported to `done`, and there are no more. */
	bool (*is_over)(void *ctx);
	/* On any processor, too: what became of this turn may change which are taken next; false: certainly not. */
	bool (*is_decisive)(void *ctx, const struct stage_call_result *result);
	/* On all others but the boot processor, on many at once: what is kept of a mailbox whose turn is good for
	 * sure. It is made in `pool`, and owned by whom the turn is reported to. Null: not for sure, or there is no
	 * room. No heap, no console. */
	void *(*value)(void *ctx, const struct stage_call_result *result, const char *mailbox, struct stage_pool *pool);
	/* A pool for that, closed by the fan-out; null: there is no memory to spare. Where there is no such function,
	 * no value is made. */
	struct stage_pool *(*pool)(void *ctx);
	void (*done)(void *ctx, const struct stage_fanout_turn *turn);
	/* Text that kernel `index` wrote, in pieces as they came. */
	void (*text)(void *ctx, uint32_t index, const char *bytes, uint64_t count);
	/* About every 100 ms, with how many kernels have a processor at the moment. */
	void (*progress)(void *ctx, uint32_t running);
	void *ctx;
};

struct stage_fanout {
	const struct stage_callee *callee;
	uint64_t timeout_us;                      /* of each turn; more than 0 */
	const struct chain_config_fanout *config; /* how many at once, at most */
	size_t kernels;                           /* in all; there are no more workers */
};

/* What it was carried out with. */
struct stage_fanout_machine {
	uint32_t processors;        /* that can be used, the boot processor included, or could have been started */
	uint32_t processors_failed; /* listed by the firmware, but did not start or come back */
	uint32_t workers;
	uint64_t window_bytes, private_bytes; /* of each worker: claimed; of that, in use when nothing has run yet,
						 without free heap */
};

/* Returns when the client is over: each turn exactly once, whatever happened to it.
 * Fails only before the first turn, as stage_call does, or when every processor it could use was lost. */
enum chain_status stage_fanout_run(const struct stage_fanout *fanout, const struct stage_fanout_client *client,
				   struct stage_fanout_machine *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
