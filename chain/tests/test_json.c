/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Reading JSON: against the grammar written down a second time, and where memory runs out at any point. */
#include "alloc_fail.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_quick.h"
#include "json_oracle.h"
#include "random.h"

#include <setjmp.h>
#include <cmocka.h>

static const char document[] = "{\"kchain\": 1, \"name\": \"a name that is longer than a first buffer of sixteen\", "
			       "\"list\": [0, -1.5e+3, true, false, null, [], {}],\n"
			       " \"deep\": {\"a\": {\"b\": [[[\"\\u00e9\\n\\\"\\/\\ud83d\\ude00\"]]]}}, \"other\": "
			       "\"\303\251\342\202\254\360\237\230\200\", \"one\": 1,"
			       " \"two\": 2, \"long\": [1234567890123456789, 0.12345678901234567, "
			       "-12345678901234567890123456789012345.5, true],"
			       " \"five\": 5, \"six\": 6, \"seven\": 7, \"eight\": 8, \"nine\": 9}";

/* Of its own size, so that a sanitizer sees a read past its end. */
static enum chain_status read_text(const char *text, size_t bytes, unsigned levels, json_t **out,
				   struct chain_error *err)
{
	char *copy = malloc(bytes ? bytes : 1);
	assert_non_null(copy);
	memcpy(copy, text, bytes);
	enum chain_status status = chain_json_any(copy, bytes, levels, "text", out, err);
	free(copy);
	return status;
}

/* --- the quick way --- */

