/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What Linux and the trampoline make of memory together is what the plan's moves say, for plans of all shapes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "next/entry_layout.h"
#include "next/segments.h"
#include "stage/commit/commit_params.h"

#include <stdlib.h>
#include <string.h>

#define BASE ((uint64_t)1 << 20)
enum { MEMORY = 12 << 20, SOURCE = 1 << 19, MOVES_MAX = 40, GARBAGE = 0xa5 };

/* The code is of no interest here. */
const uint8_t next_entry[1], stage_commit_trampoline[1];
__asm__(".globl next_entry_end\n.globl stage_commit_trampoline_end\n"
	".set next_entry_end, next_entry\n.set stage_commit_trampoline_end, stage_commit_trampoline\n");

static uint32_t state;
static uint32_t some(uint32_t below)
{
	state = state * 1103515245u + 12345u;
	return (state >> 8) % below;
}

struct fixture {
	struct chain_plan plan;
	struct chain_move moves[MOVES_MAX];
	struct chain_mem_entry mem;
	struct chain_bootinfo info;
	struct chain_claim claims[MOVES_MAX + 1];
	uint8_t *source, *wanted, *memory;
};

/* Moves with gaps of any size between them, which end and begin anywhere. */
static void make(struct fixture *f, uint32_t seed)
{
	uint64_t at = BASE;
	state = seed;
	*f = (struct fixture){ .source = malloc(SOURCE), .wanted = malloc(MEMORY), .memory = malloc(MEMORY) };
	for (size_t i = 0; i < SOURCE; i++)
		f->source[i] = (uint8_t)some(256);
	memset(f->wanted, GARBAGE, MEMORY);
	f->mem = (struct chain_mem_entry){ { BASE, BASE + MEMORY }, CHAIN_MEM_AVAILABLE };
	f->info = (struct chain_bootinfo){ .mem = &f->mem, .mem_count = 1 };
	f->plan = (struct chain_plan){ .moves = f->moves, .mem = &f->mem, .mem_count = 1 };
	chain_claims_init(&f->plan.claims, f->claims, MOVES_MAX + 1);
	f->plan.entry = chain_entry_at(seed % 2 ? CHAIN_ENTRY_LONG64 : CHAIN_ENTRY_PROTECTED32, BASE);
	for (size_t count = some(MOVES_MAX); f->plan.move_count < count;) {
		uint64_t bytes = 1 + some(some(2) ? 300 : 300000), offset;
		at += some(3) ? 0 : some(2) ? some(5000) : -at % NEXT_PAGE;
		if (at + bytes > BASE + MEMORY / 2)
			break;
		offset = at - BASE;
		struct chain_move *move = &f->moves[f->plan.move_count++];
		*move = (struct chain_move){ .kind = some(4) ? CHAIN_MOVE_COPY : CHAIN_MOVE_ZERO,
					     .bytes = f->source + some(1000),
					     .source_phys = CHAIN_PHYS_UNKNOWN,
					     .dest = { at, at + bytes } };
		if (move->kind == CHAIN_MOVE_COPY)
			memcpy(f->wanted + offset, move->bytes, bytes);
		else
			memset(f->wanted + offset, 0, bytes);
		assert_int_equal(chain_claims_add(&f->plan.claims, move->dest, CHAIN_OWNER_KERNEL, 0, NULL), CHAIN_OK);
		at += bytes;
	}
}

static void free_all(struct fixture *f)
{
	free(f->source);
	free(f->wanted);
	free(f->memory);
}

/* As Linux does: kimage_load_normal_segment() clears each page first. */
static void load(struct fixture *f, const struct next_segments *segments)
{
	uint64_t total = 0;
	memset(f->memory, GARBAGE, MEMORY);
	assert_in_range(segments->count, 1, NEXT_SEGMENTS_MAX);
	for (size_t i = 0; i < segments->count; i++) {
		const struct next_segment *s = &segments->v[i];
		assert_int_equal(s->phys % NEXT_PAGE, 0);
		assert_int_equal(s->memory_bytes % NEXT_PAGE, 0);
		assert_true(s->bytes_count <= s->memory_bytes);
		assert_in_range(s->phys, BASE, BASE + MEMORY - s->memory_bytes);
		for (size_t k = 0; k < i; k++)
			assert_true(s->phys >= segments->v[k].phys + segments->v[k].memory_bytes ||
				    segments->v[k].phys >= s->phys + s->memory_bytes);
		memset(f->memory + (s->phys - BASE), 0, s->memory_bytes);
		memcpy(f->memory + (s->phys - BASE), s->bytes, s->bytes_count);
		total += s->memory_bytes;
	}
	assert_int_equal(total, segments->total_bytes);
}

