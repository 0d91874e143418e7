/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Ranges and claims, against a bitmap. */
#include "chain/bootinfo.h"
#include "chain/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BITS = 256, ROUNDS = 20000 };

static uint64_t seed = 0x2545f4914f6cdd1du;
static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void sums_are_checked(void **state)
{
	(void)state;
	struct chain_range r;
	struct chain_error err = { 0 };
	uint64_t up;
	assert_int_equal(chain_range_make(UINT64_MAX - 4, 4, "x", &r, &err), CHAIN_OK);
	assert_int_equal(r.end, UINT64_MAX);
	assert_int_equal(chain_range_make(UINT64_MAX - 4, 5, "x", &r, &err), CHAIN_E_OVERFLOW);
	assert_int_equal(err.number[0], UINT64_MAX - 4);
	assert_int_equal(err.number[1], 5);
	assert_true(chain_align_up(1, 4096, &up) && up == 4096);
	assert_true(chain_align_up(4096, 4096, &up) && up == 4096);
	assert_true(chain_align_up(0, 4096, &up) && up == 0);
	assert_false(chain_align_up(UINT64_MAX, 4096, &up));
	assert_int_equal(chain_align_down(4097, 4096), 4096);
}

static void overlap_and_containment(void **state)
{
	(void)state;
	for (uint64_t a = 0; a < 6; a++)
		for (uint64_t b = a; b < 6; b++)
			for (uint64_t c = 0; c < 6; c++)
				for (uint64_t d = c; d < 6; d++) {
					bool common = false, inside = true;
					for (uint64_t x = 0; x < 6; x++) {
						common |= x >= a && x < b && x >= c && x < d;
						inside &= !(x >= c && x < d) || (x >= a && x < b);
					}
					struct chain_range p = { a, b }, q = { c, d };
					assert_int_equal(chain_range_overlaps(p, q), common);
					if (c < d)
						assert_int_equal(chain_range_contains(p, q), inside);
				}
}

static void claims_name_both_owners(void **state)
{
	(void)state;
	struct chain_claim storage[2];
	struct chain_claims claims;
	struct chain_error err = { 0 };
	char line[256];
	chain_claims_init(&claims, storage, 2);
	assert_int_equal(chain_claims_add(&claims, (struct chain_range){ 5, 5 }, CHAIN_OWNER_FS, 0, &err), CHAIN_OK);
	assert_int_equal(claims.count, 0);
	assert_int_equal(chain_claims_add(&claims, (struct chain_range){ 16, 32 }, CHAIN_OWNER_FS, 0, &err), CHAIN_OK);
	assert_int_equal(chain_claims_add(&claims, (struct chain_range){ 31, 33 }, CHAIN_OWNER_KERNEL, 1, &err),
			 CHAIN_E_CLAIM_OVERLAP);
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "kernel segment at 0x1f to 0x21 overlaps filesystem at 0x10 to 0x20");
	assert_int_equal(chain_claims_add(&claims, (struct chain_range){ 32, 33 }, CHAIN_OWNER_KERNEL, 1, NULL),
			 CHAIN_OK);
	assert_int_equal(chain_claims_add(&claims, (struct chain_range){ 40, 41 }, CHAIN_OWNER_KERNEL, 2, NULL),
			 CHAIN_E_LIMIT);
	assert_int_equal(chain_claims_remove(&claims, (struct chain_range){ 16, 31 }, NULL), CHAIN_E_CLAIM_MISSING);
	assert_int_equal(chain_claims_remove(&claims, (struct chain_range){ 16, 32 }, NULL), CHAIN_OK);
	assert_int_equal(claims.count, 1);
}

static bool any(const uint8_t *bits, uint64_t base, uint64_t end)
{
	for (uint64_t i = base; i < end; i++)
		if (bits[i])
			return true;
	return false;
}

static struct chain_range random_range(void)
{
	uint64_t base = rnd(BITS), bytes = rnd(16);
	return (struct chain_range){ base, base + bytes < BITS ? base + bytes : BITS };
}

/* Adds, removes and asks at random; the bitmap knows. */
static void claims_behave_as_a_bitmap(void **state)
{
	(void)state;
	uint8_t bits[BITS] = { 0 };
	struct chain_claim storage[BITS];
	struct chain_claims claims;
	chain_claims_init(&claims, storage, BITS);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct chain_range r = random_range();
		bool taken = any(bits, r.base, r.end);
		assert_int_equal(chain_claims_overlap(&claims, r) != NULL, taken);
		if (claims.count && rnd(3) == 0) {
			struct chain_range old = claims.v[rnd(claims.count)].range;
			assert_int_equal(chain_claims_remove(&claims, old, NULL), CHAIN_OK);
			memset(bits + old.base, 0, old.end - old.base);
			continue;
		}
		enum chain_status status = chain_claims_add(&claims, r, CHAIN_OWNER_WINDOW, round, NULL);
		assert_int_equal(status, taken ? CHAIN_E_CLAIM_OVERLAP : CHAIN_OK);
		if (!taken)
			memset(bits + r.base, 1, r.end - r.base);
		for (size_t i = 1; i < claims.count; i++)
			assert_true(claims.v[i - 1].range.end <= claims.v[i].range.base);
	}
}

