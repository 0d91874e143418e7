/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/range.h"

#include "chain/bootinfo.h"

#include <string.h>

enum chain_status chain_range_make(uint64_t base, uint64_t bytes, const char *subject, struct chain_range *out,
				   struct chain_error *err)
{
	uint64_t end;
	if (__builtin_add_overflow(base, bytes, &end))
		return CHAIN_FAIL(err, OVERFLOW, .subject = subject, .base = base, .bytes = bytes);
	*out = (struct chain_range){ base, end };
	return CHAIN_OK;
}

bool chain_range_overlaps(struct chain_range a, struct chain_range b)
{
	return a.base < a.end && b.base < b.end && a.base < b.end && b.base < a.end;
}

bool chain_range_contains(struct chain_range outer, struct chain_range inner)
{
	return outer.base <= inner.base && inner.end <= outer.end;
}

bool chain_align_up(uint64_t value, uint64_t align, uint64_t *out)
{
	uint64_t sum;
	if (__builtin_add_overflow(value, align - 1, &sum))
		return false;
	*out = sum & ~(align - 1);
	return true;
}

uint64_t chain_align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

const char *chain_owner_name(enum chain_owner owner)
{
	static const char *const names[CHAIN_OWNER_COUNT] = {
		[CHAIN_OWNER_FIRMWARE] = "firmware",
		[CHAIN_OWNER_AP_PAGE] = "start page of processors",
		[CHAIN_OWNER_STAGE] = "stage",
		[CHAIN_OWNER_FS] = "filesystem",
		[CHAIN_OWNER_MANIFEST] = "manifest",
		[CHAIN_OWNER_BOOT_MODULE] = "boot module",
		[CHAIN_OWNER_HEAP] = "heap",
		[CHAIN_OWNER_WINDOW] = "window",
		[CHAIN_OWNER_KERNEL] = "kernel segment",
		[CHAIN_OWNER_MODULE] = "module",
		[CHAIN_OWNER_BOOT_INFO] = "boot information",
		[CHAIN_OWNER_HANDOFF] = "handoff",
		[CHAIN_OWNER_ROOT] = "root",
		[CHAIN_OWNER_TRAMPOLINE] = "trampoline",
	};
	return (unsigned)owner < CHAIN_OWNER_COUNT ? names[owner] : "unknown owner";
}

void chain_claims_init(struct chain_claims *claims, struct chain_claim *storage, size_t capacity)
{
	*claims = (struct chain_claims){ storage, 0, capacity };
}

