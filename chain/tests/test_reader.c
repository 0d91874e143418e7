/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = { 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88, 0x09 };
static const struct chain_reader whole = { bytes, sizeof(bytes), "r" };

static void numbers_are_little_endian_and_unaligned(void **state)
{
	(void)state;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	assert_int_equal(chain_reader_u8(&whole, 8, &u8, NULL), CHAIN_OK);
	assert_int_equal(u8, 0x09);
	assert_int_equal(chain_reader_u16(&whole, 7, &u16, NULL), CHAIN_OK);
	assert_int_equal(u16, 0x0988);
	assert_int_equal(chain_reader_u32(&whole, 1, &u32, NULL), CHAIN_OK);
	assert_int_equal(u32, 0x05840382);
	assert_int_equal(chain_reader_u64(&whole, 1, &u64, NULL), CHAIN_OK);
	assert_true(u64 == 0x0988078605840382);
}

static void the_gate_holds(void **state)
{
	(void)state;
	static const uint64_t values[] = { 0, 1, 8, 9, 10, UINT32_MAX, UINT64_MAX - 8, UINT64_MAX };
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			const uint8_t *at = NULL;
			struct chain_error err = { 0 };
			bool inside = values[i] <= 9 && values[j] <= 9 && values[i] + values[j] <= 9;
			assert_int_equal(chain_reader_has(&whole, values[i], values[j]), inside);
			enum chain_status status = chain_reader_bytes(&whole, values[i], values[j], &at, &err);
			assert_int_equal(status, inside ? CHAIN_OK : CHAIN_E_TRUNCATED);
			assert_ptr_equal(at, inside ? bytes + values[i] : NULL);
			if (!inside)
				assert_true(err.number[0] == values[j] && err.number[1] == values[i] &&
					    err.number[2] == 9);
		}
}

static void truncation_is_an_error_at_each_length(void **state)
{
	(void)state;
	for (uint64_t count = 0; count < 8; count++) {
		struct chain_reader reader = { bytes, count, "r" };
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
		assert_int_equal(chain_reader_u64(&reader, 0, &u64, NULL), CHAIN_E_TRUNCATED);
		assert_int_equal(chain_reader_u32(&reader, 0, &u32, NULL), count < 4 ? CHAIN_E_TRUNCATED : CHAIN_OK);
		assert_int_equal(chain_reader_u16(&reader, 0, &u16, NULL), count < 2 ? CHAIN_E_TRUNCATED : CHAIN_OK);
	}
}

static void an_empty_image_may_be_null(void **state)
{
	(void)state;
	struct chain_reader reader = { NULL, 0, "r" };
	const uint8_t *at = NULL;
	assert_int_equal(chain_reader_bytes(&reader, 0, 0, &at, NULL), CHAIN_OK);
	assert_non_null(at);
	assert_int_equal(chain_reader_bytes(&reader, 0, 1, &at, NULL), CHAIN_E_TRUNCATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian_and_unaligned),
		cmocka_unit_test(the_gate_holds),
		cmocka_unit_test(truncation_is_an_error_at_each_length),
		cmocka_unit_test(an_empty_image_may_be_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
