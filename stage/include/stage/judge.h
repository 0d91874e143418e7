/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the outcome of a call comes to, as an entry of `results`.
 * Must not know: how the call was made. */
#ifndef STAGE_JUDGE_H
#define STAGE_JUDGE_H

#include "chain/config.h"
#include "stage/call.h"

/* {"status", "exit", "result" | "reason"}; *good: it is what the step expects. New reference; null when memory ran out. */
json_t *stage_judge(const struct chain_step *step, const struct stage_call_result *got, bool *good);

#endif
