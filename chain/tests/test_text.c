/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What of foreign text reaches a terminal: nothing that it obeys, and all that can be read. */
#include "../cmd/cmd.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void escaped_as(void **state)
{
	(void)state;
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{ "", "" },
		{ "plain name.elf", "plain name.elf" },
		{ "back\\slash", "back\\slash" },
		{ "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m" },
		{ "a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b"
		  "1m",
		  "\\xc2\\x9b1m" },
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0" },
		{ "\x9b"
		  "1m",
		  "\\x9b1m" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xc3", "\\xc3" },
		{ "\xe2\x82", "\\xe2\\x82" },
		{ "\xc0\xaf", "\\xc0\\xaf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char out[64];
		size_t bytes = strlen(CASES[i].text);
		assert_int_equal(cmd_text_escape(CASES[i].text, bytes, out, sizeof(out)), strlen(CASES[i].shown));
		assert_string_equal(out, CASES[i].shown);
	}
}

/* A zero byte is one like others, and what stands behind the end is not looked at. */
static void bytes_are_counted(void **state)
{
	(void)state;
	char out[64];
	assert_int_equal(cmd_text_escape("a\0b", 3, out, sizeof(out)), 6);
	assert_string_equal(out, "a\\x00b");
	assert_int_equal(cmd_text_escape("\xc3\xa4", 1, out, sizeof(out)), 4);
	assert_string_equal(out, "\\xc3");
	assert_int_equal(cmd_text_escape("a\xc3", 0, out, sizeof(out)), 0);
	assert_string_equal(out, "");
}

/* With too little room: whole characters and escapes up to some place, and the whole length. */
static void cut_between_characters(void **state)
{
	(void)state;
	static const char text[] = "a\x1b\xc3\xa4z", shown[] = "a\\x1b\xc3\xa4z";
	static const size_t ends[] = { 0, 1, 5, 7, 8 };
	char out[16];
	for (size_t size = 1; size <= sizeof(shown) + 1; size++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(cmd_text_escape(text, sizeof(text) - 1, out, size), sizeof(shown) - 1);
		size_t used = strlen(out), end = 0;
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			end = ends[i] < size ? ends[i] : end;
		assert_int_equal(used, end);
		assert_memory_equal(out, shown, used);
		for (size_t i = size; i < sizeof(out); i++)
			assert_int_equal(out[i], '#');
	}
	assert_int_equal(cmd_text_escape(text, sizeof(text) - 1, NULL, 0), sizeof(shown) - 1);
}

static int digit(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* The way back, for texts without backslashes. */
static size_t unescape(const char *shown, char *out)
{
	size_t used = 0;
	while (*shown) {
		bool escape = *shown == '\\';
		out[used++] = (char)(escape ? digit(shown[2]) << 4 | digit(shown[3]) : *shown);
		shown += escape ? 4 : 1;
	}
	return used;
}

static void assert_safe_and_lossless(const char *text, size_t bytes)
{
	char out[256], back[64];
	size_t used = cmd_text_escape(text, bytes, out, sizeof(out));
	assert_true(used < sizeof(out));
	assert_true(chain_is_utf8(out));
	assert_false(chain_text_has_control(out, used));
	for (size_t i = 0; i < used; i++)
		assert_false((unsigned char)out[i] < 0x20 || out[i] == 0x7f);
	assert_int_equal(unescape(out, back), bytes);
	assert_memory_equal(back, text, bytes);
	size_t whole = 0;
	while (whole < bytes && cmd_text_printable(text + whole, bytes - whole))
		whole += cmd_text_printable(text + whole, bytes - whole);
	assert_int_equal(whole == bytes, used == bytes);
}

/* All texts of one and two bytes, and random ones that are rich in beginnings of characters. */
static void any_bytes(void **state)
{
	(void)state;
	static const unsigned char rich[] = { 0x1b, 0x7f, 0x80, 0x9b, 0xa0, 0xbf, 0xc2, 0xc3, 0xe0,
					      0xed, 0xef, 0xf0, 0xf4, 0xff, 0,    '[',  'm' };
	char text[20];
	for (unsigned i = 0; i < 65536; i++) {
		text[0] = (char)(i >> 8);
		text[1] = (char)i;
		if (text[0] != '\\' && text[1] != '\\')
			assert_safe_and_lossless(text, 2);
		if (i < 256 && text[1] != '\\')
			assert_safe_and_lossless(text + 1, 1);
	}
	for (unsigned round = 0; round < 200000; round++) {
		size_t count = rnd(sizeof(text));
		for (size_t i = 0; i < count; i++)
			text[i] = (char)(rnd(2) ? rich[rnd(sizeof(rich))] : 'a' + rnd(26));
		assert_safe_and_lossless(text, count);
	}
}

/* Documents say the same, and no control character stands in one as itself. */
static void documents(void **state)
{
	(void)state;
	for (unsigned code = 1; code < 0x300; code++) {
		char text[4] = { (char)code };
		if (code >= 0x80) {
			text[0] = (char)(0xc0 | code >> 6);
			text[1] = (char)(0x80 | (code & 0x3f));
		}
		json_t *doc = json_pack("{s:s, s:[s]}", text, "value", "list", text);
		char *shown = cmd_json_text(doc, JSON_COMPACT);
		assert_non_null(shown);
		assert_false(chain_text_has_control(shown, strlen(shown)));
		json_t *back = json_loads(shown, 0, NULL);
		assert_true(json_equal(doc, back));
		json_decref(doc);
		json_decref(back);
		free(shown);
	}
	assert_null(cmd_json_text(NULL, 0));
}

/* Any bytes as a member: read as text, and all of them in hexadecimal digits where that loses some. */
static void bytes_in_documents(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char bytes[12], hex[30] = "";
		size_t count = rnd(sizeof(bytes));
		for (size_t i = 0; i < count; i++) {
			bytes[i] = (char)(rnd(2) ? "\xc3\xa4z\xf0\x9f\x98\x80\xff"[rnd(8)] : (char)rnd(256));
			snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
		}
		json_t *doc = json_object(), *plain = json_stringn(bytes, count);
		assert_true(cmd_json_set_text(doc, "name", bytes, count));
		const json_t *name = json_object_get(doc, "name"), *in_hex = json_object_get(doc, "name_hex");
		assert_true(json_is_string(name));
		assert_int_equal(plain == NULL, in_hex != NULL);
		if (plain)
			assert_true(json_equal(plain, name));
		else
			assert_string_equal(json_string_value(in_hex), hex);
		json_decref(plain);
		json_decref(doc);
	}
	json_t *doc = cmd_json_of_file("file",
				       "a\xff"
				       "b",
				       json_pack("{s:i}", "x", 1));
	char *shown = cmd_json_text(doc, JSON_COMPACT);
	assert_string_equal(shown, "{\"file\":\"a\xef\xbf\xbd"
				   "b\",\"file_hex\":\"61ff62\",\"x\":1}");
	free(shown);
	json_decref(doc);
	assert_null(cmd_json_of_file("file", "a", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escaped_as),
		cmocka_unit_test(bytes_are_counted),
		cmocka_unit_test(cut_between_characters),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(documents),
		cmocka_unit_test(bytes_in_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
