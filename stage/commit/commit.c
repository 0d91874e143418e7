/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/commit.h"

#include "commit_layout.h"
#include "stage/cpu.h"
#include "abi/native.h"
#include "stage/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct __attribute__((packed)) descriptor_pointer {
	uint16_t limit;
	uint64_t base;
};

struct __attribute__((packed)) commit_params {
	uint64_t moves, move_count;
	uint64_t address, registers[CHAIN_REGISTERS];
	uint64_t cr0, cr4, efer;
	uint32_t long64;
	uint32_t far_offset;
	uint16_t far_selector;
	struct descriptor_pointer gdtr, idtr;
	uint8_t pad0[2];
	uint64_t gdt[CHAIN_ENTRY_DESCRIPTORS];
	uint8_t pad1[8];
};
static_assert(offsetof(struct commit_params, address) == COMMIT_ADDRESS, "address");
static_assert(offsetof(struct commit_params, registers) == COMMIT_REGISTERS, "registers");
static_assert(offsetof(struct commit_params, cr0) == COMMIT_CR0, "cr0");
static_assert(offsetof(struct commit_params, cr4) == COMMIT_CR4, "cr4");
static_assert(offsetof(struct commit_params, efer) == COMMIT_EFER, "efer");
static_assert(offsetof(struct commit_params, long64) == COMMIT_LONG64, "mode");
static_assert(offsetof(struct commit_params, far_offset) == COMMIT_FAR, "far pointer");
static_assert(offsetof(struct commit_params, gdtr) == COMMIT_GDTR, "gdtr");
static_assert(offsetof(struct commit_params, idtr) == COMMIT_IDTR, "idtr");
static_assert(offsetof(struct commit_params, gdt) == COMMIT_GDT, "gdt");
static_assert(sizeof(struct commit_params) == COMMIT_BYTES, "the code finds them before itself");

struct commit_move {
	uint64_t dest, source, bytes, zero;
};
static_assert(sizeof(struct commit_move) == MOVE_SIZE, "move");
static_assert(offsetof(struct commit_move, zero) == MOVE_ZERO, "move kind");

extern const uint8_t stage_commit_trampoline[], stage_commit_trampoline_end[];

enum {
	PAGE = 4096,
	GIB_MAX = 4,
	PTE_PRESENT = 1,
	PTE_WRITE = 2,
	PTE_LARGE = 0x80,
};

static uint64_t code_bytes(void)
{
	return (uint64_t)(stage_commit_trampoline_end - stage_commit_trampoline);
}

/* Bytes the plan made itself lie somewhere in the heap, which a move may overwrite: they travel with the trampoline. */
static bool is_carried(const struct chain_move *move)
{
	return move->kind == CHAIN_MOVE_COPY && move->source_phys == CHAIN_PHYS_UNKNOWN;
}

static uint64_t carried_bytes(const struct chain_plan *plan)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < plan->move_count; i++)
		if (is_carried(&plan->moves[i]))
			bytes += chain_range_bytes(
				plan->moves[i].dest); /* the plan was checked: destinations don't overlap */
	return bytes;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How much from address 0 on it has to see: the moves, and any memory that it may lie in itself. */
static uint64_t gib_seen(const struct chain_plan *plan)
{
	enum { GIB_SHIFT = 30 };
	const uint64_t most = (uint64_t)GIB_MAX << GIB_SHIFT;
	uint64_t top = plan->mem_count ? 1 : most;
	for (size_t i = 0; i < plan->mem_count; i++)
		if (plan->mem[i].type == CHAIN_MEM_AVAILABLE)
			top = larger(top, plan->mem[i].range.end);
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		top = larger(top, move->dest.end);
		if (move->kind == CHAIN_MOVE_COPY && !is_carried(move))
			top = larger(top,
				     move->source_phys +
					     chain_range_bytes(move->dest)); /* the plan was checked: no overflow */
	}
	return ((top < most ? top : most) - 1) / ((uint64_t)1 << GIB_SHIFT) + 1;
}

/* Root, one directory of directories, a directory for each GiB in 2 MiB pages. */
static uint64_t tables_bytes(const struct chain_plan *plan)
{
	return (2 + gib_seen(plan)) * PAGE;
}

