/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_first_failure_wins(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	assert_int_equal(CHAIN_FAIL(&err, LIMIT, .subject = "a", .value = 3, .limit = 2), CHAIN_E_LIMIT);
	assert_int_equal(chain_fail_text(&err, CHAIN_E_IO, "b", "c"), CHAIN_E_IO);
	assert_int_equal(err.status, CHAIN_E_LIMIT);
	assert_string_equal(err.subject, "a");
	assert_string_equal(err.detail, "");
	assert_int_equal(chain_fail_subject(NULL, CHAIN_E_IO, "b"), CHAIN_E_IO);
	chain_error_clear(&err);
	assert_int_equal(err.status, CHAIN_OK);
}

static void messages_are_filled_in(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	char line[512];
	(void)CHAIN_FAIL(&err, OVERFLOW, .subject = "seg", .base = UINT64_MAX, .bytes = 16);
	size_t length = chain_error_format(&err, line, sizeof(line));
	assert_int_equal(length, strlen(line));
	assert_string_equal(line, "seg: 0xffffffffffffffff + 0x10 overflows");
	chain_error_clear(&err);
	(void)CHAIN_FAIL(&err, TRUNCATED, .subject = "f", .offset = 0, .bytes = UINT64_MAX, .total = 7);
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "f: truncated: 18446744073709551615 bytes wanted at offset 0, the whole is 7 bytes");
}

static void short_buffers_are_kept_to(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	char whole[256], part[256];
	(void)chain_fail_text(&err, CHAIN_E_IO, "file", "no such thing");
	size_t length = chain_error_format(&err, whole, sizeof(whole));
	for (size_t size = 0; size <= length + 1; size++) {
		memset(part, '#', sizeof(part));
		assert_int_equal(chain_error_format(&err, part, size), length);
		if (size) {
			assert_int_equal(strlen(part), size - 1);
			assert_memory_equal(part, whole, size - 1);
		}
		assert_int_equal(part[size], '#');
	}
}

static void long_subjects_are_cut_loudly(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	char name[400];
	for (size_t bytes = CHAIN_SUBJECT_BYTES - 3; bytes < CHAIN_SUBJECT_BYTES + 3; bytes++) {
		memset(name, 'n', bytes);
		name[bytes] = '\0';
		chain_error_clear(&err);
		(void)chain_fail_text(&err, CHAIN_E_IO, name, name);
		bool cut = bytes >= CHAIN_SUBJECT_BYTES;
		assert_int_equal(strlen(err.subject), cut ? CHAIN_SUBJECT_BYTES - 1 : bytes);
		assert_int_equal(strcmp(err.subject + strlen(err.subject) - 3, "...") == 0, cut);
		assert_string_equal(err.detail, err.subject);
	}
}

static void control_characters_stay_inside(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	char line[64];
	(void)chain_fail_text(&err, CHAIN_E_IO, "a\n\033[1mb", "x");
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "a??[1mb: x");
	chain_error_clear(&err);
	(void)chain_fail_text(&err, CHAIN_E_IO,
			      "\xc2\x9b"
			      "1m\xc2\xa0\xe2\x80\xa6",
			      "x"); /* U+009B is CSI; the others are none */
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "?1m\xc2\xa0\xe2\x80\xa6: x");
}

static void control_characters_are_found(void **state)
{
	(void)state;
	static const char *const has[] = { "\n", "a\033", "\x7f", "a\xc2\x80",
					   "\xc2\x9f"
					   "b" },
				 *const has_not[] = { "", "a b", "\xc2\xa0", "\xc3\x9b", "\xe2\x80\xa6", "\xc2" };
	for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++)
		assert_true(chain_text_has_control(has[i], strlen(has[i])));
	for (size_t i = 0; i < sizeof(has_not) / sizeof(has_not[0]); i++)
		assert_false(chain_text_has_control(has_not[i], strlen(has_not[i])));
	assert_true(chain_text_has_control("a\0b", 3));
}

static void names_are_kept_as_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *passed, *kept;
	} cases[] = {
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "a\xff", "a?" },
		{ "\xc3", "?" },
		{ "\xe2\x82", "??" },
		{ "\xc0\x80", "??" },
		{ "\xe0\x9f\xbf", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf0\x8f\xbf\xbf", "????" },
		{ "\xc3(", "?(" },
	};
	struct chain_error err = { 0 };
	char name[400] = "";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		chain_error_clear(&err);
		(void)chain_fail_subject(&err, CHAIN_E_IO, cases[i].passed);
		assert_string_equal(err.subject, cases[i].kept);
	}
	for (size_t i = 0; i + 3 < sizeof(name); i += 3)
		memcpy(name + i, "\xe2\x82\xac", 4);
	for (size_t shift = 0; shift < 3; shift++) { /* the cut falls between characters wherever they lie */
		chain_error_clear(&err);
		(void)chain_fail_subject(&err, CHAIN_E_IO, name + 3 - shift);
		memset(name, 'x', 3);
		size_t bytes = strlen(err.subject) - 3;
		assert_true(bytes > CHAIN_SUBJECT_BYTES - 8 && (bytes - shift) % 3 == 0);
		assert_string_equal(err.subject + bytes, "...");
	}
}

