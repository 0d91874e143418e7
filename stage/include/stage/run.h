/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one link's turn: what main() gathered, and taking the pipeline's steps one after another with what is to be
 * done when one fails. Must not know: how a call or a commit works inside. */
#ifndef STAGE_RUN_H
#define STAGE_RUN_H

#include "chain/step.h"

struct stage_run {
	struct chain_image image;
	struct chain_image_checked checked; /* a file used by several steps is hashed once */
	struct chain_sources sources;
	struct chain_transport transport;
	struct chain_self self;
	struct chain_range fs; /* physical */
	struct chain_config config;
	json_t *parent;   /* received handoff, or null */
	bool few_records; /* the handoff asks only for those that say how the chain ended (docs/RECORDS.md) */
	json_t *net, *block, *results;
	struct chain_handoff_shared shared; /* what all handoffs have in common */
	struct chain_opened opened;
	uint8_t boot_id[CHAIN_BOOT_ID_BYTES];
	uint64_t retry;         /* how many times the step that runs was tried before */
	const char *instead_of; /* the step that failed and whose fallback runs; null: none */
};

/* How a link ended, as `kchain run` learns it: what is written to QEMU's isa-debug-exit, and main()'s value. */
enum stage_end {
	STAGE_END_OK = 0x10,
	STAGE_END_CHILD_FAILED = 0x11,
	STAGE_END_FAILED = 0x12,
	STAGE_END_UNMET = 0x13,
};

/* Takes the steps. Returns only when none of them booted a kernel: main()'s value. */
int stage_run_steps(struct stage_run *run);

/* Says how the link ended, with the last handoff where there is one, and returns main()'s value. */
int stage_run_end(struct stage_run *run, enum stage_end end);

#endif
