/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = { 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88, 0x09 };

static void numbers_are_little_endian_and_unaligned(void **state)
{
	(void)state;
	assert_int_equal(chain_le16(bytes + 7), 0x0988);
	assert_int_equal(chain_le32(bytes + 1), 0x05840382);
	assert_true(chain_le64(bytes + 1) == 0x0988078605840382);
}

static void the_gate_holds(void **state)
{
	(void)state;
	static const uint64_t values[] = { 0, 1, 8, 9, 10, UINT32_MAX, UINT64_MAX - 8, UINT64_MAX };
	for (uint64_t count = 0; count <= sizeof(bytes); count++)
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
				const struct chain_reader reader = { bytes, count, "r" };
				bool inside = values[i] <= count && values[j] <= count - values[i];
				assert_int_equal(chain_reader_has(&reader, values[i], values[j]), inside);
			}
}

static void an_empty_image_may_be_null(void **state)
{
	(void)state;
	const struct chain_reader reader = { NULL, 0, "r" };
	assert_true(chain_reader_has(&reader, 0, 0));
	assert_false(chain_reader_has(&reader, 0, 1));
	assert_false(chain_reader_has(&reader, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian_and_unaligned),
		cmocka_unit_test(the_gate_holds),
		cmocka_unit_test(an_empty_image_may_be_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