/* What it takes jansson takes as well, as the same value in the same order. True: it took it. */
static bool quick_agrees(const char *text, size_t bytes, unsigned levels)
{
	char *copy = malloc(bytes ? bytes : 1);
	assert_non_null(copy);
	memcpy(copy, text, bytes);
	json_t *value = chain_json_quick(copy, bytes, levels);
	if (value) {
		json_t *same = json_loadb(copy, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
		char *ours = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY),
		     *theirs = same ? json_dumps(same, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		if (!same || !json_equal(value, same) || strcmp(ours, theirs) != 0)
			fail_msg("%.*s: %s, jansson: %s", (int)bytes, text, ours, theirs ? theirs : "none");
		assert_true(oracle_is_json(text, bytes, levels));
		free(ours);
		free(theirs);
		json_decref(same);
	}
	free(copy);
	json_decref(value);
	return value;
}

static const char *const usual[] = { "{}",
				     "[]",
				     " [ ] ",
				     "0",
				     "-0",
				     "-7",
				     "123456789012345678",
				     "-123456789012345678",
				     "0.5",
				     "-0.0",
				     "1e5",
				     "1.25e-3",
				     "2.5E+2",
				     "0e22",
				     "123456789012345",
				     "0.12345678901234",
				     "9007199254740.5e-21",
				     "7e22",
				     "true",
				     "false",
				     "null",
				     "\"\"",
				     "\"a\"",
				     "\"a text of more than sixteen bytes\"",
				     "\"\303\251\"",
				     "{\"\":1}",
				     "{\"\303\251\":\"x\"}",
				     "\t{ \"a\" : [ 1 , 2.5 , { \"b\" : null } ] ,\r\n\"c\":false } ",
				     "{\"main\":\"0x0123456789abcdef\"}",
				     "[[[[]]],{\"a\":{\"a\":{}}}]" };

static const char *const left[] = { "",
				    " ",
				    "[",
				    "[1",
				    "[1,",
				    "[1,]",
				    "{",
				    "{\"a\"",
				    "{\"a\":",
				    "{\"a\":1",
				    "{\"a\":1,}",
				    "{\"a\":1,\"a\":2}",
				    "{1:2}",
				    "\"",
				    "\"a",
				    "\"\\n\"",
				    "\"\n\"",
				    "\"\x7f\xff\"",
				    "\"\xed\xa0\x80\"",
				    "01",
				    "-",
				    "-01",
				    "1.",
				    ".5",
				    "1e",
				    "1e+",
				    "+1",
				    "1234567890123456789",
				    "12345678901234.56",
				    "1e23",
				    "1e100",
				    "0.1e-22",
				    "truth",
				    "nul",
				    "tru",
				    "1 2",
				    "[1 2]",
				    "[1]]",
				    "{}}",
				    "NaN",
				    "[[[[[1]]]]]" };

/* So that it is what reads our documents, not jansson. */
static void usual_texts_are_read_quickly(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (!quick_agrees(usual[i], strlen(usual[i]), 4))
			fail_msg("not taken: %s", usual[i]);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		if (quick_agrees(left[i], strlen(left[i]), 4))
			fail_msg("taken: %s", left[i]);
	assert_false(quick_agrees("1\0", 2, 4));
}

/* Each number is the double next to it, whatever is written. */
static void numbers_are_the_same(void **state)
{
	size_t taken = 0;
	(void)state;
	for (size_t i = 0; i < 200000; i++) {
		char text[64];
		const uint64_t draw = random_next();
		const int bytes = snprintf(text, sizeof(text), "%s%llu.%0*llue%d", draw & 1 ? "-" : "",
					   (unsigned long long)(random_next() >> (draw >> 8) % 50 >> 14),
					   (int)(draw >> 16) % 6 + 1, (unsigned long long)(draw >> 40) % 100000,
					   (int)((draw >> 24) % 60) - 30);
		taken += quick_agrees(text, (size_t)bytes, 1);
	}
	assert_true(taken > 20000);
}

/* --- memory --- */

/* Numbers, strings and a key of many digits, and `last` behind them. */
static size_t make_long(char *out, size_t digits, const char *last)
{
	static char many[ORACLE_BYTES];
	memset(many, '7', digits);
	many[digits] = '\0';
	return (size_t)sprintf(out, "[-0.%s,%.18s,0.%se-1,\"%s\",{\"k%s\":%.300s.5}%s]", many, many, many, many, many,
			       many, last);
}

struct reading {
	const char *text;
	size_t bytes;
	enum chain_status undisturbed;
};

/* Each allocation fails in turn, alone and with all that follow: memory is what is reported, with the bytes asked for,
 * or nothing had failed. */
static void fail_each(const struct reading *reading)
{
	long n = 0, refused = 0;
	for (int once = 0; once < 2; once++) {
		for (n = 0;; n++) {
			struct chain_error err = { 0 };
			json_t *doc = NULL;
			alloc_fail_at(n, once);
			enum chain_status status =
				chain_json_any(reading->text, reading->bytes, CHAIN_JSON_DEPTH_MAX, "text", &doc, &err);
			alloc_state.left = -1;
			assert_int_equal(err.status, status);
			assert_int_equal(!doc, status != CHAIN_OK);
			json_decref(doc);
			if (!alloc_state.failed) {
				assert_int_equal(status, reading->undisturbed);
				break;
			}
			assert_int_equal(status, CHAIN_E_NO_MEMORY);
			assert_int_equal(err.number[0], chain_json_memory_lacking());
			assert_true(err.number[0] > 0);
			/* it stays so until it has been reported */
			assert_int_equal(chain_json_any("1", 1, 1, "next", &doc, NULL), CHAIN_E_NO_MEMORY);
			chain_json_memory_reset();
			assert_int_equal(chain_json_any("1", 1, 1, "next", &doc, NULL), CHAIN_OK);
			json_decref(doc);
			refused++;
		}
	}
	assert_true(refused > 0 && n > 0);
}

static void memory_is_distinguished_from_text(void **state)
{
	static char text[8 * 4096];
	static const char *const wrong[] = {
		"", ",", ",1:", ",\"\\ud800\"", ",01", ",tru", ",\"\n\"", ",99999999999999999999", ",{\"a\":1,\"a\":2}"
	};

	(void)state;
	fail_each(&(struct reading){ document, strlen(document), CHAIN_OK });
	for (size_t digits = 1; digits < 700; digits = digits < 40 ? digits + 1 : 2 * digits + 1)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			size_t bytes = make_long(text, digits, wrong[i]);
			assert_int_equal(oracle_is_json(text, bytes, CHAIN_JSON_DEPTH_MAX), i == 0);
			fail_each(&(struct reading){ text, bytes, i ? CHAIN_E_JSON_SYNTAX : CHAIN_OK });
		}
}

