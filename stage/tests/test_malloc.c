/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The heap against a list of what was given out: every byte of each piece stays as it was left, pieces are aligned,
 * what is free is found again, and what was not given out is not taken back. */
#include "stage/cpu.h"
#include "stage/malloc.h"
#include "stage/runtime.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PAGE = 4096, PIECES = 400 };

static uint64_t mapped, room = UINT64_MAX;
static jmp_buf after_panic;

/* Pages that a sanitizer watches. */
void *stage_heap_map(uint64_t bytes)
{
	assert_true(bytes && bytes % PAGE == 0);
	if (bytes > room - mapped)
		return NULL;
	void *got = aligned_alloc(PAGE, bytes);
	assert_non_null(got);
	memset(got, 0, bytes);
	mapped += bytes;
	return got;
}

bool stage_heap_unmap(void *virt, uint64_t bytes)
{
	assert_int_equal((uintptr_t)virt % PAGE, 0);
	assert_true(bytes <= mapped);
	mapped -= bytes;
	free(virt);
	return true;
}

void stage_panic(const char *format, ...)
{
	(void)format;
	longjmp(after_panic, 1);
}

static struct piece {
	uint8_t *at;
	size_t bytes;
	uint8_t mark;
} pieces[PIECES];

static uint32_t seed = 1;
static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static size_t some_bytes(void)
{
	static const uint32_t below[] = { 64, 64, 64, 600, 1100, 5000, 40000, 300000 };
	return draw(below[draw(sizeof(below) / sizeof(below[0]))]);
}

static void check(const struct piece *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(p->at[i], p->mark);
}

static void fill(struct piece *p, uint8_t *got, size_t bytes)
{
	assert_non_null(got);
	assert_int_equal((uintptr_t)got % 16, 0);
	assert_true(stage_malloc_usable_size(got) >= bytes);
	*p = (struct piece){ got, bytes, (uint8_t)(1 + draw(255)) };
	memset(got, p->mark, stage_malloc_usable_size(got));
}

static void give_out(struct piece *p)
{
	size_t bytes = some_bytes(), align = (size_t)16 << draw(9);
	switch (draw(3)) {
	case 0:
		fill(p, stage_malloc(bytes), bytes);
		break;
	case 1:
		p->at = stage_calloc(bytes, 1);
		p->mark = 0;
		check(p, bytes);
		fill(p, p->at, bytes);
		break;
	default:
		fill(p, stage_aligned_alloc(align, bytes), bytes);
		assert_int_equal((uintptr_t)p->at % align, 0);
	}
}

static void resize(struct piece *p)
{
	size_t bytes = some_bytes(), kept = bytes < p->bytes ? bytes : p->bytes;
	p->at = stage_realloc(p->at, bytes);
	check(p, kept);
	fill(p, p->at, bytes);
}

static void pieces_are_left_alone(void **state)
{
	(void)state;
	for (int round = 0; round < 15000; round++) {
		struct piece *p = &pieces[draw(round % 4000 < 2000 ? PIECES : PIECES / 8)];
		if (!p->at) {
			give_out(p);
			continue;
		}
		check(p, p->bytes);
		if (draw(3) == 0) {
			resize(p);
			continue;
		}
		stage_free(p->at);
		*p = (struct piece){ 0 };
	}
	for (size_t i = 0; i < PIECES; i++) {
		if (pieces[i].at)
			check(&pieces[i], pieces[i].bytes);
		stage_free(pieces[i].at);
	}
}

/* What small pieces were taken from is whole again once they are all freed, in whichever order: it needs no new pages.
 */
static void neighbours_are_merged(void **state)
{
	(void)state;
	enum { SMALL = 4000, REGION = 32768, REGIONS = 100 };
	static void *small[SMALL], *whole[REGIONS];
	for (int order = 0; order < 3; order++) {
		uint64_t start = mapped;
		for (size_t i = 0; i < SMALL; i++)
			assert_non_null(small[i] = stage_malloc(draw(400)));
		uint64_t after = mapped;
		for (size_t i = 0; i < SMALL; i++)
			stage_free(small[order == 0 ? i : order == 1 ? SMALL - 1 - i : i * 7 % SMALL]);
		size_t count = (after - start) / REGION;
		assert_true(count <= REGIONS && (order || count > 0));
		for (size_t i = 0; i < count; i++)
			assert_non_null(whole[i] = stage_malloc(REGION - 24)); /* all that a region holds */
		assert_int_equal(mapped, after);
		for (size_t i = 0; i < count; i++)
			stage_free(whole[i]);
	}
}

