/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Every GiB that is asked for is where it lies, by four levels and by five; no other is there; and the room is enough,
 * wherever the segment comes to lie. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "next/map.h"
#include "next/segments.h"

#include <stdlib.h>
#include <string.h>

#define GIB     ((uint64_t)1 << 30)
#define NOWHERE UINT64_MAX
enum { GUARD = 4096, GUARD_BYTE = 0x5a };

struct tables {
	uint8_t *bytes;
	uint64_t phys, count;
};

/* As a processor walks them. */
static uint64_t walk(const struct tables *t, unsigned levels, uint64_t address)
{
	uint64_t table = t->phys + (levels == 5 ? NEXT_PAGE : 0), entry = 0;
	for (unsigned shift = 12 + 9 * (levels - 1); shift >= 21; shift -= 9) {
		assert_in_range(table, t->phys, t->phys + t->count - NEXT_PAGE);
		memcpy(&entry, t->bytes + (table - t->phys) + (address >> shift & 511) * 8, 8);
		if (!entry)
			return NOWHERE;
		assert_int_equal(entry & 0x7f, 3);
		assert_int_equal(entry >> 7 & 1, shift == 21);
		table = entry & 0x000ffffffffff000;
	}
	return table + (address & 0x1fffff);
}

static bool touches(struct chain_range range, uint64_t gib)
{
	return range.base < (gib + 1) * GIB && range.end > gib * GIB;
}

static void check(const struct chain_plan *plan, uint64_t own_bytes, uint64_t own_phys)
{
	uint64_t count = next_map_bytes(plan, own_bytes);
	uint8_t *bytes = calloc(1, count + GUARD);
	struct tables t = { bytes, own_phys + own_bytes, count };
	struct chain_range own = { own_phys, own_phys + own_bytes + count };
	assert_int_equal(count % NEXT_PAGE, 0);
	memset(bytes + count, GUARD_BYTE, GUARD);
	next_map_build(plan, own, t.phys, bytes);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(bytes[count + i], GUARD_BYTE);
	for (uint64_t gib = 0; gib < 1600; gib++) {
		bool seen = gib < 4 || touches(own, gib);
		for (size_t i = 0; i < plan->claims.count; i++)
			seen = seen || touches(plan->claims.v[i].range, gib);
		for (size_t i = 0; i < plan->move_count; i++)
			seen = seen || touches(plan->moves[i].dest, gib);
		for (uint64_t in = 0; in < 3; in++) {
			uint64_t address = gib * GIB + in * (GIB / 2 - 1);
			for (unsigned levels = 4; levels <= 5; levels++)
				assert_int_equal(walk(&t, levels, address), seen ? address : NOWHERE);
		}
	}
	free(bytes);
}

static void memory_is_where_it_lies(void **ctx)
{
	(void)ctx;
	/* Around the ends of a GiB, of a table of directories, and far from all others. */
	static const struct chain_range ranges[] = {
		{ 5 * GIB, 5 * GIB + 1 },        { 7 * GIB - 1, 7 * GIB + 1 }, { 511 * GIB, 512 * GIB },
		{ 511 * GIB, 512 * GIB + 4096 }, { 1 * GIB, 3 * GIB },         { 1500 * GIB + 5, 1502 * GIB },
		{ 900 * GIB, 900 * GIB },
	};
	enum { RANGES = sizeof(ranges) / sizeof(ranges[0]) };
	static const uint64_t places[] = { 1 << 20, 4 * GIB - (64 << 20), 9 * GIB - 8192, 512 * GIB - 8192,
					   1100 * GIB };
	struct chain_claim claims[RANGES];
	struct chain_move moves[RANGES];
	for (size_t split = 0; split <= RANGES; split++)
		for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++)
			for (uint64_t own = NEXT_PAGE; own <= 2 * GIB; own += GIB - 8192) {
				struct chain_plan plan = { .moves = moves, .move_count = RANGES - split };
				plan.entry = chain_entry_at(CHAIN_ENTRY_LONG64, 1 << 20);
				chain_claims_init(&plan.claims, claims, RANGES);
				for (size_t i = 0; i < RANGES; i++)
					if (i < split)
						claims[plan.claims.count++].range = ranges[i];
					else
						moves[i - split] = (struct chain_move){ .dest = ranges[i] };
				check(&plan, own, places[place]);
			}
}

/* Both roots, the table of directories, and a directory for each of four GiB. */
static void a_32_bit_kernel_takes_seven_pages(void **ctx)
{
	(void)ctx;
	struct chain_plan plan = { .move_count = 0 };
	plan.entry = chain_entry_at(CHAIN_ENTRY_PROTECTED32, 1 << 20);
	assert_int_equal(next_map_bytes(&plan, 1 << 20), 7 * NEXT_PAGE);
	check(&plan, 1 << 20, 3 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(memory_is_where_it_lies),
					    cmocka_unit_test(a_32_bit_kernel_takes_seven_pages) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
