/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: judging what the planner made of a world: an accepted plan is carried out on a memory that knows where each
 * byte came from, and then read as the child would; a refusal must name a fault that is there, or room that is not.
 * Must not know: how the planner decides. */
#ifndef CHAIN_TESTS_PLAN_ORACLE_H
#define CHAIN_TESTS_PLAN_ORACLE_H

#include "plan_expect.h"
#include "plan_memory.h"

#include <stdarg.h>
#include <stdio.h>

enum { ORACLE_BUSY_MAX = 96, ORACLE_PIECES_MAX = 2 * (WORLD_MODULES_MAX + 1) + 1 + WORLD_SEGMENTS_MAX };

struct oracle {
	uint64_t reach; /* moves write below; 0: 4 GiB */
	const struct world *w;
	const struct chain_plan *plan;
	struct expect expect;
	struct memory memory, scratch;
	struct chain_range busy[ORACLE_BUSY_MAX]; /* what something else must be clear of */
	size_t busy_count;
	char why[256]; /* the first thing that was wrong */
	/* tallies of all worlds */
	unsigned planned, refused, full, tight, detours, stayed, trampolines, no_trampoline;
	unsigned by_status[CHAIN_STATUS_COUNT];
};

static inline bool __attribute__((format(printf, 2, 3))) oracle_wrong(struct oracle *o, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (!o->why[0])
		vsnprintf(o->why, sizeof(o->why), format, args);
	va_end(args);
	return false;
}

#define ORACLE_LL(n) ((unsigned long long)(n))

/* --- what nothing may lie on --- */

static inline void oracle_busy(struct oracle *o, uint64_t base, uint64_t end)
{
	if (o->busy_count < ORACLE_BUSY_MAX && base < end)
		o->busy[o->busy_count++] = (struct chain_range){ base, end };
}

static inline bool oracle_is_clear(const struct oracle *o, uint64_t base, uint64_t end)
{
	for (size_t i = 0; i < o->busy_count; i++)
		if (expect_meet(base, end, o->busy[i].base, o->busy[i].end))
			return false;
	return true;
}

/* The next stretch of whole pages at or above `at` that is available and clear; false when there is none below
 * `limit`. */
static inline bool oracle_next_hole(const struct oracle *o, uint64_t at, uint64_t limit, struct chain_range *out)
{
	uint64_t until, start = UINT64_MAX;
	for (; at < limit; at = until) {
		bool is_free = expect_type(o->w, at, true, &until) == CHAIN_MEM_AVAILABLE;
		for (size_t i = 0; i < o->busy_count; i++) {
			is_free &= at < o->busy[i].base || at >= o->busy[i].end;
			expect_bound(at, o->busy[i].base, &until);
			expect_bound(at, o->busy[i].end, &until);
		}
		expect_bound(at, limit, &until);
		if (is_free && start == UINT64_MAX)
			start = (at + 4095) / 4096 * 4096;
		*out = (struct chain_range){ start, at };
		if (!is_free && start != UINT64_MAX && start < at)
			return true;
		if (!is_free)
			start = UINT64_MAX;
	}
	*out = (struct chain_range){ start, limit };
	return start < limit;
}

/* --- refusals --- */

enum { ORACLE_HOLES_MAX = 128 };

/* Adds the holes from `at` up to `limit`; returns how many there are then. */
static inline size_t oracle_holes(const struct oracle *o, uint64_t at, uint64_t limit,
				  struct chain_range holes[ORACLE_HOLES_MAX], size_t count)
{
	for (; count < ORACLE_HOLES_MAX && oracle_next_hole(o, at, limit, &holes[count]); count++)
		at = holes[count].end;
	return count;
}

/* Whether pieces of these sizes all fit into pages that are free besides the kernel, what stays and the filesystem:
 * the largest first, each where the least is left over. The first `low_count` are what the kernel is told of. */