/* --- grammar --- */

static size_t good_texts, bad_texts;

static void agree(const char *text, size_t bytes, unsigned levels)
{
	struct chain_error err = { 0 };
	json_t *value = NULL;
	bool good = oracle_is_json(text, bytes, levels);
	enum chain_status status = read_text(text, bytes, levels, &value, &err);
	(void)quick_agrees(text, bytes, levels);
	if (good != !status || err.status != status || !value != !good)
		fail_msg("%s, %s: \"%.*s\"", good ? "JSON" : "not JSON", status ? err.detail : "taken", (int)bytes,
			 text);
	if (status && status != CHAIN_E_JSON_DEPTH)
		assert_true(status == CHAIN_E_JSON_SYNTAX && err.number[0] > 0 && err.detail[0]);
	json_decref(value);
	good_texts += good;
	bad_texts += !good;
}

/* A text a line; %XX is a byte. Each as it is and at each length that it may be cut to. */
static void odd_texts(void **state)
{
	FILE *file = fopen("chain/tests/data/json-texts", "r");
	char line[64], text[sizeof(line)];
	size_t lines = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		size_t bytes = 0;
		for (const char *at = line; *at != '\n'; bytes++) {
			unsigned value = (unsigned char)*at;
			assert_true(*at); /* the line is whole */
			assert_true(*at != '%' || sscanf(at, "%%%2x", &value) == 1);
			at += *at == '%' ? 3 : 1;
			text[bytes] = (char)value;
		}
		for (size_t cut = 0; cut <= bytes; cut++)
			agree(text, cut, 48);
		lines++;
	}
	fclose(file);
	assert_true(lines > 100);
	for (size_t cut = 0; cut < sizeof(document); cut++)
		agree(document, cut < strlen(document) ? cut : strlen(document), 48);
}

/* Every text of up to four of these, in all orders. */
static void short_texts(void **state)
{
	static const char *const pieces[] = { "{", "}", "[", "]",    ",", ":",   "\"",   "\"a\"", "1", "-",
					      "0", ".", "e", "true", " ", "\\u", "d800", "dc00",  "\\" };
	enum { PIECES = sizeof(pieces) / sizeof(pieces[0]), LONGEST = 4 };

	(void)state;
	for (size_t n = 0; n < PIECES * PIECES * PIECES * PIECES; n++) {
		char text[LONGEST * 8] = "";
		for (size_t i = 0, rest = n; i < LONGEST; i++, rest /= PIECES)
			strcat(text, pieces[rest % PIECES]);
		agree(text, strlen(text), 48);
	}
}

static void every_escape(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 0x10000; code++) {
		char text[40];
		agree(text, (size_t)sprintf(text, "{\"\\u%04x\":\"\\u%04X\"}", code ? code : 1, code), 48);
	}
	for (unsigned high = 0xd7ff; high <= 0xe000; high += 0x11)
		for (unsigned low = 0xdbff; low <= 0xe000; low += 0x11) {
			char text[40];
			agree(text, (size_t)sprintf(text, "[\"\\u%04x\\u%04x\"]", high, low), 48);
		}
}

static void every_two_bytes(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 0x10000; n++) {
		const char inside[] = { '"', (char)(n >> 8), (char)n, '"' },
			   outside[] = { '[', '1', (char)(n >> 8), (char)n, ']' };
		agree(inside, sizeof(inside), 48);
		agree(outside, sizeof(outside), 48);
	}
}

static void random_texts(void **state)
{
	static char text[sizeof(document) + 64];
	static const char *const pieces[] = { "{",
					      "}",
					      "[",
					      "]",
					      "\"",
					      ",",
					      ":",
					      "\\",
					      " ",
					      "0",
					      "1",
					      "-",
					      "e",
					      "E",
					      "+",
					      ".",
					      "t",
					      "f",
					      "n",
					      "u",
					      "/",
					      "\n",
					      "\\ud800",
					      "\\udc00",
					      "\\u0000",
					      "\303",
					      "\251",
					      "\355\240\200",
					      "\377",
					      "\t",
					      "\1",
					      "1e999",
					      "12345678901234567890",
					      "\"one\"",
					      "null" };

	(void)state;
	good_texts = bad_texts = 0;
	for (int round = 0; round < 100000; round++) {
		size_t bytes = strlen(document);
		memcpy(text, document, sizeof(document));
		for (int n = 0; n <= round % 3; n++) {
			const char *piece = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];
			size_t at = rnd(bytes), count = rnd(16) ? strlen(piece) : 0;
			if (count && at + count <= bytes)
				memcpy(text + at, piece, count);
			else if (count)
				bytes = at;
			else
				text[at] = '\0';
		}
		agree(text, bytes, (unsigned)rnd(8) + 1);
	}
	assert_true(good_texts > 1000 && bad_texts > 1000);
}

