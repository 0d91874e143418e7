/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes make a machine, a kernel and what it is to be given (plan_world.h); the plan or its
 * refusal goes before the oracle. */
#include "plan_child.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world; /* its host memory is mapped once */
	static struct oracle oracle;
	struct chain_plan plan;
	struct chain_error err = { 0 };
	if (!world.arena && !world_begin(&world))
		return 0;
	if (!world_make(&world, data, size))
		return 0;
	enum chain_status status = chain_plan_build(&world.request, &plan, &err);
	bool good = oracle_judge(&oracle, &world, status, &err, &plan);
	if (!status)
		chain_plan_free(&plan);
	if (!good) {
		fprintf(stderr, "%s\n", oracle.why);
		abort();
	}
	return 0;
}
