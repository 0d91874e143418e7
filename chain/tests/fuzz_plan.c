/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes make a machine, a kernel and what it is to be given: by Multiboot 1 (plan_world.h), or,
 * where the first byte is of the last quarter, by one of the other doors (plan_doors.h). The plan or its refusal goes
 * before the oracle. */
#include "plan_child.h"
#include "plan_doors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OTHER_DOORS = 0xc0 };

static bool by_multiboot1(const uint8_t *data, size_t size, const char **why)
{
	static struct world world; /* its host memory is mapped once */
	static struct oracle oracle;
	struct chain_plan plan;
	struct chain_error err = { 0 };
	*why = oracle.why;
	if ((!world.arena && !world_begin(&world)) || !world_make(&world, data, size))
		return true;
	enum chain_status status = chain_plan_build(&world.request, &plan, &err);
	bool good = oracle_judge(&oracle, &world, status, &err, &plan);
	if (!status)
		chain_plan_free(&plan);
	return good;
}

static bool by_other_doors(const uint8_t *data, size_t size, const char **why)
{
	static struct bench bench;
	struct chain_plan plan;
	*why = bench.oracle.why;
	if ((!bench.world.arena && !world_begin(&bench.world)) ||
	    !doors_make(&bench, data, size < DICE_BYTES ? size : DICE_BYTES))
		return true;
	enum chain_status status = chain_plan_build(&bench.world.request, &plan, NULL);
	if (status)
		return doors_refused(&bench, status);
	bool good = doors_judge(&bench, &plan);
	chain_plan_free(&plan);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	bool other = size && data[0] >= OTHER_DOORS;
	if (!(other ? by_other_doors(data, size, &why) : by_multiboot1(data, size, &why))) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	return 0;
}
