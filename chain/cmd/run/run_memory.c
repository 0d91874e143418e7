/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_memory.h"

#include "chain/door.h"
#include "chain/fanout.h"
#include "chain/guest.h"
#include "chain/source.h"
#include "chain/step.h"

#include <string.h>

struct needs {
	uint64_t windows; /* bytes, anywhere */
	uint64_t top;     /* the end of an address that somebody wants */
};

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* As many windows as there are workers for. */
static uint64_t windows_of(const struct chain_step *step, enum chain_kernel_kind kind, uint64_t processors)
{
	const struct chain_config_fanout *fanout = &step->fanout;
	uint64_t count = fanout->kind == CHAIN_FANOUT_NONE ? 1 :
			 fanout->kind == CHAIN_FANOUT_EACH ? CHAIN_FANOUT_MAX :
							     fanout->count,
		 bytes;
	uint64_t memory = chain_step_memory(step, kind),
		 each = step->isolation ? chain_guest_window_bytes(memory) : memory;
	uint32_t workers = 1;
	if (chain_fanout_workers(fanout, step->name, count, (uint32_t)processors, &workers, NULL))
		workers = 1; /* the stage will say that there are too few processors */
	return __builtin_mul_overflow(each, workers, &bytes) ? each : bytes;
}

static uint64_t end_of(const struct chain_kernel *kernel)
{
	uint64_t end = 0;
	for (size_t i = 0; i < kernel->segment_count; i++)
		end = larger(end, kernel->segments[i].phys.end);
	return kernel->movable ? 0 : end;
}

/* What a Linux with a root needs besides: itself, what it unpacks and what its program takes. */
#define LINUX_BYTES ((uint64_t)192 << 20)

static void count_step(const struct run_input *input, const struct chain_step *step, uint64_t processors,
		       struct needs *needs)
{
	const char *path = step->source ? chain_source_path(step->source) : NULL;
	const uint8_t *bytes;
	uint64_t count;
	enum chain_kernel_kind kind;
	struct chain_kernel kernel;
	struct chain_fixed fixed;
	if (step->fallback)
		count_step(input, step->fallback, processors, needs);
	if (step->root) /* 64 bytes for each page are Linux's own, too */
		needs->windows = larger(needs->windows, LINUX_BYTES + input->memory_bytes / 64);
	if (!path || chain_image_file(&input->image, path, &bytes, &count, NULL, NULL) ||
	    chain_kernel_probe(bytes, count, path, &kind, NULL) || !chain_kernel_door(kind, bytes, count))
		return; /* fetched at boot; or the stage will say what is wrong with it */
	const struct chain_door *door = chain_kernel_door(kind, bytes, count);
	if (step->kind == CHAIN_STEP_CALL && chain_step_way(step, kind) != CHAIN_CALL_FIXED)
		needs->windows = larger(needs->windows, windows_of(step, kind, processors));
	else if (step->kind == CHAIN_STEP_CALL &&
		 !chain_fixed_place(door, bytes, count, chain_step_memory(step, kind), path, &fixed, NULL))
		needs->top = larger(needs->top, fixed.window.end);
	else if (step->kind == CHAIN_STEP_BOOT && !door->read(bytes, count, path, &kernel, NULL))
		needs->top = larger(needs->top, end_of(&kernel));
}

uint64_t run_memory_needed(const struct run_input *input, uint64_t processors)
{
	struct needs needs = { .top = input->memory_bytes };
	struct chain_config config;
	const uint8_t *text;
	uint64_t count, behind;
	if (input->kind != CHAIN_KERNEL_IMAGE ||
	    chain_image_file(&input->image, CHAIN_FS_PIPELINE, &text, &count, NULL, NULL) ||
	    chain_config_parse((const char *)text, count, CHAIN_FS_PIPELINE, true, &config, NULL))
		return needs.top; /* the stage will say what is wrong with it */
	for (size_t i = 0; i < config.step_count; i++)
		count_step(input, &config.steps[i], processors, &needs);
	chain_config_free(&config);
	return __builtin_add_overflow(input->memory_bytes, needs.windows, &behind) ? needs.top :
										     larger(needs.top, behind);
}

uint64_t run_memory_usual(uint64_t needed_bytes)
{
	enum { SLACK = 64 << 20, LEAST = 128 << 20 };
	return needed_bytes + SLACK <= LEAST ? LEAST : (needed_bytes + 2ull * SLACK - 1) / SLACK * SLACK;
}

/* Where memory below 4 GiB ends (QEMU 7.2, hw/i386/pc_piix.c, pc_q35.c, microvm.c): with more of it than fits, it goes
 * on above. */
uint64_t run_memory_low(const char *machine, uint64_t bytes)
{
	static const struct {
		const char *machine;
		uint64_t most, else_bytes;
	} ROWS[] = { { "pc", 0xe0000000, 0xc0000000 },
		     { "q35", 0xb0000000, 0x80000000 },
		     { "microvm", 0xc0000000, 0xc0000000 } };
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
		if (strcmp(machine, ROWS[i].machine) == 0)
			return bytes < ROWS[i].most ? bytes : ROWS[i].else_bytes;
	return bytes;
}
