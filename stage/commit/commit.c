/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/commit.h"

#include "commit_params.h"
#include "stage/cpu.h"
#include "abi/native.h"
#include "stage/pages.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = STAGE_PAGE, GIB_SHIFT = 30, GIB_PER_DIRECTORY = 512 };
#define GIB ((uint64_t)1 << GIB_SHIFT)

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

/* --- what the trampoline sees, by the GiB: memory where it lies --- */

/* Lowers *next to the first GiB from `gib` on that has a part of `range`. */
static void look(struct chain_range range, uint64_t gib, uint64_t *next)
{
	uint64_t first = range.base >> GIB_SHIFT;
	if (range.base == range.end || (range.end - 1) >> GIB_SHIFT < gib)
		return;
	first = first < gib ? gib : first;
	*next = first < *next ? first : *next;
}

/* Low memory, where a 64-bit kernel may look for the firmware's tables before it maps any. */
static struct chain_range low_memory(const struct chain_plan *plan)
{
	const struct chain_range all = { 0, chain_entry_memory_end(CHAIN_ENTRY_PROTECTED32) };
	uint64_t top = plan->mem_count ? plan->mem[plan->mem_count - 1].range.end : all.end; /* they are in order */
	return (struct chain_range){ 0, top < all.end ? top : all.end };
}

/* The first GiB from `gib` on that it has to see: the moves, and what the plan names of the kernel, which a 64-bit one
 * finds where it lies; UINT64_MAX: there is none. The plan was checked: no sum overflows. */
static uint64_t next_seen(const struct chain_plan *plan, uint64_t gib)
{
	uint64_t next = UINT64_MAX;
	look(low_memory(plan), gib, &next);
	for (size_t i = 0; i < plan->claims.count; i++)
		look(plan->claims.v[i].range, gib, &next);
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		uint64_t bytes = chain_range_bytes(move->dest);
		look(move->dest, gib, &next);
		if (move->kind == CHAIN_MOVE_COPY && !is_carried(move))
			look((struct chain_range){ move->source_phys, move->source_phys + bytes }, gib, &next);
	}
	return next;
}

/* parameters and code (one page) | moves | carried bytes */
static uint64_t own_bytes(const struct chain_plan *plan)
{
	return PAGE + (uint64_t)plan->move_count * sizeof(struct commit_move) + carried_bytes(plan);
}

/* Root; a directory for each GiB in 2 MiB pages, and one above for each 512 of them. Besides what is seen, room for the
 * trampoline's own place, which begins and ends within a GiB. */
static uint64_t tables_bytes(const struct chain_plan *plan)
{
	uint64_t pages = 1 + 2 * (2 + own_bytes(plan) / GIB), directory = UINT64_MAX;
	for (uint64_t gib = 0; (gib = next_seen(plan, gib)) != UINT64_MAX; gib++) {
		pages += 1u + (gib / GIB_PER_DIRECTORY != directory);
		directory = gib / GIB_PER_DIRECTORY;
	}
	return pages * PAGE;
}

/* tables | its own */
uint64_t stage_commit_bytes(const struct chain_plan *plan)
{
	return (tables_bytes(plan) + own_bytes(plan) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static uint64_t take_table(void *ctx)
{
	struct chain_range *left = ctx;
	uint64_t phys = left->base;
	if (phys == left->end)
		return 0;
	left->base += PAGE;
	memset(stage_phys_to_virt(phys), 0, PAGE);
	return phys;
}

static void see(uint64_t root, struct chain_range *left, uint64_t gib)
{
	const struct stage_table_pages pages = { take_table, left };
	if (!stage_table_map(root, &pages, gib << GIB_SHIFT, gib << GIB_SHIFT, GIB,
			     STAGE_MAP_WRITE | STAGE_MAP_EXECUTE))
		stage_panic("the commit trampoline's tables do not fit their room");
}

/* The topmost slot is the running one's, so that the next instruction is still there. */
static void build_tables(const struct chain_plan *plan, struct chain_range own)
{
	struct chain_range left = { own.base, own.base + tables_bytes(plan) };
	uint64_t root = take_table(&left);
	const uint64_t *running = stage_phys_to_virt(stage_read_cr3() & ~(uint64_t)(PAGE - 1));
	for (uint64_t gib = 0; (gib = next_seen(plan, gib)) != UINT64_MAX; gib++)
		see(root, &left, gib);
	for (uint64_t gib = own.base >> GIB_SHIFT; gib <= (own.end - 1) >> GIB_SHIFT; gib++)
		if (next_seen(plan, gib) != gib)
			see(root, &left, gib);
	((uint64_t *)stage_phys_to_virt(root))[511] = running[511];
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

	build_tables(plan, (struct chain_range){ phys, phys + stage_commit_bytes(plan) });
	commit_params_fill(stage_phys_to_virt(params_phys), &plan->entry, params_phys, moves_phys, plan->move_count);
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