static inline bool oracle_packs(const struct oracle *o, const uint64_t *sizes, size_t low_count, size_t count)
{
	struct chain_range holes[ORACLE_HOLES_MAX];
	size_t low_holes = oracle_holes(o, 0x100000, WORLD_4G, holes, 0);
	size_t hole_count = oracle_holes(o, WORLD_4G, WORLD_REACH, holes, low_holes);
	bool done[ORACLE_PIECES_MAX] = { false };
	if (low_holes && holes[low_holes - 1].end == WORLD_4G)
		holes[low_holes - 1].end--; /* a module's end is a 32-bit number */
	for (size_t placed = 0; placed < count; placed++) {
		size_t largest = count, best = hole_count;
		for (size_t i = 0; i < count; i++)
			if (!done[i] && (largest == count || sizes[i] > sizes[largest]))
				largest = i;
		for (size_t h = 0; h < (largest < low_count ? low_holes : hole_count); h++) {
			uint64_t room = holes[h].end - holes[h].base;
			if (holes[h].base < holes[h].end && room >= sizes[largest] &&
			    (best == hole_count || room < holes[best].end - holes[best].base))
				best = h;
		}
		if (best == hole_count)
			return false;
		holes[best].base += (sizes[largest] + 4095) / 4096 * 4096;
		done[largest] = true;
	}
	return true;
}

/* The most that the information structure can have: a kept filesystem may split an entry of the map in three. */
static inline uint64_t oracle_info_bytes(const struct expect *e)
{
	const struct world *w = e->w;
	uint64_t bytes = sizeof(struct multiboot_info) + 4 + strlen(w->request.args) + 1 +
			 strlen(w->request.loader_name) + 1 +
			 (w->info.mem_count + 2) * sizeof(struct multiboot_mmap_entry);
	for (size_t i = 0; i < e->item_count; i++)
		bytes += sizeof(struct multiboot_mod_list) + strlen(e->items[i].string) + 1;
	return bytes;
}

static inline void oracle_busy_at_entry(struct oracle *o)
{
	const struct expect *e = &o->expect;
	o->busy_count = 0;
	if (o->w->request.fs_keep)
		oracle_busy(o, o->w->request.fs.base, o->w->request.fs.end);
	for (size_t i = 0; i < e->segment_count; i++)
		oracle_busy(o, e->segments[i].base, e->segments[i].end);
	for (size_t i = 0; i < e->item_count; i++)
		if (e->items[i].stays)
			oracle_busy(o, e->items[i].blob->phys, e->items[i].blob->phys + e->items[i].blob->bytes_count);
}

static inline void oracle_busy_blob(struct oracle *o, const struct chain_blob *blob)
{
	if (blob->phys < WORLD_REACH)
		oracle_busy(o, blob->phys, blob->phys + blob->bytes_count);
}

static inline void oracle_busy_sources(struct oracle *o)
{
	for (size_t i = 0; i < o->expect.item_count; i++)
		oracle_busy_blob(o, o->expect.items[i].blob);
	for (size_t i = 0; i < o->expect.segment_count; i++)
		oracle_busy_blob(o, o->expect.segments[i].blob);
}

/* Memory is said to be too small, or too much in pieces: is it? For a detour that can't be known without knowing the
 * moves: that refusal is wrong only if everything could take a detour at once, clear of all that is read. */
static inline bool oracle_judge_no_space(struct oracle *o, const struct chain_error *err)
{
	const struct expect *e = &o->expect;
	uint64_t sizes[ORACLE_PIECES_MAX];
	size_t count = 0;
	const bool detour = strcmp(err->subject, "k") == 0;
	if (err->number[0] <= err->number[3] || err->number[2] != (detour ? WORLD_REACH : WORLD_4G - 1) ||
	    (detour ? err->number[1] < 0x100000 : err->number[1] != 0x100000))
		return oracle_wrong(o, "no-space: %llu wanted between 0x%llx and 0x%llx, %llu there",
				    ORACLE_LL(err->number[0]), ORACLE_LL(err->number[1]), ORACLE_LL(err->number[2]),
				    ORACLE_LL(err->number[3]));
	oracle_busy_at_entry(o);
	for (size_t i = 0; i < e->item_count; i++)
		if (!e->items[i].stays && e->items[i].blob->bytes_count)
			sizes[count++] = e->items[i].blob->bytes_count;
	sizes[count++] = oracle_info_bytes(e);
	const size_t low_count = count;
	if (detour) {
		oracle_busy_sources(o);
		for (size_t i = 0; i < e->item_count; i++)
			sizes[count++] = e->items[i].blob->bytes_count;
		for (size_t i = 0; i < e->segment_count; i++)
			sizes[count++] = e->segments[i].file_bytes;
		o->tight++;
	}
	o->full++;
	return !oracle_packs(o, sizes, low_count, count) ||
	       oracle_wrong(o, "no-space for %s, but all of it fits", err->subject);
}

