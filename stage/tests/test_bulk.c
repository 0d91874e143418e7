/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's own way to clear memory: every length at every alignment, and nothing beside it. */
#include "stage/bulk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { AROUND = 64, LENGTHS = 600, PLACES = 33 };

static void clears_what_is_asked(void **state)
{
	static uint8_t room[AROUND + PLACES + LENGTHS + AROUND] __attribute__((aligned(64)));

	(void)state;
	for (size_t at = 0; at < PLACES; at++) {
		for (size_t bytes = 0; bytes < LENGTHS; bytes++) {
			uint8_t *from = room + AROUND + at;
			memset(room, 0xa5, sizeof(room));
			stage_zero(from, bytes);
			for (size_t i = 0; i < sizeof(room); i++)
				assert_int_equal(room[i], &room[i] >= from && &room[i] < from + bytes ? 0 : 0xa5);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(clears_what_is_asked) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