/* A bitmap of what is not free: not available, or claimed in either set. */
static size_t random_memory(uint8_t *bits, struct chain_mem_entry *mem, struct chain_claims *sets)
{
	size_t n = 0;
	memset(bits, 1, BITS);
	for (uint64_t at = rnd(8); at < BITS;) {
		uint64_t end = at + 1 + rnd(60);
		end = end > BITS ? BITS : end;
		mem[n++] = (struct chain_mem_entry){ { at, end }, rnd(4) ? CHAIN_MEM_AVAILABLE : CHAIN_MEM_RESERVED };
		if (mem[n - 1].type == CHAIN_MEM_AVAILABLE)
			memset(bits + at, 0, end - at);
		at = end + (rnd(2) ? rnd(6) : 0);
	}
	for (unsigned set = 0; set < 2; set++)
		for (uint64_t i = rnd(8); i; i--) {
			struct chain_range r = random_range();
			if (chain_claims_add(&sets[set], r, CHAIN_OWNER_FS, 0, NULL) == CHAIN_OK)
				memset(bits + r.base, 1, r.end - r.base);
		}
	return n;
}

static void find_agrees_with_the_bitmap(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t bits[BITS];
		struct chain_mem_entry mem[BITS];
		struct chain_claim storage[2][16];
		struct chain_claims sets[2];
		chain_claims_init(&sets[0], storage[0], 16);
		chain_claims_init(&sets[1], storage[1], 16);
		size_t n = random_memory(bits, mem, sets);
		struct chain_find want = { 1 + rnd(40), (uint64_t)1 << rnd(5), random_range(), rnd(2), false };
		want.within.end = BITS - rnd(BITS - want.within.base + 1);
		uint64_t expect = UINT64_MAX, got = UINT64_MAX;
		for (uint64_t b = 0; b + want.bytes <= BITS; b += want.align)
			if (b >= want.within.base && b + want.bytes <= want.within.end &&
			    !any(bits, b, b + want.bytes) && (want.top_down || expect == UINT64_MAX))
				expect = b;
		enum chain_status status = chain_claims_find(&sets[0], &sets[1], mem, n, &want, "t", &got, NULL);
		assert_int_equal(status, expect == UINT64_MAX ? CHAIN_E_NO_SPACE : CHAIN_OK);
		assert_int_equal(got, expect);
	}
}

static void the_tightest_hole_is_found(void **state)
{
	(void)state;
	struct chain_mem_entry mem[] = { { { 0, 64 }, CHAIN_MEM_AVAILABLE },
					 { { 70, 90 }, CHAIN_MEM_AVAILABLE },
					 { { 100, 130 }, CHAIN_MEM_AVAILABLE } };
	struct chain_claims none = { 0 };
	struct chain_find want = { 15, 4, { 0, UINT64_MAX }, false, true };
	uint64_t base;
	assert_int_equal(chain_claims_find(&none, NULL, mem, 3, &want, "x", &base, NULL), CHAIN_OK);
	assert_int_equal(base, 72);
	want.bytes = 25;
	assert_int_equal(chain_claims_find(&none, NULL, mem, 3, &want, "x", &base, NULL), CHAIN_OK);
	assert_int_equal(base, 100);
	want.top_down = true;
	assert_int_equal(chain_claims_find(&none, NULL, mem, 3, &want, "x", &base, NULL), CHAIN_OK);
	assert_int_equal(base, 104);
}

static void no_space_gives_numbers(void **state)
{
	(void)state;
	struct chain_mem_entry mem[] = { { { 0, 64 }, CHAIN_MEM_AVAILABLE }, { { 64, 100 }, CHAIN_MEM_AVAILABLE } };
	struct chain_claims none = { 0 };
	struct chain_find want = { 120, 1, { 0, UINT64_MAX }, false, false };
	struct chain_error err = { 0 };
	char text[256];
	uint64_t base;
	assert_int_equal(chain_claims_find(&none, NULL, mem, 2, &want, "x", &base, &err), CHAIN_E_NO_SPACE);
	chain_error_format(&err, text, sizeof(text)); /* neighbours count as one */
	assert_string_equal(text, "x: no room for 120 bytes between 0x0 and 0xffffffffffffffff: the largest free place "
				  "there has 100");
	/* Only where it was looked, and from a multiple on. */
	chain_error_clear(&err);
	want = (struct chain_find){ 60, 16, { 20, 90 }, false, false };
	assert_int_equal(chain_claims_find(&none, NULL, mem, 2, &want, "x", &base, &err), CHAIN_E_NO_SPACE);
	chain_error_format(&err, text, sizeof(text));
	assert_string_equal(text, "x: no room for 60 bytes between 0x14 and 0x5a: the largest free place there has 58");
	chain_error_hint(&err, text, sizeof(text));
	assert_string_equal(text, "ask for less, or give the machine more memory there");
}

static void every_owner_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < CHAIN_OWNER_COUNT; i++) {
		assert_non_null(chain_owner_name((enum chain_owner)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(chain_owner_name((enum chain_owner)i),
						chain_owner_name((enum chain_owner)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_checked),
		cmocka_unit_test(overlap_and_containment),
		cmocka_unit_test(claims_name_both_owners),
		cmocka_unit_test(claims_behave_as_a_bitmap),
		cmocka_unit_test(find_agrees_with_the_bitmap),
		cmocka_unit_test(the_tightest_hole_is_found),
		cmocka_unit_test(no_space_gives_numbers),
		cmocka_unit_test(every_owner_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
