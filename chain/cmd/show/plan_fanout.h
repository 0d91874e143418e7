/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain plan` says of a fan-out: its kernels, whether their windows fit the machine, and which of them
 * gets which device. Must not know: the rest of the plan. */
#ifndef KCHAIN_PLAN_FANOUT_H
#define KCHAIN_PLAN_FANOUT_H

#include "chain/cmd/cmd.h"

#include "chain/image.h"
#include "chain/step.h"

/* {"kernels", "required", "processors", "cpus", "at_once", "window_bytes", "inputs", "args"}; new, null for a step
 * without a fan-out. "args" is there where the arguments differ from kernel to kernel: a list, or one text as the
 * pipeline has it where the number of kernels is not known; facts that `pending` (nullable) speaks of stay in braces.
 * Errors are those of chain_fanout_expand, chain_fanout_text and chain_fanout_lay_out; of the latter also for a single
 * kernel with fixed addresses. */
enum chain_status plan_fanout(const struct chain_step *step, const struct chain_prepared *prepared,
			      const struct chain_image *image, const json_t *pending, json_t **out,
			      struct chain_error *err) CHAIN_MUST_CHECK;
void plan_fanout_print(const json_t *fanout);

/* A kernel's index by device, as the pipeline has it; new, null where the step assigns none. */
json_t *plan_devices(const struct chain_step *step);
void plan_devices_print(const struct chain_step *step);

#endif
