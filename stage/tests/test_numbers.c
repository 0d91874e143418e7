/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's strtoull and its kin read what the host's read, from every text of a few characters and from long ones
 * around the limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* stage/libc/brief/numbers.c, by the names that its object has here (tests.mk). */
unsigned long long stage_strtoull(const char *text, char **end, int base);
unsigned long stage_strtoul(const char *text, char **end, int base);
long long stage_strtoll(const char *text, char **end, int base);
long stage_strtol(const char *text, char **end, int base);

static const int bases[] = { 0, 2, 8, 10, 16, 36 };

static void compare(const char *text)
{
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		char *ours = NULL, *theirs = NULL;
		errno = 0;
		unsigned long long number = stage_strtoull(text, &ours, bases[i]);
		int error = errno;
		errno = 0;
		if (number != strtoull(text, &theirs, bases[i]) || ours != theirs ||
		    error != (errno == ERANGE ? ERANGE : 0))
			fail_msg("strtoull(\"%s\", %d): %llu, %zu bytes, errno %d", text, bases[i], number,
				 (size_t)(ours - text), error);
		errno = 0;
		long long with_sign = stage_strtoll(text, &ours, bases[i]);
		error = errno;
		errno = 0;
		if (with_sign != strtoll(text, &theirs, bases[i]) || ours != theirs ||
		    error != (errno == ERANGE ? ERANGE : 0))
			fail_msg("strtoll(\"%s\", %d): %lld, %zu bytes, errno %d", text, bases[i], with_sign,
				 (size_t)(ours - text), error);
		assert_true(stage_strtoul(text, NULL, bases[i]) == number &&
			    stage_strtol(text, NULL, bases[i]) == with_sign);
	}
}

static void every_short_text(void **state)
{
	static const char letters[] = " \t\r-+019aFgxXz@/:[`{\xff";
	enum { LETTERS = sizeof(letters) };
	(void)state;
	for (unsigned n = 0; n < LETTERS * LETTERS * LETTERS * LETTERS; n++) {
		char text[5] = { letters[n % LETTERS], letters[n / LETTERS % LETTERS],
				 letters[n / LETTERS / LETTERS % LETTERS], letters[n / LETTERS / LETTERS / LETTERS],
				 0 };
		compare(text);
	}
}

static void around_the_limits(void **state)
{
	static const char *const formats[] = {
		"%llu", "-%llu", "0x%llx", " -0x%llX", "%llux", "0%llo", "%llu0", "1%llu"
	};
	(void)state;
	for (unsigned bit = 0; bit < 65; bit++)
		for (unsigned long long off = 0; off < 5; off++)
			for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
				char text[40];
				unsigned long long number = (bit < 64 ? 1ull << bit : 0) + off - 2;
				snprintf(text, sizeof(text), formats[i], number);
				compare(text);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_text),
		cmocka_unit_test(around_the_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
