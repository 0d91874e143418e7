/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Reading JSON where memory runs out at any point, and the grammar against jansson's reading. */
#include "chain/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char document[] =
	"{\"kchain\": 1, \"name\": \"a name that is longer than a first buffer of sixteen\", \"list\": [0, -1.5e+3, true, false, null, [], {}],\n"
	" \"deep\": {\"a\": {\"b\": [[[\"\\u00e9\\n\\\"\\/\"]]]}}, \"other\": \"\303\251\342\202\254\", \"one\": 1, \"two\": 2, \"three\": 3, \"four\": 4, "
	"\"five\": 5, \"six\": 6, \"seven\": 7, \"eight\": 8, \"nine\": 9}";

static unsigned long asked, fail_at;
static bool for_good;

static void *scarce_malloc(size_t bytes)
{
	asked++;
	return asked == fail_at || (for_good && asked > fail_at) ? NULL : malloc(bytes);
}

/* jansson's own allocations fail from each point in turn: what is wrong is memory, never the text. Where only one fails, the least is that it
 * is not the text that is blamed. */
static void memory_is_not_syntax(void **state)
{
	(void)state;
	for (int good = 0; good < 2; good++) {
		for_good = good;
		for (fail_at = 1;; fail_at++) {
			struct chain_error err = { 0 };
			json_t *doc = NULL;
			asked = 0;
			enum chain_status status = chain_json_load(document, strlen(document), sizeof(document), "document", &doc, &err);
			assert_true(status == CHAIN_E_NO_MEMORY || (status == CHAIN_OK && (!for_good || asked < fail_at)));
			assert_int_equal(err.status, status);
			assert_int_equal(!doc, status != CHAIN_OK);
			json_decref(doc);
			if (asked < fail_at)
				break;
		}
		assert_true(fail_at > 40);
	}
}

/* What jansson reads is grammatical, and what it calls a syntax error is not. */
static void agree(const char *text, size_t bytes)
{
	json_error_t why;
	json_t *value = json_loadb(text, bytes, JSON_DECODE_ANY, &why);
	bool grammatical = chain_json_is_grammatical(text, bytes);
	if (value)
		assert_true(grammatical);
	else if (json_error_code(&why) == json_error_invalid_syntax)
		assert_false(grammatical);
	json_decref(value);
}

static void grammar_agrees_with_jansson(void **state)
{
	static const char *const odd[] = { "", " ", "0", "00", "-", "-0", "1.", "1.e1", ".5", "1e", "1e+", "+1", "tru", "nulls", "\"", "\"\\", "\"\\u12\"",
		"\"\\x\"", "\"\t\"", "[", "]", "[]", "[,]", "[1,]", "[1 2]", "{", "{}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{1:2}", "[}", "{]",
		"[[]", "[]]", "{\"a\":[}]", "\"a\" \"b\"", "/**/1", "'a'", "NaN", "[1]\n\t ", "\v1", "{\"a\":1 \"b\":2}" };
	static char text[sizeof(document)];
	unsigned seed = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		agree(odd[i], strlen(odd[i]));
	for (size_t cut = 0; cut < sizeof(document); cut++)
		agree(document, cut < strlen(document) ? cut : strlen(document));
	for (int round = 0; round < 60000; round++) {
		static const char pieces[] = "{}[]\",:\\ 01-eE+.tfnu/\n";
		memcpy(text, document, sizeof(document));
		for (int n = 0; n <= round % 3; n++) {
			seed = seed * 1664525 + 1013904223;
			text[(seed >> 8) % strlen(document)] = pieces[(seed >> 4 & 0xff) % (sizeof(pieces) - 1)];
		}
		agree(text, strlen(document));
	}
}

static void levels_are_bounded(void **state)
{
	enum { LEVELS = 64 };
	char text[2 * LEVELS + 3];

	(void)state;
	for (size_t depth = 1; depth <= LEVELS + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(chain_json_is_grammatical(text, 2 * depth), depth <= LEVELS);
		assert_false(chain_json_is_grammatical(text, 2 * depth - 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_not_syntax),
		cmocka_unit_test(grammar_agrees_with_jansson),
		cmocka_unit_test(levels_are_bounded),
	};

	json_set_alloc_funcs(scarce_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
