/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which kernels of a fan-out failed for good, grouped by why: thousands of them, of a few kinds mostly.
 * Must not know: how a kernel is judged. */
#ifndef STAGE_LINK_FANOUT_FAILURES_H
#define STAGE_LINK_FANOUT_FAILURES_H

#include "chain/fanout.h"
#include "stage/judge.h"

enum { FANOUT_GROUPS_MAX = 256 /* of different reasons; all others are one more */ };

struct fanout_failure;
struct fanout_failed;
struct fanout_failures {
	struct fanout_failure *groups[FANOUT_GROUPS_MAX + 1]; /* owned; the last is made first, so that it takes no
								 memory when there is none */
	size_t count;                                         /* of the others */
	struct fanout_failed *of;
	size_t kernels; /* owned: each kernel's group */
};

enum chain_status fanout_failures_make(struct fanout_failures *failures, size_t kernels, const char *subject,
				       struct chain_error *err) CHAIN_MUST_CHECK;
void fanout_failures_free(struct fanout_failures *failures);

/* Kernel `index` ended with `verdict`, which is not good, after `attempts` turns; `got` is what was judged. Never
 * fails. */
void fanout_failures_add(struct fanout_failures *failures, uint32_t index, unsigned attempts,
			 const struct stage_verdict *verdict, const struct stage_call_result *got);

/* The member `failures` (docs/PIPELINE.md), the largest group first, without inputs: new. Null: no memory. */
json_t *fanout_failures_json(struct fanout_failures *failures);
/* Puts them in, where the kernels have any: they can be long. False: no memory. */
bool fanout_failures_add_inputs(struct fanout_failures *failures, const struct chain_fanout_set *set);
/* A line for each of the first groups of that. */
void fanout_failures_say(const json_t *groups);

#endif
