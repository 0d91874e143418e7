/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A text found in pieces as in the whole. */
#include "stage/marker.h"

#include "../../chain/tests/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool seen_in_pieces(const char *text, const char *wanted, uint64_t largest)
{
	struct stage_marker marker = { 0 };
	for (size_t at = 0, bytes = strlen(text); at < bytes;) {
		uint64_t piece = 1 + rnd(largest);
		piece = piece < bytes - at ? piece : bytes - at;
		stage_marker_look(&marker, wanted, text + at, piece);
		at += piece;
	}
	return marker.seen;
}

static void chosen_texts(void **state)
{
	static const struct {
		const char *text, *wanted;
		bool seen;
	} cases[] = {
		{ "", "a", false },
		{ "a", "a", true },
		{ "b", "a", false },
		{ "all is well\n", "is well", true },
		{ "all is wel", "is well", false },
		{ "aaab", "aab", true },
		{ "ababac", "abac", true },
		{ "abababac", "ababac", true },
		{ "aabaabaaa", "aabaaa", true },
		{ "abcabcabd", "abcabd", true },
		{ "aaaa", "aaaaa", false },
		{ "abcd", "abcde", false },
		{ "one\ntwo", "e\nt", true },
		{ "PASSED", "PASS", true },
		{ "PAPASS", "PASS", true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint64_t largest = 1; largest < 12; largest++)
			if (seen_in_pieces(cases[i].text, cases[i].wanted, largest) != cases[i].seen)
				fail_msg("\"%s\" in \"%s\"", cases[i].wanted, cases[i].text);
}

/* Few letters, so that much repeats; the C library is the oracle. */
static void random_texts(void **state)
{
	size_t found = 0, rounds = 200000;
	(void)state;
	for (size_t round = 0; round < rounds; round++) {
		char text[64], wanted[12];
		size_t text_bytes = rnd(sizeof(text)), wanted_bytes = 1 + rnd(sizeof(wanted) - 1), letters = 1 + rnd(3);
		for (size_t i = 0; i < text_bytes; i++)
			text[i] = (char)('a' + rnd(letters));
		for (size_t i = 0; i < wanted_bytes; i++)
			wanted[i] = (char)('a' + rnd(letters));
		text[text_bytes] = wanted[wanted_bytes] = '\0';
		bool seen = strstr(text, wanted);
		found += seen;
		if (seen_in_pieces(text, wanted, 1 + rnd(10)) != seen)
			fail_msg("\"%s\" in \"%s\"", wanted, text);
	}
	assert_true(found > rounds / 10 && found < rounds - rounds / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(chosen_texts), cmocka_unit_test(random_texts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
