/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: calling one kernel that is not native. Must not know: how each way of calling does it (worker.h). */
#ifndef STAGE_CALL_ISOLATED_H
#define STAGE_CALL_ISOLATED_H

#include "stage/call.h"

/* As stage_call does. */
enum chain_status stage_call_isolated(const struct stage_call *call, struct stage_call_result *out,
				      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