static inline bool oracle_judge_refusal(struct oracle *o, enum chain_status status, const struct chain_error *err)
{
	if (err->status != status)
		return oracle_wrong(o, "%s returned, %s recorded", chain_status_slug(status),
				    chain_status_slug(err->status));
	o->by_status[status]++;
	if (status == CHAIN_E_NO_SPACE && !o->expect.faulty)
		return oracle_judge_no_space(o, err);
	o->refused++;
	if (!o->expect.fault[status])
		return oracle_wrong(o, "refused by %s, which is not so", chain_status_slug(status));
	return true;
}

/* --- carrying out --- */

static inline bool oracle_move(struct oracle *o, const struct chain_move *move)
{
	uint64_t base = move->dest.base, end = move->dest.end, source = move->source_phys;
	uint64_t reach = o->reach ? o->reach : WORLD_4G,
		 limit = move->owner == CHAIN_OWNER_TRAMPOLINE ? WORLD_REACH : reach;
	if (base >= end || base < 0x1000 || end > limit || !expect_available(o->w, base, end, true))
		return oracle_wrong(o, "a move writes to 0x%llx to 0x%llx", ORACLE_LL(base), ORACLE_LL(end));
	if (move->kind == CHAIN_MOVE_ZERO) {
		memory_write(&o->memory, (struct memory_piece){ base, end, MEMORY_ZERO, 0 });
	} else if (source == CHAIN_PHYS_UNKNOWN) {
		memory_write(&o->memory,
			     (struct memory_piece){ base, end, MEMORY_HOST, (uint64_t)(uintptr_t)move->bytes });
	} else {
		if (source > WORLD_REACH || end - base > WORLD_REACH - source)
			return oracle_wrong(o, "a move reads from 0x%llx", ORACLE_LL(source));
		memory_copy(&o->memory, &o->scratch, base, source, end - base);
	}
	return !o->memory.full || oracle_wrong(o, "more pieces of memory than the oracle can hold");
}

static inline bool oracle_carry_out(struct oracle *o)
{
	uint64_t copied = 0, zeroed = 0;
	o->memory.count = 0;
	o->memory.full = false;
	for (size_t i = 0; i < o->plan->move_count; i++) {
		const struct chain_move *move = &o->plan->moves[i];
		if (!oracle_move(o, move))
			return false;
		if (move->owner == CHAIN_OWNER_TRAMPOLINE)
			o->detours++;
		else
			*(move->kind == CHAIN_MOVE_ZERO ? &zeroed : &copied) += move->dest.end - move->dest.base;
	}
	if (copied != o->plan->bytes_copied || zeroed != o->plan->bytes_zeroed)
		return oracle_wrong(o, "%llu bytes copied and %llu zeroed, not as counted", ORACLE_LL(copied),
				    ORACLE_LL(zeroed));
	return true;
}

/* Whether a blob's bytes lie at `at`: from its place in memory, or from the host where no executor could reach that. */
static inline bool oracle_blob_lies(const struct oracle *o, const struct chain_blob *blob, uint64_t offset,
				    uint64_t bytes, uint64_t at)
{
	if (bytes && memory_holds(&o->memory, at, bytes, MEMORY_HOST, (uint64_t)(uintptr_t)blob->bytes + offset))
		return blob->phys >= WORLD_REACH || bytes > WORLD_REACH - blob->phys ||
		       offset > WORLD_REACH - blob->phys - bytes;
	return !bytes || (blob->phys != CHAIN_PHYS_UNKNOWN &&
			  memory_holds(&o->memory, at, bytes, MEMORY_AS_BEFORE, blob->phys + offset));
}

static inline bool oracle_check_kernel(struct oracle *o)
{
	const struct expect *e = &o->expect;
	for (size_t i = 0; i < e->segment_count; i++) {
		const struct expect_segment *s = &e->segments[i];
		uint64_t filled = s->base + s->file_bytes;
		if (!oracle_blob_lies(o, s->blob, s->offset, s->file_bytes, s->base))
			return oracle_wrong(o, "segment %zu lacks its bytes", i);
		if (!memory_holds(&o->memory, filled, s->end - filled, s->keep_rest ? MEMORY_AS_BEFORE : MEMORY_ZERO,
				  filled))
			return oracle_wrong(o, "segment %zu is not as it should be behind its bytes", i);
	}
	const struct chain_entry *entry = &o->plan->entry;
	if (entry->mode != CHAIN_ENTRY_PROTECTED32 || entry->address != e->entry ||
	    entry->registers[CHAIN_RAX] != MULTIBOOT_BOOTLOADER_MAGIC)
		return oracle_wrong(o, "entered at 0x%llx, not 0x%llx", ORACLE_LL(entry->address), ORACLE_LL(e->entry));
	return true;
}