/* Index of the first claim that ends above `address`. */
static size_t first_ending_above(const struct chain_claims *claims, uint64_t address)
{
	size_t low = 0, high = claims->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (claims->v[middle].range.end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct chain_claim *chain_claims_overlap(const struct chain_claims *claims, struct chain_range range)
{
	if (range.base == range.end)
		return NULL;
	size_t at = first_ending_above(claims, range.base);
	return at < claims->count && claims->v[at].range.base < range.end ? &claims->v[at] : NULL;
}

enum chain_status chain_claims_add(struct chain_claims *claims, struct chain_range range, enum chain_owner owner,
				   uint32_t tag, struct chain_error *err)
{
	if (range.base == range.end)
		return CHAIN_OK;
	size_t at = first_ending_above(claims, range.base);
	if (at < claims->count && claims->v[at].range.base < range.end) {
		const struct chain_claim *other = &claims->v[at];
		return CHAIN_FAIL(err, CLAIM_OVERLAP, .subject = chain_owner_name(owner),
				  .detail = chain_owner_name(other->owner), .base = range.base, .end = range.end,
				  .other_base = other->range.base, .other_end = other->range.end);
	}
	if (claims->count == claims->capacity)
		return CHAIN_FAIL(err, LIMIT, .subject = "memory", .detail = "claims",
				  .value = (uint64_t)claims->count + 1, .limit = claims->capacity);
	memmove(&claims->v[at + 1], &claims->v[at], (claims->count - at) * sizeof(claims->v[0]));
	claims->v[at] = (struct chain_claim){ range, owner, tag };
	claims->count++;
	return CHAIN_OK;
}

enum chain_status chain_claims_remove(struct chain_claims *claims, struct chain_range range, struct chain_error *err)
{
	if (range.base == range.end)
		return CHAIN_OK;
	size_t at = first_ending_above(claims, range.base);
	if (at == claims->count || claims->v[at].range.base != range.base || claims->v[at].range.end != range.end)
		return CHAIN_FAIL(err, CLAIM_MISSING, .subject = "claims on memory", .base = range.base,
				  .end = range.end);
	claims->count--;
	memmove(&claims->v[at], &claims->v[at + 1], (claims->count - at) * sizeof(claims->v[0]));
	return CHAIN_OK;
}

/* The next stretch of available memory at or behind entry *cursor: neighbours that touch count as one. */
static bool next_stretch(const struct chain_mem_entry *mem, size_t mem_count, size_t *cursor, struct chain_range *out)
{
	size_t at = *cursor;
	while (at < mem_count && mem[at].type != CHAIN_MEM_AVAILABLE)
		at++;
	if (at == mem_count)
		return false;
	*out = mem[at++].range;
	for (; at < mem_count && mem[at].type == CHAIN_MEM_AVAILABLE && mem[at].range.base == out->end; at++)
		out->end = mem[at].range.end;
	*cursor = at;
	return true;
}

/* The first claim at or behind *at that ends above `address`, which only rises from one call to the next. */
static const struct chain_claim *next_claim(const struct chain_claims *claims, size_t *at, uint64_t address)
{
	while (*at < claims->count && claims->v[*at].range.end <= address)
		++*at;
	return *at < claims->count ? &claims->v[*at] : NULL;
}

struct search {
	const struct chain_find *want;
	bool found;
	uint64_t base, largest, chosen; /* bytes of the largest hole, and of the one that `base` is in */
};

/* Takes note of a hole between claims; true when the search is over. */
static bool visit_hole(struct search *search, struct chain_range hole)
{
	uint64_t base;
	const struct chain_find *want = search->want;
	if (!chain_align_up(hole.base, want->align, &base) || base >= hole.end)
		return false;
	uint64_t bytes = hole.end - base;
	if (bytes > search->largest)
		search->largest = bytes;
	if (bytes < want->bytes || (want->tightest && search->found && bytes >= search->chosen))
		return false;
	search->found = true;
	search->chosen = bytes;
	search->base = want->top_down ? chain_align_down(hole.end - want->bytes, want->align) : base;
	return !want->top_down && !want->tightest;
}

/* Every hole of one stretch, from below; true when the search is over. */
static bool visit_stretch(struct search *search, const struct chain_claims *claims, const struct chain_claims *also,
			  struct chain_range stretch)
{
	static const struct chain_claims none;
	const struct chain_claims *sets[2] = { claims, also ? also : &none };
	size_t next[2] = { first_ending_above(sets[0], stretch.base), first_ending_above(sets[1], stretch.base) };
	uint64_t at = stretch.base;
	while (at < stretch.end) {
		const struct chain_claim *claim = next_claim(sets[0], &next[0], at),
					 *other = next_claim(sets[1], &next[1], at);
		if (!claim || (other && other->range.base < claim->range.base))
			claim = other;
		uint64_t end = claim && claim->range.base < stretch.end ? claim->range.base : stretch.end;
		if (end > at && visit_hole(search, (struct chain_range){ at, end }))
			return true;
		if (!claim)
			break;
		at = claim->range.end;
	}
	return false;
}

enum chain_status chain_claims_find(const struct chain_claims *claims, const struct chain_claims *also,
				    const struct chain_mem_entry *mem, size_t mem_count, const struct chain_find *want,
				    const char *subject, uint64_t *out_base, struct chain_error *err)
{
	struct search search = { .want = want };
	struct chain_range stretch;
	for (size_t cursor = 0; next_stretch(mem, mem_count, &cursor, &stretch);) {
		if (stretch.base < want->within.base)
			stretch.base = want->within.base;
		if (stretch.end > want->within.end)
			stretch.end = want->within.end;
		if (stretch.base < stretch.end && visit_stretch(&search, claims, also, stretch))
			break;
	}
	if (!search.found)
		return CHAIN_FAIL(err, NO_SPACE, .subject = subject, .bytes = want->bytes, .base = want->within.base,
				  .end = want->within.end, .largest = search.largest);
	*out_base = search.base;
	return CHAIN_OK;
}
