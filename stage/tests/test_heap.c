/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The C library's pages, on memory of the host: every size, any order, no memory, and what was never given. */
#include "fake_machine.h"

#include "stage/pages.h"

#include <cmocka.h>

enum { FIRST_BYTES = 64 * 1024, LIVE_MAX = 64 };

static struct {
	uint64_t phys, bytes;
} taken[256];
static uint64_t refuse_above = UINT64_MAX, assigned_bytes;

uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	assert_int_equal(owner, CHAIN_OWNER_HEAP);
	assert_int_equal(align, STAGE_PAGE);
	if (bytes > refuse_above)
		return 0;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (taken[i].phys)
			continue;
		taken[i].bytes = (bytes + STAGE_PAGE - 1) & ~(uint64_t)(STAGE_PAGE - 1);
		taken[i].phys = (uint64_t)aligned_alloc(STAGE_PAGE, taken[i].bytes);
		memset((void *)taken[i].phys, 0x5a, taken[i].bytes < 1 << 20 ? taken[i].bytes : 1 << 20);
		assigned_bytes += taken[i].bytes;
		return taken[i].phys;
	}
	return 0;
}

void stage_pages_free(uint64_t phys, uint64_t bytes)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (taken[i].phys != phys)
			continue;
		assert_int_equal(taken[i].bytes, (bytes + STAGE_PAGE - 1) & ~(uint64_t)(STAGE_PAGE - 1));
		free((void *)phys);
		assigned_bytes -= taken[i].bytes;
		taken[i].phys = 0;
		return;
	}
	fail_msg("pages are given back that were never taken");
}

void *stage_phys_to_virt(uint64_t phys)
{
	return (void *)phys;
}
uint64_t stage_virt_to_phys(const void *virt)
{
	return (uint64_t)virt;
}

static void *more_heap(uint64_t least_bytes, uint64_t *bytes)
{
	uint64_t phys = stage_pages_alloc(*bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (!phys)
		phys = stage_pages_alloc(*bytes = least_bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	return (void *)phys;
}

static void expect_zeroes(const uint8_t *at, uint64_t bytes)
{
	assert_int_equal((uintptr_t)at % STAGE_PAGE, 0);
	assert_true(bytes == 0 || (at[0] == 0 && at[bytes - 1] == 0 && !memcmp(at, at + 1, bytes - 1)));
}

/* One byte is a page, and a bitmap that takes a page more is thought of: whatever there is memory for can be had. */
static void every_size_is_had(void **state)
{
	static const uint64_t around[] = {
		1, 2, 63, 64, 65, 200, 255, 256, 257, 1000, 32383, 32384, 32446, 32447, 32448
	};

	(void)state;
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		for (int less = 1; less >= 0; less--) {
			uint64_t bytes = around[i] * STAGE_PAGE - (uint64_t)less;
			uint8_t *got = stage_heap_map(bytes);
			if (!got)
				fail_msg("%llu pages less %d bytes are refused", (unsigned long long)around[i], less);
			expect_zeroes(got, bytes);
			got[0] = got[bytes - 1] = 1;
			assert_true(stage_heap_unmap(got, bytes));
		}
	}
	assert_true(assigned_bytes <= 4 << 20); /* the large ones went back */
}

static void nonsense_is_refused(void **state)
{
	uint8_t *got = stage_heap_map(3 * STAGE_PAGE), *after;

	(void)state;
	assert_non_null(got);
	memset(got, 7, 3 * STAGE_PAGE);
	assert_null(stage_heap_map(0));
	assert_null(stage_heap_map(UINT64_MAX));
	assert_null(stage_heap_map(UINT64_MAX / 2 + 1));
	assert_null(stage_heap_map(UINT64_MAX - STAGE_PAGE));
	assert_false(stage_heap_unmap(got, 0));
	assert_false(stage_heap_unmap(got, UINT64_MAX));
	assert_false(stage_heap_unmap(got, UINT64_MAX - 1));
	assert_false(stage_heap_unmap(got, UINT64_MAX / 2));
	assert_false(stage_heap_unmap(got + 1, STAGE_PAGE));
	assert_false(stage_heap_unmap(NULL, STAGE_PAGE));
	assert_false(stage_heap_unmap((void *)(UINTPTR_MAX - STAGE_PAGE + 1), STAGE_PAGE));
	assert_false(stage_heap_unmap(&got, STAGE_PAGE));
	after = stage_heap_map(STAGE_PAGE); /* and nothing of it was given away */
	assert_true(after && (after + STAGE_PAGE <= got || after >= got + 3 * STAGE_PAGE));
	for (size_t i = 0; i < 3 * STAGE_PAGE; i++)
		assert_int_equal(got[i], 7);
	assert_true(stage_heap_unmap(got, 3 * STAGE_PAGE - 1));
	assert_true(stage_heap_unmap(after, STAGE_PAGE));
}

/* Blocks filled with their own number, in any order, with memory short now and then. */
static void blocks_never_share_a_page(void **state)
{
	static struct {
		uint8_t *at;
		uint64_t bytes;
		uint8_t mark;
	} live[LIVE_MAX];
	uint32_t seed = 3;
	unsigned had = 0, refused = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = (seed = seed * 1664525 + 1013904223) >> 8 & (LIVE_MAX - 1);
		if (live[i].at) {
			for (uint64_t n = 0; n < live[i].bytes; n += 512)
				assert_int_equal(live[i].at[n], live[i].mark);
			assert_true(stage_heap_unmap(live[i].at, live[i].bytes));
			live[i].at = NULL;
			continue;
		}
		refuse_above = round % 7 ? UINT64_MAX : round % 3 ? 1 << 20 : 0;
		live[i].bytes = 1 + (seed >> 5) % ((seed >> 20) % 16 ? 40000 : 3000000);
		live[i].at = stage_heap_map(live[i].bytes);
		live[i].mark = (uint8_t)round;
		refused += !live[i].at;
		had += live[i].at != NULL;
		if (live[i].at) {
			expect_zeroes(live[i].at, live[i].bytes);
			memset(live[i].at, live[i].mark, live[i].bytes);
		}
	}
	refuse_above = UINT64_MAX;
	for (unsigned i = 0; i < LIVE_MAX; i++)
		assert_true(!live[i].at || stage_heap_unmap(live[i].at, live[i].bytes));
	assert_true(had > 3000 && refused > 0);
}

static void called_kernel_has_its_window_only(void **state)
{
	static const struct kchain_call call = { .abi = KCHAIN_NATIVE_ABI };
	uint64_t before = assigned_bytes;
	unsigned had = 0;

	(void)state;
	stage_boot.call = &call;
	stage_boot.face = &stage_called_face;
	while (had < 100000 && stage_heap_map(16 * STAGE_PAGE))
		had++;
	stage_boot.call = &stage_no_call;
	assert_true(had < 1000);
	assert_int_equal(assigned_bytes, before);
}

int main(void)
{
	static uint8_t first[FIRST_BYTES] __attribute__((aligned(4096))),
		used[FIRST_BYTES] __attribute__((aligned(4096)));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_had),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(blocks_never_share_a_page),
		cmocka_unit_test(called_kernel_has_its_window_only),
	};

	static const struct stage_face booted = { .owns_machine = true, .more_heap = more_heap };
	stage_boot.face = &booted;
	memset(used, 0x5a, sizeof(used));
	stage_heap_add(first, sizeof(first), true);
	stage_heap_add(used, sizeof(used), false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
