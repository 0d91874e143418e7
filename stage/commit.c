/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/commit.h"

#include "commit_layout.h"
#include "stage/cpu.h"
#include "stage/native.h"
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
	uint32_t entry, eax, ebx;
	uint32_t far_offset;
	uint16_t far_selector;
	uint32_t pad0;
	struct descriptor_pointer gdtr, idtr;
	uint8_t pad1[6];
	uint64_t gdt[3];
};
static_assert(offsetof(struct commit_params, entry) == COMMIT_ENTRY, "entry");
static_assert(offsetof(struct commit_params, eax) == COMMIT_EAX, "eax");
static_assert(offsetof(struct commit_params, ebx) == COMMIT_EBX, "ebx");
static_assert(offsetof(struct commit_params, far_offset) == COMMIT_FAR, "far pointer");
static_assert(offsetof(struct commit_params, gdtr) == COMMIT_GDTR, "gdtr");
static_assert(offsetof(struct commit_params, idtr) == COMMIT_IDTR, "idtr");
static_assert(offsetof(struct commit_params, gdt) == COMMIT_GDT, "gdt");

struct commit_move {
	uint64_t dest, source, bytes, zero;
};
static_assert(sizeof(struct commit_move) == MOVE_SIZE, "move");
static_assert(offsetof(struct commit_move, zero) == MOVE_ZERO, "move kind");

extern const uint8_t stage_commit_trampoline[], stage_commit_trampoline_end[];

enum {
	PAGE = 4096,
	GIB_MAX = 4,
	PTE_PRESENT = 1, PTE_WRITE = 2, PTE_LARGE = 0x80,
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
			bytes += chain_range_bytes(plan->moves[i].dest); /* the plan was checked: destinations don't overlap */
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
			top = larger(top, move->source_phys + chain_range_bytes(move->dest)); /* the plan was checked: no overflow */
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
	uint64_t bytes = tables_bytes(plan) + PAGE + (uint64_t)plan->move_count * sizeof(struct commit_move) + carried_bytes(plan);
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
	*params = (struct commit_params){
		.moves = moves_phys, .move_count = plan->move_count,
		.entry = (uint32_t)plan->entry, .eax = plan->eax, .ebx = plan->ebx,
		.far_selector = COMMIT_SEL_CODE,
		.gdtr = { 3 * sizeof(uint64_t) - 1, params_phys + COMMIT_GDT },
		.gdt = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff }, /* flat 4 GiB code and data, accessed set */
	};
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
		moves[i] = (struct commit_move){ .dest = move->dest.base, .source = source, .bytes = bytes,
						 .zero = move->kind == CHAIN_MOVE_ZERO };
	}
}

void stage_commit_lay_out(const struct chain_plan *plan, uint64_t phys, struct stage_commit *out)
{
	uint64_t params_phys = phys + tables_bytes(plan);
	uint64_t code_phys = (params_phys + sizeof(struct commit_params) + 15) & ~(uint64_t)15;
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
				       const struct chain_claims *in_use, struct stage_commit *out, struct chain_error *err)
{
	uint64_t phys;
	enum chain_status status = chain_plan_find_trampoline(plan, bootinfo, in_use, stage_commit_bytes(plan), &phys, err);
	if (!status)
		stage_commit_lay_out(plan, phys, out);
	return status;
}

_Noreturn void stage_commit(const struct stage_commit *commit)
{
	__asm__ volatile("cli\n\t"
			 "mov %0, %%cr3\n\t"
			 "jmp *%1"
			 : : "r"(commit->root_phys), "r"(commit->code_phys), "D"(commit->params_phys) : "memory");
	__builtin_unreachable();
}
