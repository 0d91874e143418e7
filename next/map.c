/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "map.h"

#include "segments.h"

#include <assert.h>

enum { ENTRIES = 512, ENTRY_SHIFT = 9, LARGE_SHIFT = 21, GIB_SHIFT = 30, ROOTS = 2 };
enum { PRESENT = 1, WRITE = 2, LARGE = 0x80 };
#define GIB ((uint64_t)1 << GIB_SHIFT)
static_assert(CHAIN_MEMORY_END <= (uint64_t)1 << 47, "four levels reach all memory");

/* --- what is mapped, by the GiB --- */

/* Lowers *next to the first GiB from `gib` on that has a part of `range`. */
static void look(struct chain_range range, uint64_t gib, uint64_t *next)
{
	uint64_t first = range.base >> GIB_SHIFT;
	if (range.base == range.end || (range.end - 1) >> GIB_SHIFT < gib)
		return;
	first = first < gib ? gib : first;
	*next = first < *next ? first : *next;
}

/* The first from `gib` on; UINT64_MAX: there is none. */
static uint64_t next_seen(const struct chain_plan *plan, struct chain_range own, uint64_t gib)
{
	uint64_t next = UINT64_MAX;
	look((struct chain_range){ 0, chain_entry_memory_end(CHAIN_ENTRY_PROTECTED32) }, gib, &next);
	look(own, gib, &next);
	for (size_t i = 0; i < plan->claims.count; i++)
		look(plan->claims.v[i].range, gib, &next);
	for (size_t i = 0; i < plan->move_count; i++)
		look(plan->moves[i].dest, gib, &next);
	return next;
}

/* Roots; a directory for each GiB, and a table of directories for each 512 of them. */
uint64_t next_map_bytes(const struct chain_plan *plan, uint64_t own_bytes)
{
	uint64_t pages = ROOTS, above = UINT64_MAX;
	/* Where the segment will lie is not known yet. A 32-bit kernel's is within what is mapped anyhow. */
	if (plan->entry.mode == CHAIN_ENTRY_LONG64)
		pages += 2 * (3 + own_bytes / GIB);
	for (uint64_t gib = 0; (gib = next_seen(plan, (struct chain_range){ 0, 0 }, gib)) != UINT64_MAX; gib++) {
		pages += 1u + (gib / ENTRIES != above);
		above = gib / ENTRIES;
	}
	return pages * NEXT_PAGE;
}

/* --- the tables --- */

struct builder {
	uint8_t *tables;
	uint64_t phys, used;
};

/* The table that an entry is for, which is made if there is none yet. */
static uint64_t *below(struct builder *b, uint64_t *entry)
{
	if (!*entry) {
		*entry = (b->phys + b->used) | PRESENT | WRITE;
		b->used += NEXT_PAGE;
	}
	return (void *)(b->tables + (chain_align_down(*entry, NEXT_PAGE) - b->phys));
}

void next_map_build(const struct chain_plan *plan, struct chain_range own, uint64_t phys, uint8_t *tables)
{
	struct builder b = { tables, phys, (uint64_t)ROOTS * NEXT_PAGE };
	uint64_t *root = (void *)tables, *root_of_five = (void *)(tables + NEXT_PAGE);
	*root_of_five = phys | PRESENT | WRITE;
	for (uint64_t gib = 0; (gib = next_seen(plan, own, gib)) != UINT64_MAX; gib++) {
		uint64_t *directory = below(&b, &below(&b, &root[gib >> ENTRY_SHIFT])[gib % ENTRIES]);
		for (uint64_t i = 0; i < ENTRIES; i++)
			directory[i] = gib << GIB_SHIFT | i << LARGE_SHIFT | PRESENT | WRITE | LARGE;
	}
}
