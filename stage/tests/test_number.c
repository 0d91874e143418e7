/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's strtod and strtol against the host's: doubles at random and halfway between two of them, to the last digit, texts at the
 * edges of what there is, and what is no number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* stage/number.c, by the names that its object has here (tests.mk). */
double stage_strtod(const char *text, char **end);
long stage_strtol(const char *text, char **end, int base);
unsigned long stage_strtoul(const char *text, char **end, int base);
long long stage_strtoll(const char *text, char **end, int base);
unsigned long long stage_strtoull(const char *text, char **end, int base);

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void same_real(const char *text)
{
	char *mine_end, *theirs_end;
	errno = 0;
	const double theirs = strtod(text, &theirs_end);
	const int theirs_errno = errno;
	errno = 0;
	const double mine = stage_strtod(text, &mine_end);
	if (memcmp(&mine, &theirs, sizeof(mine)) != 0 || mine_end != theirs_end)
		fail_msg("\"%.60s\": %.17g (%td) and %.17g (%td)", text, mine, mine_end - text, theirs, theirs_end - text);
	if (isinf(theirs) && (theirs_errno != ERANGE || errno != ERANGE))
		fail_msg("\"%.60s\": errno %d", text, errno);
	assert_true(stage_strtod(text, NULL) == mine || mine != mine);
}

static void reals_of_all_sizes(void **state)
{
	(void)state;
	char text[1200];
	for (int i = 0; i < 10000; i++) {
		uint64_t bits = next();
		double value;
		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		(void)snprintf(text, sizeof(text), i % 2 ? "%.*e" : "%.*g", i % 25, value);
		same_real(text);
		if (i % 20 == 0) {
			(void)snprintf(text, sizeof(text), "%.*f", i % 40, value);
			same_real(text);
		}
	}
}

/* The middle of two neighbours, exactly, and a hair beside it: the last of up to 770 digits decides. Both are summed by the host in
 * a format with more bits. */
static void middles_of_neighbours(void **state)
{
	(void)state;
	char text[1300];
	for (int i = 0; i < 1000; i++) {
		uint64_t bits = next() & (i % 3 ? 0x7fefffffffffffff : 0x001fffffffffffff);
		double low, high;
		memcpy(&low, &bits, sizeof(low));
		if (!isfinite(low))
			continue;
		bits++;
		memcpy(&high, &bits, sizeof(high));
		const long double middle = isinf(high) ? (long double)low : ((long double)low + (long double)high) / 2;
		int bytes = snprintf(text, sizeof(text), "%.800Le", middle);
		assert_in_range(bytes, 800, sizeof(text) - 1);
		same_real(text);
		char *digit = strchr(text, 'e') - 1;
		*digit = '1';
		same_real(text);
		for (digit--; *digit == '0'; digit--)
			;
		if (*digit != '.') {
			--*digit;
			same_real(text);
		}
	}
}

static void real_texts(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"0", "-0", "0.0", "-0.0e5", "1", "-1.5", "+2.25", " 3", "\t\n4x", "5.", ".5", "-.5e1", "5.e1", "1e", "1e+", "1e-x", "1e+07",
		"1E2", "1e00000000000000000001", "", "-", "+", ".", ".e1", "e1", "--1", "1..2", "1.2.3", "1e2.5", "x", "1e308", "1e309", "-1e309",
		"1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1.797693134862315807e308", "1.797693134862315808e308",
		"2.2250738585072014e-308", "2.2250738585072011e-308", "4.9406564584124654e-324", "2.4703282292062327e-324",
		"2.4703282292062328e-324", "2.4703282292062329e-324", "1e-400", "-1e-400", "1e-99999999999999999999", "1e99999999999999999999",
		"0e99999999999999999999", "9007199254740993", "9007199254740992.9999", "9007199254740993.0000000000000000000000000000001",
		"0.1", "0.30000000000000004", "123456789012345678901234567890", "8.5e-1",
	};
	char text[3000];
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		same_real(texts[i]);
	for (size_t zeros = 0; zeros < 1400; zeros += 1 + zeros / 50) { /* long ones, before and behind the point */
		(void)snprintf(text, sizeof(text), "1%0*d", (int)zeros + 1, 7);
		same_real(text);
		(void)snprintf(text, sizeof(text), "0.%0*de%d", (int)zeros + 1, 7, (int)zeros);
		same_real(text);
		(void)snprintf(text, sizeof(text), "9007199254740993.%0*d", (int)zeros + 1, (int)(zeros % 2));
		same_real(text);
	}
}

static void same_whole(const char *text, int base)
{
	char *mine_end, *theirs_end;
	errno = 0;
	const long long theirs = strtoll(text, &theirs_end, base);
	const int theirs_errno = errno;
	errno = 0;
	const long long mine = stage_strtoll(text, &mine_end, base);
	if (mine != theirs || mine_end != theirs_end || errno != theirs_errno)
		fail_msg("\"%s\", %d: %lld (%td, errno %d) and %lld (%td, errno %d)", text, base, mine, mine_end - text, errno, theirs,
			 theirs_end - text, theirs_errno);
	errno = 0;
	const unsigned long long more = strtoull(text, &theirs_end, base);
	const int more_errno = errno;
	errno = 0;
	if (stage_strtoull(text, &mine_end, base) != more || mine_end != theirs_end || errno != more_errno)
		fail_msg("\"%s\", %d: not %llu, errno %d not %d", text, base, more, errno, more_errno);
	assert_int_equal(stage_strtol(text, NULL, base), mine);
	assert_int_equal(stage_strtoul(text, NULL, base), more);
}

static void whole_numbers(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"0", "-0", "7", "-7", "+7", "  12", "12x", "", "-", "+", "x", "0x", "0x1f", "0XfFz", "-0x10", "0xg", "017", "08", "0777", "zz", "1z",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
		"18446744073709551616", "-18446744073709551615", "-18446744073709551616", "99999999999999999999999999999999", "ffffffffffffffff",
		"7fffffffffffffff", "8000000000000000", "- 1", "--1", "1.5", "1e3",
	};
	static const int bases[] = { 0, 2, 8, 10, 16, 36 };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t j = 0; j < sizeof(bases) / sizeof(bases[0]); j++)
			same_whole(texts[i], bases[j]);
	for (int i = 0; i < 20000; i++) {
		char text[40];
		(void)snprintf(text, sizeof(text), i % 2 ? "%lld" : "%llx", (long long)next() >> (i % 64));
		same_whole(text, bases[(size_t)i % 6]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reals_of_all_sizes),
		cmocka_unit_test(middles_of_neighbours),
		cmocka_unit_test(real_texts),
		cmocka_unit_test(whole_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