/* Where an address is by the segment's own page tables, which may be nowhere but in that segment: all else is written
 * while they are in use. */
static uint64_t translate(const struct fixture *f, const struct next_segments *segments, unsigned levels,
			  uint64_t address)
{
	const struct next_segment *own = &segments->v[segments->count - 1];
	uint64_t table, entry = 0;
	memcpy(&table, f->memory + (segments->entry - BASE) + NEXT_ENTRY_ROOT, sizeof(table));
	table += levels == 5 ? NEXT_PAGE : 0;
	for (unsigned shift = 12 + 9 * (levels - 1); shift >= 21; shift -= 9) {
		assert_in_range(table, own->phys, own->phys + own->memory_bytes - NEXT_PAGE);
		memcpy(&entry, f->memory + (table - BASE) + (address >> shift & 511) * sizeof(entry), sizeof(entry));
		assert_int_equal(entry & 0x83, shift == 21 ? 0x83 : 3);
		table = entry & 0x000ffffffffff000;
	}
	return table + (address & 0x1fffff);
}

static void check_seen(const struct fixture *f, const struct next_segments *segments, uint64_t base, uint64_t bytes)
{
	for (unsigned levels = 4; levels <= 5; levels++) {
		assert_int_equal(translate(f, segments, levels, base), base);
		assert_int_equal(translate(f, segments, levels, base + bytes - 1), base + bytes - 1);
	}
}

/* As the trampoline does. */
static void move(struct fixture *f, const struct next_segments *segments)
{
	struct commit_params params;
	struct commit_move one;
	memcpy(&params, f->memory + (segments->entry - BASE) + NEXT_ENTRY_PARAMS, sizeof(params));
	for (uint64_t i = 0; i < params.move_count; i++) {
		memcpy(&one, f->memory + (params.moves - BASE) + i * sizeof(one), sizeof(one));
		check_seen(f, segments, one.dest, one.bytes);
		check_seen(f, segments, one.zero ? one.dest : one.source, one.bytes);
		if (one.zero)
			memset(f->memory + (one.dest - BASE), 0, one.bytes);
		else
			memcpy(f->memory + (one.dest - BASE), f->memory + (one.source - BASE), one.bytes);
	}
	assert_int_equal(params.address, BASE);
	check_seen(f, segments, segments->entry, NEXT_PAGE);
}

static void all_bytes_come_to_their_places(void **ctx)
{
	(void)ctx;
	for (uint32_t seed = 0; seed < 60; seed++) {
		struct fixture f;
		struct next_segments segments;
		make(&f, seed);
		assert_int_equal(next_segments_make(&f.plan, &f.info, &segments, NULL), CHAIN_OK);
		load(&f, &segments);
		move(&f, &segments);
		for (size_t i = 0; i < f.plan.move_count; i++) {
			struct chain_range dest = f.moves[i].dest;
			assert_memory_equal(f.memory + (dest.base - BASE), f.wanted + (dest.base - BASE),
					    chain_range_bytes(dest));
		}
		next_segments_free(&segments);
		free_all(&f);
	}
}

static void no_room_is_reported(void **ctx)
{
	(void)ctx;
	struct fixture f;
	struct next_segments segments;
	struct chain_error err = { 0 };
	make(&f, 1);
	f.mem.range.end = f.moves[f.plan.move_count - 1].dest.end; /* nothing is free but what lies between */
	f.plan.claims.count = 0;
	assert_int_equal(chain_claims_add(&f.plan.claims, f.mem.range, CHAIN_OWNER_KERNEL, 0, NULL), CHAIN_OK);
	assert_int_equal(next_segments_make(&f.plan, &f.info, &segments, &err), CHAIN_E_NO_SPACE);
	assert_string_equal(err.subject, "commit trampoline");
	free_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_bytes_come_to_their_places),
					    cmocka_unit_test(no_room_is_reported) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
