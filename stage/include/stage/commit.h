/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: carrying out a plan for a kernel that is booted. In two halves, so that everything that can fail has
 * failed before the devices are quiesced and the point of no return is one call.
 * Must not know: how the plan came about, or the kernel's protocol beyond the registers the plan names. */
#ifndef STAGE_COMMIT_H
#define STAGE_COMMIT_H

#include "chain/plan.h"

struct stage_commit {
	uint64_t root_phys, params_phys, code_phys;
};

/* Finds room that no move touches and puts the trampoline, its tables and the list of moves there. `in_use` (nullable):
 * memory that sources outside the plan's own knowledge lie in. Writes nothing the plan or the stage uses. */
enum chain_status stage_commit_prepare(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
				       const struct chain_claims *in_use, struct stage_commit *out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* The same in a place that the caller found: below the chain_entry_memory_end of the kernel's mode, page-aligned,
 * stage_commit_bytes long. A plan without moves is entered as often as one likes. */
uint64_t stage_commit_bytes(const struct chain_plan *plan);
void stage_commit_lay_out(const struct chain_plan *plan, uint64_t phys, struct stage_commit *out);

/* Enters the kernel. No driver, no console and no allocation after this line. */
_Noreturn void stage_commit(const struct stage_commit *commit);

#endif