/* tables | parameters and code (one page) | moves | carried bytes */
uint64_t stage_commit_bytes(const struct chain_plan *plan)
{
	uint64_t bytes = tables_bytes(plan) + PAGE + (uint64_t)plan->move_count * sizeof(struct commit_move) +
			 carried_bytes(plan);
	return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* Identity; the topmost slot is the running one's, so that the next instruction is still there. */
static void build_tables(uint64_t phys, uint64_t gib)
{
	uint64_t *root = stage_phys_to_virt(phys);
	uint64_t *directories = stage_phys_to_virt(phys + PAGE);
	const uint64_t *running = stage_phys_to_virt(stage_read_cr3() & ~(uint64_t)(PAGE - 1));
	memset(root, 0, 2 * PAGE);
	root[0] = (phys + PAGE) | PTE_PRESENT | PTE_WRITE;
	root[511] = running[511];
	for (uint64_t d = 0; d < gib; d++) {
		uint64_t table_phys = phys + (2 + d) * PAGE;
		uint64_t *table = stage_phys_to_virt(table_phys);
		directories[d] = table_phys | PTE_PRESENT | PTE_WRITE;
		for (uint64_t i = 0; i < 512; i++)
			table[i] = ((d * 512 + i) << 21) | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	}
}

static void fill_params(struct commit_params *params, uint64_t params_phys, uint64_t moves_phys,
			const struct chain_plan *plan)
{
	const struct chain_entry *entry = &plan->entry;
	*params = (struct commit_params){
		.moves = moves_phys,
		.move_count = plan->move_count,
		.address = entry->address,
		.cr0 = entry->cr0,
		.cr4 = entry->cr4,
		.efer = entry->efer,
		.long64 = entry->mode == CHAIN_ENTRY_LONG64,
		.far_selector = CHAIN_ENTRY_CODE,
		.gdtr = { sizeof(params->gdt) - 1, params_phys + COMMIT_GDT },
	};
	memcpy(params->registers, entry->registers, sizeof(params->registers));
	memcpy(params->gdt, entry->descriptors, sizeof(params->gdt));
}

static void fill_moves(uint64_t moves_phys, const struct chain_plan *plan)
{
	struct commit_move *moves = stage_phys_to_virt(moves_phys);
	uint64_t carried = moves_phys + plan->move_count * sizeof(struct commit_move);
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		uint64_t bytes = chain_range_bytes(move->dest), source = move->source_phys;
		if (is_carried(move)) {
			stage_copy(stage_phys_to_virt(carried), move->bytes, bytes);
			source = carried;
			carried += bytes;
		}
		moves[i] = (struct commit_move){
			.dest = move->dest.base, .source = source, .bytes = bytes, .zero = move->kind == CHAIN_MOVE_ZERO
		};
	}
}

void stage_commit_lay_out(const struct chain_plan *plan, uint64_t phys, struct stage_commit *out)
{
	uint64_t params_phys = phys + tables_bytes(plan);
	uint64_t code_phys = params_phys + COMMIT_BYTES;
	uint64_t moves_phys = params_phys + PAGE;
	if (code_phys + code_bytes() > moves_phys)
		stage_panic("the commit trampoline does not fit its page");

	build_tables(phys, gib_seen(plan));
	fill_params(stage_phys_to_virt(params_phys), params_phys, moves_phys, plan);
	memcpy(stage_phys_to_virt(code_phys), stage_commit_trampoline, code_bytes());
	fill_moves(moves_phys, plan);
	*out = (struct stage_commit){ .root_phys = phys, .params_phys = params_phys, .code_phys = code_phys };
}

enum chain_status stage_commit_prepare(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
				       const struct chain_claims *in_use, struct stage_commit *out,
				       struct chain_error *err)
{
	uint64_t phys;
	enum chain_status status =
		chain_plan_find_trampoline(plan, bootinfo, in_use, stage_commit_bytes(plan), &phys, err);
	if (!status)
		stage_commit_lay_out(plan, phys, out);
	return status;
}

_Noreturn void stage_commit(const struct stage_commit *commit)
{
	__asm__ volatile("cli\n\t"
			 "mov %0, %%cr3\n\t"
			 "jmp *%1"
			 :
			 : "r"(commit->root_phys), "r"(commit->code_phys), "D"(commit->params_phys)
			 : "memory");
	__builtin_unreachable();
}