/* Slugs are names for machines: one for each failure, lower-case, with dashes. Messages have no placeholder left once
 * filled in. */
static void the_table_is_sound(void **state)
{
	(void)state;
	for (int i = 1; i < CHAIN_STATUS_COUNT; i++) {
		struct chain_error err = { 0 };
		char line[1024];
		const char *slug = chain_status_slug((enum chain_status)i);
		assert_int_equal(strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(slug));
		assert_true(strlen(slug) > 0);
		for (int j = 0; j < i - 1; j++) /* neighbours may be one failure in two wordings */
			assert_string_not_equal(slug, chain_status_slug((enum chain_status)j));
		(void)chain_fail_four(&err, (enum chain_status)i, "S", "D", 1, 2, 3, 4);
		assert_true(chain_error_format(&err, line, sizeof(line)) < sizeof(line));
		assert_null(strchr(line, '\n'));
		assert_null(strstr(line, "{s}"));
		assert_null(strstr(line, "{x"));
	}
	assert_string_equal(chain_status_slug(CHAIN_OK), "ok");
	assert_string_equal(chain_status_slug(CHAIN_STATUS_COUNT), "unknown");
}

/* Which number a place is for: that of its name among those that stand before it in both texts. */
static size_t number_of(const char *const texts[2], const char *name, size_t bytes)
{
	char seen[4][32];
	size_t count = 0;
	for (size_t t = 0; t < 2; t++)
		for (const char *at = strchr(texts[t], '{'); at; at = strchr(at + 1, '{')) {
			size_t own = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_"), i = 0;
			if (own < 2 || (at[1 + own] != '}' && at[1 + own] != ':') || (at > texts[t] && at[-1] == '{'))
				continue;
			while (i < count && (strlen(seen[i]) != own || memcmp(seen[i], at + 1, own)))
				i++;
			if (i == count) {
				assert_true(count < 4 && own < sizeof(seen[0]));
				snprintf(seen[count++], sizeof(seen[0]), "%.*s", (int)own, at + 1);
			}
			if (own == bytes && !memcmp(at + 1, name, bytes))
				return i;
		}
	fail();
	return 0;
}

/* One of the texts with S, D, and 10, 20, 30, 40 in their places. */
static void fill_in(const char *const texts[2], size_t which, char *out)
{
	for (const char *at = texts[which]; *at;) {
		if (at[0] != '{' || at[1] == '{') { /* {{fact|default}} is text */
			size_t bytes = at[0] == '{' ? 2 : 1;
			memcpy(out, at, bytes);
			out += bytes;
			at += bytes;
			continue;
		}
		const char *end = strchr(at, '}'), *name = at + 1;
		size_t bytes = (size_t)(end - name);
		bool hex = bytes > 2 && end[-2] == ':';
		bytes -= hex ? 2 : 0;
		if (bytes == 1 && (*name == 's' || *name == 'd'))
			*out++ = *name == 's' ? 'S' : 'D';
		else
			out += sprintf(out, hex ? "0x%zx" : "%zu", 10 * (number_of(texts, name, bytes) + 1));
		at = end + 1;
	}
	*out = '\0';
}

/* What was packed for the library (tools/pack-texts) comes out as status.def has it. */
static void texts_are_those_of_the_table(void **state)
{
	(void)state;
	static const struct {
		enum chain_status status;
		const char *slug, *message, *hint;
	} rows[] = {
#define CHAIN_STATUS(name, slug, message, hint) { CHAIN_E_##name, slug, message, hint },
#include "chain/status.def"
#undef CHAIN_STATUS
	};
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), CHAIN_STATUS_COUNT - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_error err = { 0 };
		char line[1024], wanted[1024];
		(void)chain_fail_four(&err, rows[i].status, "S", "D", 10, 20, 30, 40);
		const char *const texts[2] = { rows[i].message, rows[i].hint };
		fill_in(texts, 0, wanted);
		assert_int_equal(chain_error_format(&err, line, sizeof(line)), strlen(wanted));
		assert_string_equal(line, wanted);
		fill_in(texts, 1, wanted);
		assert_int_equal(chain_error_hint(&err, line, sizeof(line)), strlen(wanted));
		assert_string_equal(line, wanted);
		assert_string_equal(chain_status_slug(rows[i].status), rows[i].slug);
	}
	struct chain_error err = { .status = CHAIN_STATUS_COUNT, .subject = "S" };
	char line[CHAIN_TEXT_BYTES];
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "S: unknown status");
	assert_int_equal(chain_error_hint(&err, line, sizeof(line)), 0);
	err.status = CHAIN_OK;
	assert_int_equal(chain_error_hint(&err, line, sizeof(line)), 0);
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_failure_wins),         cmocka_unit_test(messages_are_filled_in),
		cmocka_unit_test(short_buffers_are_kept_to),      cmocka_unit_test(long_subjects_are_cut_loudly),
		cmocka_unit_test(control_characters_stay_inside), cmocka_unit_test(control_characters_are_found),
		cmocka_unit_test(names_are_kept_as_utf8),         cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(texts_are_those_of_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
