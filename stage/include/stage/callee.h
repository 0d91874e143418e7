/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which kernel a step calls, told to those who call it (stage/call.h). Must not know: how they do. */
#ifndef STAGE_CALLEE_H
#define STAGE_CALLEE_H

#include "stage/call.h"
#include "stage/run.h"

/* With room for texts of so many bytes. Borrows the step and what was prepared for it. The baked filesystem is handed
 * on without its padding. */
struct stage_callee stage_callee_of(const struct stage_run *run, const struct chain_step *step,
				    const struct chain_prepared *prepared, uint64_t text_bytes);

#endif
