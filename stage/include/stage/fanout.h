/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: many calls of one kernel side by side: a worker on each processor but the first, with memory of its own that is
 * used again and again, fed from a queue; on a machine with one processor, one after another on that one.
 * Must not know: steps, JSON, what the kernels compute. */
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
};

/* All of it is called on the boot processor. */
struct stage_fanout_client {
	/* The next turn to be taken; false: none at the moment (one that ends may bring another). Its texts are copied:
	 * they must stay until the next call. */
	bool (*next)(void *ctx, struct stage_call_task *out);
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
	uint32_t processors;        /* that can be used, the boot processor included */
	uint32_t processors_failed; /* listed by the firmware, but did not start or come back */
	uint32_t workers;
	uint64_t window_bytes, private_bytes; /* of each worker: claimed; of that, in use when nothing has run yet,
						 without free heap */
};

/* Returns when `next` has no more and every turn was told to `done`: each turn exactly once, whatever happened to it.
 * Fails only before the first turn, as stage_call does, or when every processor it could use was lost. */
enum chain_status stage_fanout_run(const struct stage_fanout *fanout, const struct stage_fanout_client *client,
				   struct stage_fanout_machine *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
