/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Simulates a finished plan. Shares no decision with the code that builds one: it looks only at the plan and the
 * machine's map. */
#include "chain/plan.h"

#include <stdlib.h>

static const char subject[] = "plan";

static enum chain_status check_claims(const struct chain_plan *plan, struct chain_error *err)
{
	for (size_t i = 0; i < plan->claims.count; i++) {
		struct chain_range range = plan->claims.v[i].range;
		if (range.base >= range.end || (i && plan->claims.v[i - 1].range.end > range.base))
			return CHAIN_FAIL(err, PLAN_CHECK_CLAIMS, .subject = subject, .index = i, .base = range.base,
					  .end = range.end);
	}
	return CHAIN_OK;
}

static enum chain_status check_map(const struct chain_plan *plan, struct chain_error *err)
{
	for (size_t i = 0; i < plan->mem_count; i++) {
		struct chain_range range = plan->mem[i].range;
		if (range.base >= range.end || (i && plan->mem[i - 1].range.end > range.base))
			return CHAIN_FAIL(err, PLAN_CHECK_MAP, .subject = subject, .index = i, .base = range.base,
					  .end = range.end);
	}
	return CHAIN_OK;
}

/* How many bytes of `range` a map says `type` of. */
static uint64_t bytes_of_type(uint32_t type, const struct chain_mem_entry *mem, size_t count, struct chain_range range)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t base = mem[i].range.base > range.base ? mem[i].range.base : range.base;
		uint64_t end = mem[i].range.end < range.end ? mem[i].range.end : range.end;
		if (mem[i].type == type && base < end)
			bytes += end - base;
	}
	return bytes;
}

static uint64_t available_bytes(const struct chain_mem_entry *mem, size_t count, struct chain_range range)
{
	return bytes_of_type(CHAIN_MEM_AVAILABLE, mem, count, range);
}

static bool is_claimed_for(const struct chain_plan *plan, const struct chain_move *move)
{
	const struct chain_claim *claim = chain_claims_overlap(&plan->claims, move->dest);
	return claim && claim->owner == move->owner && claim->tag == move->tag &&
	       chain_range_contains(claim->range, move->dest);
}

static enum chain_status check_dest(const struct chain_plan *plan, const struct chain_bootinfo *info, size_t index,
				    struct chain_error *err)
{
	const struct chain_move *move = &plan->moves[index];
	struct chain_range dest = move->dest;
	const char *wrong = NULL;
	if (dest.base >= dest.end)
		wrong = "is empty";
	else if (dest.end > CHAIN_MEMORY_END)
		wrong = "lies where nobody can carry it out";
	else if (!is_claimed_for(plan, move))
		wrong = "is not claimed for it";
	else if (available_bytes(info->mem, info->mem_count, dest) != chain_range_bytes(dest) ||
		 bytes_of_type(move->owner == CHAIN_OWNER_ROOT ? CHAIN_MEM_PMEM_LEGACY : CHAIN_MEM_AVAILABLE, plan->mem,
			       plan->mem_count, dest) != chain_range_bytes(dest))
		wrong = "is not available memory";
	if (!wrong)
		return CHAIN_OK;
	return CHAIN_FAIL(err, PLAN_CHECK_DEST, .subject = subject, .detail = wrong, .index = index, .base = dest.base,
			  .end = dest.end);
}

/* Whether a move reads what was saved for it: all of a detour, and that of the same bytes. */
static bool reads_detour(const struct chain_plan *plan, const struct chain_claim *written, struct chain_range source,
			 const struct chain_move *move)
{
	const struct chain_move *saved = written->tag < plan->move_count ? &plan->moves[written->tag] : NULL;
	return saved && saved->owner == CHAIN_OWNER_TRAMPOLINE && saved->kind == CHAIN_MOVE_COPY &&
	       saved->bytes == move->bytes && saved->dest.base == source.base && saved->dest.end == source.end;
}

/* `written`: the destinations of the moves before, each with the move's index as its tag. */
static enum chain_status check_source(const struct chain_plan *plan, const struct chain_claims *written, size_t index,
				      struct chain_error *err)
{
	const struct chain_move *move = &plan->moves[index];
	struct chain_range source = { 0, 0 };
	const struct chain_claim *over = NULL;
	const char *wrong = NULL;
	if (move->kind != CHAIN_MOVE_COPY)
		return CHAIN_OK;
	if (!move->bytes)
		wrong = "has no bytes";
	else if (move->source_phys == CHAIN_PHYS_UNKNOWN)
		return CHAIN_OK;
	else if (chain_range_make(move->source_phys, chain_range_bytes(move->dest), NULL, &source, NULL) ||
		 source.end > CHAIN_MEMORY_END)
		wrong = "lies where nobody can carry it out";
	else if ((over = chain_claims_overlap(written, source)) != NULL && !reads_detour(plan, over, source, move))
		wrong = "an earlier move overwrote";
	if (!wrong)
		return CHAIN_OK;
	return CHAIN_FAIL(err, PLAN_CHECK_SOURCE, .subject = subject, .detail = wrong, .index = index,
			  .base = source.base, .end = source.end);
}

