/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's vsnprintf against the host's: every flag, width, precision and length with numbers at the edges, in rooms
 * too small. */
#include "stage/print.h"

#include "stage/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static jmp_buf after_panic;

void stage_panic(const char *format, ...)
{
	(void)format;
	longjmp(after_panic, 1);
}

static int ours(char *to, size_t room, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int count = stage_vsnprintf(to, room, format, args);
	va_end(args);
	return count;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-truncation"

#define SAME(format, ...)                                                                                              \
	do {                                                                                                           \
		for (size_t room = 0; room < 40; room += 1 + room / 3) {                                               \
			char mine[40], theirs[40];                                                                     \
			memset(mine, '#', sizeof(mine));                                                               \
			memset(theirs, '#', sizeof(theirs));                                                           \
			int mine_count = ours(mine, room, format, __VA_ARGS__);                                        \
			int theirs_count = snprintf(theirs, room, format, __VA_ARGS__);                                \
			if (mine_count != theirs_count || memcmp(mine, theirs, sizeof(mine)) != 0)                     \
				fail_msg("%s: \"%.39s\" (%d) and \"%.39s\" (%d)", format, mine, mine_count, theirs,    \
					 theirs_count);                                                                \
		}                                                                                                      \
	} while (0)

static void numbers(void **state)
{
	(void)state;
	static const char *const flags[] = { "", "-", "0", "#", "+", " ", "-0", "0#", "-#", "+0", " -", "0+ " };
	static const char *const sizes[] = { "",   "1",   "2",   "8",     "20", ".",  ".0", ".1",
					     ".5", "8.3", "3.8", "20.20", "*",  ".*", "*.*" };
	static const char *const lengths[] = { "", "hh", "h", "l", "ll", "z", "j", "t" };
	static const uint64_t values[] = { 0,          1,         9,          10,        255,
					   256,        INT32_MAX, UINT32_MAX, INT64_MAX, 0x8000000000000000,
					   UINT64_MAX, 0xdeadbeef };
	char format[32];
	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
				for (const char *kind = "diuxX"; *kind; kind++) {
					snprintf(format, sizeof(format), "<%%%s%s%s%c>", flags[f], sizes[s], lengths[l],
						 *kind);
					const char *star = strchr(sizes[s], '*');
					for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
						if (star && strchr(star + 1, '*'))
							SAME(format, (int)v - 6, (int)v - 3, values[v]);
						else if (star)
							SAME(format, (int)v - 6, values[v]);
						else
							SAME(format, values[v]);
					}
				}
}

static void texts(void **state)
{
	(void)state;
	static const char *const formats[] = { "%s",     "<%8s>", "<%-8s>",   "<%.3s>",   "<%-8.3s>",
					       "<%.0s>", "a%sb",  "100%% %s", "<%20.10s>" };
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		SAME(formats[f], "");
		SAME(formats[f], "text");
		SAME(formats[f], "a longer text than fits");
	}
	SAME("<%.*s|%*s>", 2, "abc", -5, "d");
	SAME("<%c|%3c|%-3c>", 'a', 'b', 'c');
	SAME("%p", (void *)(uintptr_t)0x1234abcd);
	SAME("%s %d %s", "many", 3, "things");
	const char unended[3] = { 'a', 'b', 'c' };
	SAME("%.3s", unended);
}

static void others_are_refused(void **state)
{
	(void)state;
	static const char *const formats[] = { "%f", "%g", "%n", "%o", "%", "%5", "%ls%q" };
	char text[64];
	for (volatile size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (setjmp(after_panic) == 0) {
			ours(text, sizeof(text), formats[i], "", "");
			fail_msg("%s was taken", formats[i]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(numbers), cmocka_unit_test(texts),
					    cmocka_unit_test(others_are_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
