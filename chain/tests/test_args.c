/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Command lines of native kernels: taken apart, and values put into them. */
#include "chain/args.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 8, LINE = 256 };

static void words_are_as_documented(void **state)
{
	static const struct {
		const char *line;
		const char *words[WORDS];
		bool unclosed;
	} cases[] = {
		{ "", { NULL }, false },
		{ "  \t ", { NULL }, false },
		{ "a", { "a" }, false },
		{ " a\t b  ", { "a", "b" }, false },
		{ "\"a b\" c", { "a b", "c" }, false },
		{ "a\"b c\"d", { "ab cd" }, false },
		{ "\"\"", { "" }, false },
		{ "\"\" x", { "", "x" }, false },
		{ "a\"\"b", { "ab" }, false },
		{ "\\\"", { "\"" }, false },
		{ "\\\\", { "\\" }, false },
		{ "\"\\\"\"", { "\"" }, false },
		{ "say \\\"hi there\\\"", { "say", "\"hi", "there\"" }, false },
		{ "say \"\\\"hi there\\\"\"", { "say", "\"hi there\"" }, false },
		{ "C:\\dir\\file", { "C:\\dir\\file" }, false },
		{ "\\\\\\\"", { "\\\"" }, false },
		{ "\\\\\"a b\"", { "\\a b" }, false },
		{ "a\\ b", { "a\\", "b" }, false },
		{ "\\n", { "\\n" }, false },
		{ "x\\", { "x\\" }, false },
		{ "\"x\\\\\"", { "x\\" }, false },
		{ "'a b'", { "'a", "b'" }, false },
		{ "\"a b", { "a b" }, true },
		{ "a\" ", { "a " }, true },
		{ "\"a\\\"", { "a\"" }, true },
		{ "\"", { "" }, true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[LINE], *argv[WORDS];
		struct chain_args_state seen = { 0 };
		size_t wanted = 0;
		strcpy(line, cases[i].line);
		chain_args_scan(&seen, line, strlen(line));
		size_t count = chain_args_split(line, argv, WORDS);
		while (wanted < WORDS && cases[i].words[wanted])
			wanted++;
		if (count != wanted || seen.quoted != cases[i].unclosed)
			fail_msg("%s: %zu words, %d", cases[i].line, count, seen.quoted);
		for (size_t w = 0; w < count; w++)
			assert_string_equal(argv[w], cases[i].words[w]);
	}
}

static void more_words_than_there_is_room_for(void **state)
{
	(void)state;
	for (size_t most = 0; most < 6; most++) {
		char line[] = " a b \"c d\" e ", *argv[6] = { NULL };
		size_t count = chain_args_split(line, argv, most);
		assert_int_equal(count, most < 4 ? most + 1 : 4);
		assert_null(argv[most < 4 ? most : 4]);
	}
}

static void random_text(char *out, size_t most)
{
	size_t used = 0;
	for (size_t i = rnd(most); i > 0; i--)
		out[used++] = "ab \t\"\"\\\\'x"[rnd(10)];
	out[used] = '\0';
}

/* A value stands for itself wherever it is put: in a word, in quotes, at their ends. */
static void values_stand_for_themselves(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		char value[24], escaped[64], line[LINE], *argv[WORDS];
		random_text(value, 20);
		size_t bytes = chain_args_escape(value, escaped, sizeof(escaped));
		assert_int_equal(bytes, strlen(escaped));
		snprintf(line, sizeof(line), "first \"=%s=\" last", escaped);
		assert_int_equal(chain_args_split(line, argv, WORDS), 3);
		assert_true(argv[1][0] == '=' && !strncmp(argv[1] + 1, value, strlen(value)) &&
			    !strcmp(argv[1] + 1 + strlen(value), "="));
		assert_string_equal(argv[2], "last");
		if (strpbrk(value, " \t") || !*value)
			continue;
		snprintf(line, sizeof(line), "first %s last", escaped);
		assert_int_equal(chain_args_split(line, argv, WORDS), 3);
		assert_string_equal(argv[1], value);
	}
}

/* By the scan a line is closed or not, however it is cut; short rooms are kept to. */
static void pieces_and_short_rooms(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char text[40], room[80];
		struct chain_args_state whole = { 0 }, parts = { 0 };
		random_text(text, 40);
		size_t bytes = strlen(text), cut = rnd(bytes + 1), size = rnd(sizeof(room));
		chain_args_scan(&whole, text, bytes);
		chain_args_scan(&parts, text, cut);
		chain_args_scan(&parts, text + cut, bytes - cut);
		assert_true(whole.quoted == parts.quoted && whole.backslash == parts.backslash);
		memset(room, '#', sizeof(room));
		size_t needed = chain_args_escape(text, room, size);
		assert_true(needed >= bytes && needed <= 2 * bytes);
		assert_int_equal(room[size], '#');
		if (size)
			assert_int_equal(strlen(room), needed < size ? needed : size - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(words_are_as_documented),
					    cmocka_unit_test(more_words_than_there_is_room_for),
					    cmocka_unit_test(values_stand_for_themselves),
					    cmocka_unit_test(pieces_and_short_rooms) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