static void large_ones_go_back(void **state)
{
	(void)state;
	uint64_t before = mapped;
	void *large = stage_malloc(1 << 20), *larger = stage_realloc(large, 3 << 20);
	assert_true(mapped >= before + (3 << 20));
	stage_free(larger);
	assert_int_equal(mapped, before);
}

static void no_memory_is_reported(void **state)
{
	(void)state;
	room = mapped + 3 * PAGE; /* less than a region has at least */
	assert_null(stage_malloc(1 << 20));
	void *last = stage_malloc(2 * PAGE);
	assert_non_null(last);
	errno = 0;
	assert_null(stage_malloc(3 << 20));
	assert_int_equal(errno, ENOMEM);
	assert_null(stage_realloc(last, 3 << 20));
	assert_null(stage_calloc(SIZE_MAX / 2, 3));
	assert_null(stage_malloc(SIZE_MAX));
	assert_null(stage_malloc(SIZE_MAX - 8));
	assert_null(stage_aligned_alloc((size_t)1 << 50, 8));
	assert_null(stage_aligned_alloc(64, SIZE_MAX - 20));
	stage_free(last);
	room = UINT64_MAX;
}

static void what_was_not_allocated_is_refused(void **state)
{
	(void)state;
	static uint8_t fresh[64] __attribute__((aligned(16)));
	uint8_t *twice = stage_malloc(100), *kept = stage_malloc(100);
	void *wrong[] = { twice, kept + 4, fresh + 16 };
	stage_free(twice);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (setjmp(after_panic) == 0) {
			stage_free(wrong[i]);
			fail_msg("%zu was taken back", i);
		}
	}
	stage_free(kept);
	stage_free(NULL);
}

/* Parts in any order, some given back while the pool is open; its memory goes with the last one, and not before. */
static void pools_go_with_their_last_part(void **state)
{
	enum { POOL = 200000, PARTS = 3000 };
	static struct piece parts[PARTS];
	(void)state;
	for (uint32_t round = 0; round < 50; round++) {
		const uint64_t before = mapped;
		struct stage_pool *pool = stage_pool_make(POOL);
		size_t count = 0, left = 0;
		uint8_t *end = (uint8_t *)pool + POOL;
		assert_non_null(pool);
		for (; count < PARTS; count++) {
			const size_t bytes = draw(round % 2 ? 100 : 3000);
			uint8_t *got = stage_pool_take(pool, bytes);
			if (!got)
				break;
			assert_true((uintptr_t)got % 16 == 0 && got > (uint8_t *)pool && got + bytes <= end);
			parts[count] = (struct piece){ got, bytes, (uint8_t)draw(256) };
			memset(got, parts[count].mark, bytes);
			left++;
			if (draw(4) == 0) {
				stage_free(got);
				parts[count].at = NULL;
				left--;
			}
		}
		assert_true(count == PARTS || pool->lacking);
		assert_true(count == PARTS || !stage_pool_take(pool, 1)); /* once lacking, always */
		if (round % 3)
			stage_pool_close(pool);
		for (size_t i = 0; i < count; i++) {
			const size_t k = (i * 7919 + round) % count;
			if (count % 7919 == 0 || !parts[k].at)
				continue;
			check(&parts[k], parts[k].bytes);
			assert_true(mapped > before);
			stage_free(parts[k].at);
			parts[k].at = NULL;
			left--;
		}
		assert_int_equal(left, 0);
		if (round % 3 == 0)
			stage_pool_close(pool);
		assert_int_equal(mapped, before);
	}
	stage_pool_close(NULL);
	assert_null(stage_pool_take(&(struct stage_pool){ .bytes = 4096 }, SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_merged),
		cmocka_unit_test(pieces_are_left_alone),
		cmocka_unit_test(large_ones_go_back),
		cmocka_unit_test(no_memory_is_reported),
		cmocka_unit_test(what_was_not_allocated_is_refused),
		cmocka_unit_test(pools_go_with_their_last_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