static void levels_are_bounded(void **state)
{
	char text[2 * ORACLE_LEVELS + 8];

	(void)state;
	for (unsigned levels = 1; levels <= 64; levels++)
		for (size_t depth = 1; depth <= levels + 2; depth++) {
			for (size_t i = 0; i < depth; i++) {
				text[i] = '[';
				text[2 * depth - 1 - i] = ']';
			}
			agree(text, 2 * depth, levels);
			agree(text, 2 * depth - 1, levels);
		}
	agree("\"[[[[[[\"", 8, 1);
	agree("[\"\\\"[[[\\\\\"]", 12, 1);
	agree("[[1],[2],{}]", 12, 2);
	agree("[[1],[2],{}]", 12, 1);
}

/* --- places --- */

static void places_are_reported(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
		uint64_t line, column;
		const char *words;
	} rows[] = {
		{ "{\"a\":\n  1 2}", 0, 2, 5, "'}' expected near '2'" },
		{ "[1\n,\303\251\0]", 7, 2, 3, "a NUL byte" },
		{ "\0", 1, 1, 1, "a NUL byte" },
		{ "\n\n\0", 3, 3, 1, "a NUL byte" },
		{ "[\"\\ud800\"]", 0, 1, 9, "invalid Unicode '\\uD800' near '\"\\ud800\"'" },
		{ "{\"\\udc00\":1}", 0, 1, 9, "invalid Unicode '\\uDC00' near '\"\\udc00\"'" },
		{ "{\"k\":1,\"k\":2}", 0, 1, 10, "duplicate object key near '\"k\"'" },
		{ "\"\\u0000\"", 0, 1, 8, "\\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'" },
		{ "99999999999999999999", 0, 1, 20, "too big integer near '99999999999999999999'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_error err = { 0 };
		json_t *value = NULL;
		size_t bytes = rows[i].bytes ? rows[i].bytes : strlen(rows[i].text);
		assert_int_equal(read_text(rows[i].text, bytes, 48, &value, &err), CHAIN_E_JSON_SYNTAX);
		assert_null(value);
		assert_string_equal(err.detail, rows[i].words);
		assert_int_equal(err.number[0], rows[i].line);
		assert_int_equal(err.number[1], rows[i].column);
	}
}

static void sizes_and_kinds(void **state)
{
	struct chain_error err = { 0 };
	json_t *doc = NULL;

	(void)state;
	assert_int_equal(chain_json_load("{}", 2, 2, "d", &doc, &err), CHAIN_OK);
	json_decref(doc);
	assert_int_equal(chain_json_load("{} ", 3, 2, "d", &doc, &err), CHAIN_E_LIMIT);
	chain_error_clear(&err);
	assert_int_equal(chain_json_load("[]", 2, 2, "d", &doc, &err), CHAIN_E_JSON_NOT_OBJECT);
	chain_error_clear(&err);
	assert_int_equal(chain_json_load(NULL, 0, 2, "d", &doc, &err), CHAIN_E_JSON_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_texts_are_read_quickly),
		cmocka_unit_test(numbers_are_the_same),
		cmocka_unit_test(memory_is_distinguished_from_text),
		cmocka_unit_test(odd_texts),
		cmocka_unit_test(short_texts),
		cmocka_unit_test(every_escape),
		cmocka_unit_test(every_two_bytes),
		cmocka_unit_test(random_texts),
		cmocka_unit_test(levels_are_bounded),
		cmocka_unit_test(places_are_reported),
		cmocka_unit_test(sizes_and_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