/* Whether what is read from streams, before any move, comes to memory that is claimed for it. */
static enum chain_status check_fill(const struct chain_plan *plan, const struct chain_bootinfo *info, size_t index,
				    struct chain_claims *written, struct chain_error *err)
{
	const struct chain_fill *fill = &plan->fills[index];
	struct chain_range dest = fill->dest;
	const struct chain_claim *claim = chain_claims_overlap(&plan->claims, dest);
	const char *wrong = NULL;
	if (dest.base >= dest.end || !fill->stream || chain_range_bytes(dest) != fill->stream->bytes)
		wrong = "has not the size of what is read";
	else if (!claim || claim->owner != CHAIN_OWNER_MODULE || claim->tag != fill->tag ||
		 !chain_range_contains(claim->range, dest))
		wrong = "is not claimed for what is read";
	else if (chain_range_overlaps(dest, info->image))
		wrong = "lies on the running image";
	else if (available_bytes(info->mem, info->mem_count, dest) != chain_range_bytes(dest) ||
		 chain_claims_overlap(written, dest))
		wrong = "is not available memory";
	if (wrong)
		return CHAIN_FAIL(err, PLAN_CHECK_DEST, .subject = subject, .detail = wrong, .index = index,
				  .base = dest.base, .end = dest.end);
	return chain_claims_add(written, dest, CHAIN_OWNER_MODULE, UINT32_MAX, err);
}

/* Carries the moves out on a map of what was written. */
static enum chain_status simulate(const struct chain_plan *plan, const struct chain_bootinfo *info,
				  struct chain_claims *written, struct chain_error *err)
{
	uint64_t copied = 0, zeroed = 0;
	for (size_t i = 0; i < plan->fill_count; i++) {
		enum chain_status status = check_fill(plan, info, i, written, err);
		if (status)
			return status;
	}
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		enum chain_status status = check_dest(plan, info, i, err);
		if (!status)
			status = check_source(plan, written, i, err);
		if (!status && chain_claims_overlap(written, move->dest))
			status = CHAIN_FAIL(err, PLAN_CHECK_DEST, .subject = subject, .detail = "an earlier move wrote",
					    .index = i, .base = move->dest.base, .end = move->dest.end);
		if (!status)
			status = chain_claims_add(written, move->dest, move->owner, (uint32_t)i, err);
		if (status)
			return status;
		if (move->owner == CHAIN_OWNER_TRAMPOLINE) /* a detour: its bytes are counted where they end */
			continue;
		*(move->kind == CHAIN_MOVE_COPY ? &copied : &zeroed) += chain_range_bytes(move->dest);
	}
	if (copied != plan->bytes_copied || zeroed != plan->bytes_zeroed)
		return CHAIN_FAIL(err, PLAN_CHECK_TOTALS, .subject = subject, .copied = copied, .zeroed = zeroed,
				  .plan_copied = plan->bytes_copied, .plan_zeroed = plan->bytes_zeroed);
	return CHAIN_OK;
}

static bool lies_in_claim(const struct chain_plan *plan, struct chain_range range, enum chain_owner owner)
{
	const struct chain_claim *claim = chain_claims_overlap(&plan->claims, range);
	return claim && claim->owner == owner && chain_range_contains(claim->range, range);
}

static bool is_in_a_register(const struct chain_entry *entry, uint64_t value)
{
	for (unsigned i = 0; i < CHAIN_REGISTERS; i++)
		if (entry->registers[i] == value)
			return true;
	return false;
}

/* Whether the kernel can reach all that is claimed for it. */
static enum chain_status check_reach(const struct chain_plan *plan, struct chain_error *err)
{
	const uint64_t reach = chain_entry_memory_end(plan->entry.mode);
	for (size_t i = 0; i < plan->claims.count; i++) {
		const struct chain_claim *claim = &plan->claims.v[i];
		if (claim->owner != CHAIN_OWNER_TRAMPOLINE && claim->owner != CHAIN_OWNER_FS &&
		    claim->owner != CHAIN_OWNER_ROOT && claim->range.end > reach)
			return CHAIN_FAIL(err, PLAN_CHECK_REACH, .subject = subject,
					  .detail = chain_owner_name(claim->owner), .index = claim->tag,
					  .base = claim->range.base, .end = claim->range.end, .limit = reach);
	}
	return CHAIN_OK;
}

/* The registers and ranges that the kernel starts from. */
static enum chain_status check_entry(const struct chain_plan *plan, struct chain_error *err)
{
	const char *wrong = NULL;
	uint64_t value = plan->entry.address;
	if (!lies_in_claim(plan, (struct chain_range){ value, value + 1 }, CHAIN_OWNER_KERNEL)) {
		wrong = "the entry point";
	} else if (!is_in_a_register(&plan->entry, plan->info.base) ||
		   !lies_in_claim(plan, plan->info, CHAIN_OWNER_BOOT_INFO)) {
		wrong = "the boot information";
		value = plan->info.base;
	} else if (plan->handoff.base != plan->handoff.end &&
		   !lies_in_claim(plan, plan->handoff, CHAIN_OWNER_HANDOFF)) {
		wrong = "the handoff";
		value = plan->handoff.base;
	}
	if (!wrong)
		return CHAIN_OK;
	return CHAIN_FAIL(err, PLAN_CHECK_ENTRY, .subject = subject, .detail = wrong, .address = value);
}

enum chain_status chain_plan_check(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
				   struct chain_error *err)
{
	struct chain_claim *storage = malloc((plan->move_count + plan->fill_count + 1) * sizeof(*storage));
	struct chain_claims written;
	if (!storage)
		return chain_fail_no_memory(err, subject, (plan->move_count + plan->fill_count + 1) * sizeof(*storage));
	chain_claims_init(&written, storage, plan->move_count + plan->fill_count + 1);
	enum chain_status status = check_claims(plan, err);
	if (!status)
		status = check_map(plan, err);
	if (!status)
		status = simulate(plan, bootinfo, &written, err);
	if (!status)
		status = check_reach(plan, err);
	if (!status)
		status = check_entry(plan, err);
	free(storage);
	return status;
}