/* --- the claims: who has which memory at the kernel's entry --- */

static inline bool oracle_is_claimed(const struct oracle *o, uint64_t base, uint64_t end, enum chain_owner owner,
				     uint32_t tag)
{
	for (size_t i = 0; i < o->plan->claims.count; i++) {
		const struct chain_claim *claim = &o->plan->claims.v[i];
		if (claim->owner == owner && claim->tag == tag && claim->range.base == base && claim->range.end == end)
			return true;
	}
	return base == end;
}

/* Nothing but claimed memory was written, and of the claims none overlap. */
static inline bool oracle_check_claims(struct oracle *o)
{
	const struct chain_claims *claims = &o->plan->claims;
	const struct chain_range fs = o->w->request.fs;
	for (size_t i = 0; i < claims->count; i++)
		if (claims->v[i].range.base >= claims->v[i].range.end ||
		    (i && claims->v[i].range.base < claims->v[i - 1].range.end))
			return oracle_wrong(o, "claim %zu is empty, overlaps or is out of order", i);
	for (size_t i = 0; i < o->memory.count; i++) {
		uint64_t at = o->memory.v[i].base;
		for (size_t c = 0; c < claims->count; c++)
			if (at >= claims->v[c].range.base && at < claims->v[c].range.end)
				at = claims->v[c].range.end;
		if (at < o->memory.v[i].end)
			return oracle_wrong(o, "0x%llx was written but not claimed", ORACLE_LL(at));
	}
	for (size_t i = 0; i < o->expect.segment_count; i++)
		if (!oracle_is_claimed(o, o->expect.segments[i].base, o->expect.segments[i].end, CHAIN_OWNER_KERNEL,
				       (uint32_t)i))
			return oracle_wrong(o, "segment %zu is not claimed", i);
	if (!o->w->request.fs_keep)
		return true;
	if (!oracle_is_claimed(o, fs.base, fs.end, CHAIN_OWNER_FS, 0) ||
	    !memory_holds(&o->memory, fs.base, fs.end - fs.base, MEMORY_AS_BEFORE, fs.base))
		return oracle_wrong(o, "the kept filesystem is not");
	return true;
}

/* --- memory for whoever carries the plan out --- */

static inline bool oracle_check_trampoline(struct oracle *o)
{
	const struct world *w = o->w;
	uint64_t phys = 0, bytes = w->trampoline_bytes;
	struct chain_range hole;
	enum chain_status status = chain_plan_find_trampoline(o->plan, &w->info, &w->in_use, bytes, &phys, NULL);
	o->busy_count = 0;
	for (size_t i = 0; i < w->info.module_count; i++)
		oracle_busy(o, w->info.modules[i].range.base, w->info.modules[i].range.end);
	for (size_t i = 0; i < w->in_use.count; i++)
		oracle_busy(o, w->in_use.v[i].range.base, w->in_use.v[i].range.end);
	for (size_t i = 0; i < o->plan->claims.count; i++)
		oracle_busy(o, o->plan->claims.v[i].range.base, o->plan->claims.v[i].range.end);
	for (size_t i = 0; i < o->plan->move_count; i++) {
		const struct chain_move *move = &o->plan->moves[i];
		if (move->kind == CHAIN_MOVE_COPY && move->source_phys != CHAIN_PHYS_UNKNOWN)
			oracle_busy(o, move->source_phys, move->source_phys + (move->dest.end - move->dest.base));
	}
	if (status == CHAIN_OK) {
		o->trampolines++;
		if (phys % 4096 || phys < 0x100000 || phys > WORLD_4G - bytes ||
		    !expect_available(w, phys, phys + bytes, true) || !oracle_is_clear(o, phys, phys + bytes))
			return oracle_wrong(o, "the trampoline lies at 0x%llx", ORACLE_LL(phys));
		return true;
	}
	o->no_trampoline++;
	for (uint64_t at = 0x100000; oracle_next_hole(o, at, WORLD_4G, &hole); at = hole.end)
		if (hole.end - hole.base >= bytes)
			return oracle_wrong(o, "no trampoline of %llu bytes, but 0x%llx is free", ORACLE_LL(bytes),
					    ORACLE_LL(hole.base));
	return status == CHAIN_E_NO_SPACE || oracle_wrong(o, "no trampoline: %s", chain_status_slug(status));
}

#endif
