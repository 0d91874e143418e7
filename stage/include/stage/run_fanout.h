/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a fan-out step: its queue, what each kernel gets and left, its lines on the console, what all come to.
 * Must not know: processors and windows (stage/fanout.h). */
#ifndef STAGE_RUN_FANOUT_H
#define STAGE_RUN_FANOUT_H

#include "stage/run.h"

/* Leaves the step's entry in run->results. *good: enough kernels ended well. Fails as stage_fanout_run and
 * chain_fanout_expand do. */
enum chain_status stage_run_fanout(struct stage_run *run, const struct chain_step *step,
				   const struct chain_prepared *prepared, bool *good,
				   struct chain_error *err) CHAIN_MUST_CHECK;

#endif
