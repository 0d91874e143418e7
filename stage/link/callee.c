/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/callee.h"

struct stage_callee stage_callee_of(const struct stage_run *run, const struct chain_step *step,
				    const struct chain_prepared *prepared, uint64_t text_bytes)
{
	struct stage_callee out = { .subject = step->source, .text_bytes = text_bytes, .way = prepared->way };
	switch (prepared->way) {
	case CHAIN_CALL_FIXED:
		out.fixed.guest = chain_step_guest(step, prepared, text_bytes);
		break;
	case CHAIN_CALL_SVM:
		out.svm.guest = chain_step_guest(step, prepared, text_bytes);
		break;
	default:
		out.native = (struct stage_callee_native){
			.bytes = prepared->kernel.blob.bytes,
			.bytes_count = prepared->kernel.blob.bytes_count,
			.fs = { run->fs.base, run->fs.base + run->image.fs_bytes_count },
			.window_bytes = prepared->memory_bytes,
			.cpus = step->fanout.cpus ? (uint32_t)step->fanout.cpus : 1,
		};
	}
	return out;
}
