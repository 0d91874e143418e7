/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a kernel for each door: bzImage setup headers, PVH notes, Multiboot headers. What a
 * door reads lies inside the file and in memory, and a plan by it puts everything into memory. */
#include "fuzz.h"

#include "chain/door.h"
#include "chain/initrd.h"
#include "chain/plan.h"

enum { MIB = 1 << 20 };

static void check_kernel(const struct chain_kernel *kernel, const struct chain_door *door, size_t size)
{
	const struct chain_reader file = { NULL, size, "" };
	size_t inside = 0;
	FUZZ_HOLDS(kernel->door == door && kernel->segment_count > 0 && kernel->segment_count <= CHAIN_SEGMENTS_MAX);
	FUZZ_HOLDS(kernel->limit > 0 && kernel->limit <= CHAIN_MEMORY_END);
	for (size_t i = 0; i < kernel->segment_count; i++) {
		const struct chain_segment *s = &kernel->segments[i];
		FUZZ_HOLDS(s->phys.base < s->phys.end);
		FUZZ_HOLDS(kernel->mode == CHAIN_ENTRY_LONG64 || s->phys.end <= chain_entry_memory_end(kernel->mode));
		FUZZ_HOLDS(s->file_bytes <= chain_range_bytes(s->phys));
		FUZZ_HOLDS(!s->file_bytes || chain_reader_has(&file, s->file_offset, s->file_bytes));
		inside += kernel->entry >= s->phys.base && kernel->entry < s->phys.end;
		for (size_t j = 0; j < i; j++)
			FUZZ_HOLDS(!chain_range_overlaps(s->phys, kernel->segments[j].phys));
	}
	FUZZ_HOLDS(inside == 1);
	if (kernel->movable)
		FUZZ_HOLDS(kernel->move_align && !(kernel->move_align & (kernel->move_align - 1)) &&
			   kernel->move_within.base <= kernel->move_within.end);
}

static void check_plan(const struct chain_plan *plan, const struct chain_bootinfo *machine)
{
	bool entered = false;
	for (size_t i = 0; i < plan->claims.count; i++) {
		const struct chain_claim *claim = &plan->claims.v[i];
		FUZZ_HOLDS(claim->range.base >= 0x1000 && claim->range.end <= CHAIN_MEMORY_END);
		FUZZ_HOLDS(!i || claim->range.base >= plan->claims.v[i - 1].range.end);
		entered |= claim->owner == CHAIN_OWNER_KERNEL && plan->entry.address >= claim->range.base &&
			   plan->entry.address < claim->range.end;
	}
	FUZZ_HOLDS(entered && chain_range_bytes(plan->info) == plan->made_bytes);
	FUZZ_HOLDS(plan->entry.registers[CHAIN_RBX] == plan->info.base ||
		   plan->entry.registers[CHAIN_RSI] == plan->info.base);
	for (size_t i = 0; i < plan->move_count; i++) {
		bool available = false;
		for (size_t m = 0; m < machine->mem_count; m++)
			available |= machine->mem[m].type == CHAIN_MEM_AVAILABLE &&
				     chain_range_contains(machine->mem[m].range, plan->moves[i].dest);
		FUZZ_HOLDS(available);
	}
}

/* Beside a handoff and a module it is given nothing. */
static void plan_by(const struct chain_door *door, const uint8_t *file, size_t size)
{
	static struct chain_bootinfo machine;
	static const uint8_t bytes[5000];
	const struct chain_plan_module module = { .blob = { bytes, sizeof(bytes), CHAIN_PHYS_UNKNOWN },
						  .string = "module",
						  .movable = true };
	struct chain_error err = { 0 };
	struct chain_plan plan;
	if (!machine.loader) {
		FUZZ_HOLDS(!chain_bootinfo_qemu("pc", 64 * MIB, 1, &machine, &err));
		machine.image = (struct chain_range){ MIB, 2 * MIB };
	}
	const struct chain_plan_request request = { .subject = "fuzz",
						    .door = door,
						    .kernel = { file, size, CHAIN_PHYS_UNKNOWN },
						    .args = "a",
						    .loader_name = "kchain",
						    .modules = &module,
						    .module_count = 1,
						    .handoff = { bytes, 20, CHAIN_PHYS_UNKNOWN },
						    .handoff_string = "kchain-handoff",
						    .handoff_at = CHAIN_HANDOFF_LAST,
						    .bootinfo = &machine };
	if (fuzz_status(chain_plan_build(&request, &plan, &err), &err))
		return;
	check_plan(&plan, &machine);
	chain_plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t file_bytes;
	uint8_t *file = fuzz_expand(data, size, &file_bytes);
	const struct chain_door *first = NULL;
	for (size_t i = 0; chain_doors[i]; i++) {
		const struct chain_door *door = chain_doors[i];
		struct chain_error err = { 0 };
		struct chain_kernel kernel;
		bool is = door->probe(file, file_bytes);
		first = first || !is ? first : door;
		enum chain_status status = fuzz_status(door->read(file, file_bytes, "fuzz", &kernel, &err), &err);
		if (status || !is)
			continue;
		check_kernel(&kernel, door, file_bytes);
		plan_by(door, file, file_bytes);
	}
	FUZZ_HOLDS(chain_door_probe(file, file_bytes) == first);
	free(file);
	return 0;
}
