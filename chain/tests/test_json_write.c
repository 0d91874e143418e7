/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Our JSON text against jansson's own, over random documents; the objects against what they were made of. */
#include "chain/json_write.h"

#include "alloc_fail.h"
#include "json_cases.h"

#include <math.h>
#include <stdbool.h>

static uint32_t seed;
static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static json_t *random_string(void)
{
	static const char *const parts[] = { "a",    "\"",   "\\", "/", "\n", "\t", "\b\f\r", "\x01",
					     "\x1f", "\x7f", "ä",  "€", "𝄞",  " ",  "{}" };
	char text[64] = "";
	for (uint32_t i = draw(9); i > 0; i--)
		strcat(text, parts[draw(sizeof(parts) / sizeof(parts[0]))]);
	return json_string(text);
}

static json_t *random_real(void)
{
	static const double some[] = { 0,    -0.0, 1,     -1,     0.1, 1e20,          1e21,
				       1e22, 1e-7, 1e300, 1e-300, 2.5, 123456789.125, 5e-324 };
	return json_real(draw(2) ? some[draw(sizeof(some) / sizeof(some[0]))] :
				   ldexp((double)draw(1 << 24) - (1 << 23), (int)draw(200) - 100));
}

static json_t *random_value(int depth);

static json_t *random_container(int depth, bool object)
{
	json_t *out = object ? json_object() : json_array();
	for (uint32_t i = draw(6); i > 0; i--) {
		json_t *key = random_string(), *value = random_value(depth - 1);
		assert_int_equal(object ? json_object_set_new(out, json_string_value(key), value) :
					  json_array_append_new(out, value),
				 0);
		json_decref(key);
	}
	return out;
}

static json_t *random_value(int depth)
{
	static const json_int_t integers[] = { 0, 7, -1, 10, 4294967296, INT64_MAX, INT64_MIN };
	switch (draw(depth ? 8 : 6)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(draw(2));
	case 2:
		return json_integer(integers[draw(sizeof(integers) / sizeof(integers[0]))]);
	case 3:
		return random_real();
	case 4:
		return json_integer(draw(1 << 24));
	case 5:
		return random_string();
	case 6:
		return random_container(depth, false);
	default:
		return random_container(depth, true);
	}
}

static void text_is_janssons(void **state)
{
	(void)state;
	for (seed = 1; seed < 4000000000u; seed += 1999999) {
		uint32_t now = seed;
		json_t *value = random_value(5);
		for (unsigned flags = 0; flags <= CHAIN_JSON_SORTED; flags++) {
			uint64_t bytes = 0;
			char *ours = chain_json_text(value, flags, &bytes);
			char *theirs =
				json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | (flags ? JSON_SORT_KEYS : 0u));
			assert_non_null(ours);
			assert_string_equal(ours, theirs);
			assert_int_equal(bytes, strlen(theirs));
			free(ours);
			free(theirs);
		}
		json_decref(value);
		seed = now;
	}
}

/* Every power of two, its neighbours, and bits drawn at random. */
static void reals_are_janssons(void **state)
{
	(void)state;
	for (int i = 0; i < 6000; i++) {
		uint64_t bits = i < 4096 ?
					(uint64_t)(i & 2047) << 52 | (i < 2048 ? 0 : 0xfffffffffffff) :
					(uint64_t)draw(1 << 22) << 42 | (uint64_t)draw(1 << 21) << 21 | draw(1 << 21);
		double number;
		memcpy(&number, &bits, sizeof(number));
		if (!isfinite(number))
			continue;
		json_t *value = json_real(i % 3 ? number : -number);
		char *ours = chain_json_text(value, 0, NULL), *theirs = json_dumps(value, JSON_ENCODE_ANY);
		assert_string_equal(ours, theirs);
		free(ours);
		free(theirs);
		json_decref(value);
	}
}

static void large_texts_grow(void **state)
{
	(void)state;
	for (size_t count = 900; count < 5000; count += 61) { /* around and past the first size */
		char *long_text = malloc(count + 1);
		memset(long_text, 'x', count);
		long_text[count] = '\0';
		json_t *doc = chain_json_object(CHAIN_TEXT("a", long_text), CHAIN_TEXT("b", ""));
		char *ours = chain_json_text(doc, 0, NULL), *theirs = json_dumps(doc, JSON_COMPACT);
		assert_string_equal(ours, theirs);
		free(ours);
		free(theirs);
		json_decref(doc);
		free(long_text);
	}
}

static void hexadecimal(void **state)
{
	(void)state;
	static const struct {
		uint64_t value;
		const char *text;
	} cases[] = { { 0, "0x0" },
		      { 15, "0xf" },
		      { 16, "0x10" },
		      { 0x100000, "0x100000" },
		      { UINT64_MAX, "0xffffffffffffffff" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *value = chain_json_hex(cases[i].value);
		assert_string_equal(json_string_value(value), cases[i].text);
		json_decref(value);
	}
}

static void depth_is_counted(void **state)
{
	(void)state;
	json_t *value = json_integer(1);
	for (unsigned levels = 0; levels < 60; levels++) {
		bool deeper = true;
		char *text = chain_json_text_within(value, levels, 0, NULL, NULL, &deeper),
		     *plain = chain_json_text(value, 0, NULL);
		assert_false(deeper);
		assert_string_equal(text, plain);
		if (levels)
			assert_null(chain_json_text_within(value, levels - 1, 0, NULL, NULL, &deeper));
		assert_int_equal(deeper, levels > 0);
		free(text);
		free(plain);
		json_t *outer =
			levels % 2 ? json_pack("[i, o]", 1, value) : json_pack("{s:i, s:o}", "a", 1, "b", value);
		value = outer;
	}
	json_decref(value);
}

static void each_kind(void **state)
{
	(void)state;
	json_t *mine = json_array(), *lent = json_true();
	json_t *object = chain_json_object(CHAIN_TEXT("text", "t"), CHAIN_TEXT("none", NULL),
					   CHAIN_INT("number", (json_int_t)-3), CHAIN_HEX("at", (uint64_t)0x1f),
					   CHAIN_BOOL("yes", 1), CHAIN_BOOL("no", 0), CHAIN_STEAL("mine", mine),
					   CHAIN_STEAL("null", json_null()), CHAIN_BORROW("lent", lent));
	char *text = chain_json_text(object, 0, NULL);
	assert_string_equal(
		text,
		"{\"text\":\"t\",\"none\":null,\"number\":-3,\"at\":\"0x1f\",\"yes\":true,\"no\":false,\"mine\":[],"
		"\"null\":null,\"lent\":true}");
	free(text);
	json_decref(object);
}

/* Its text is believed; a value that only looks like it is written out. */
static void known_text_is_put(void **state)
{
	(void)state;
	json_t *mine = json_pack("{s:[i]}", "a", 1),
	       *doc = json_pack("{s:O, s:{s:[i]}, s:[O]}", "x", mine, "y", "a", 1, "z", mine);
	const struct chain_json_known known = { mine, "{\"a\":[1]}", 9 }, another = { mine, "KNOWN", 5 };
	bool deeper = true;
	char *plain = chain_json_text(doc, 0, NULL), *text = chain_json_text_within(doc, 3, 0, &known, NULL, &deeper);
	assert_false(deeper);
	assert_string_equal(text, plain);
	free(text);
	text = chain_json_text_within(doc, 3, 0, &another, NULL, &deeper);
	assert_string_equal(text, "{\"x\":KNOWN,\"y\":{\"a\":[1]},\"z\":[KNOWN]}");
	free(text);
	free(plain);
	json_decref(doc);
	json_decref(mine);
}

/* Members that are the same value at the same place are not written again, not even where they were changed, which is
 * not allowed; all others are. */
static void kept_text_is_put(void **state)
{
	(void)state;
	struct chain_json_kept kept = { 0 };
	bool deeper = true;
	uint64_t bytes = 0;
	json_t *doc = json_pack("{s:{s:i}, s:i, s:[i]}", "x", "a", 1, "n", 1, "y", 2);
	char *text = chain_json_text_like(doc, 2, NULL, &kept, &bytes, &deeper);
	assert_string_equal(text, "{\"x\":{\"a\":1},\"n\":1,\"y\":[2]}");
	assert_int_equal(bytes, strlen(text));
	assert_false(deeper);
	free(text);
	json_object_set_new(json_object_get(doc, "x"), "a", json_integer(9)); /* the kept text is believed */
	json_object_set_new(doc, "n", json_integer(2));
	json_object_set_new(doc, "y", json_pack("[[]]"));
	assert_null(chain_json_text_like(doc, 2, NULL, &kept, &bytes, &deeper));
	assert_true(deeper);
	text = chain_json_text_like(doc, 3, NULL, &kept, &bytes, &deeper);
	assert_string_equal(text, "{\"x\":{\"a\":1},\"n\":2,\"y\":[[]]}");
	free(text);
	json_object_del(doc, "x");
	text = chain_json_text_like(doc, 3, NULL, &kept, &bytes, &deeper);
	assert_string_equal(text, "{\"n\":2,\"y\":[[]]}"); /* nothing is at its old place */
	free(text);
	chain_json_kept_free(&kept);
	json_decref(doc);
}

/* As many members as there are places, and one more; a text as long as is kept, and longer. */
static void kept_text_has_its_limits(void **state)
{
	(void)state;
	for (int members = CHAIN_JSON_KEPT_MEMBERS - 1; members < CHAIN_JSON_KEPT_MEMBERS + 3; members++) {
		for (int more = -1; more < 2; more++) {
			struct chain_json_kept kept = { 0 };
			char key[16], *long_text, *plain, *first, *second;
			json_t *doc = json_object();
			bool deeper;
			for (int i = 0; i < members; i++) {
				snprintf(key, sizeof(key), "%d", i);
				json_object_set_new(doc, key, json_pack("[i]", i));
			}
			plain = chain_json_text(doc, 0, NULL);
			size_t room = CHAIN_JSON_KEPT_BYTES - strlen(plain) - strlen(",\"t\":\"\"") + (size_t)more;
			long_text = calloc(1, room + 1);
			memset(long_text, 'x', room);
			json_object_set_new(doc, "t", json_string(long_text));
			free(plain);
			plain = chain_json_text(doc, 0, NULL);
			first = chain_json_text_like(doc, 2, NULL, &kept, NULL, &deeper);
			second = chain_json_text_like(doc, 2, NULL, &kept, NULL, &deeper);
			assert_string_equal(first, plain);
			assert_string_equal(second, plain);
			assert_int_equal(kept.text != NULL, more < 1);
			free(plain);
			free(first);
			free(second);
			free(long_text);
			chain_json_kept_free(&kept);
			json_decref(doc);
		}
	}
}

static char *object_text(const char *last, uint64_t *bytes, int kind, ...)
{
	va_list args;
	va_start(args, kind);
	char *text = chain_json_object_text(kind, args, last, 7, bytes);
	va_end(args);
	return text;
}

static void text_of_no_object(void **state)
{
	(void)state;
	uint64_t bytes = 0;
	json_t *lent = json_pack("[i]", 1);
	char *text = object_text("us", &bytes, CHAIN_TEXT("te\"xt", "a\n"), CHAIN_TEXT("none", NULL),
				 CHAIN_INT("number", INT64_MIN), CHAIN_HEX("at", 0x1f), CHAIN_BOOL("yes", true),
				 CHAIN_BOOL("no", false), CHAIN_STEAL("mine", json_array()),
				 CHAIN_STEAL("null", json_null()), CHAIN_BORROW("lent", lent), 0);
	assert_string_equal(text, "{\"te\\\"xt\":\"a\\n\",\"none\":null,\"number\":-9223372036854775808,\"at\":"
				  "\"0x1f\",\"yes\":true,\"no\":false,"
				  "\"mine\":[],\"null\":null,\"lent\":[1],\"us\":7}");
	assert_int_equal(bytes, strlen(text));
	free(text);
	text = object_text(NULL, NULL, 0);
	assert_string_equal(text, "{}");
	free(text);
	text = object_text("us", NULL, 0);
	assert_string_equal(text, "{\"us\":7}");
	free(text);
	assert_null(object_text(NULL, NULL, CHAIN_BORROW("lent", lent), CHAIN_STEAL("mine", json_array()),
				CHAIN_TEXT("text", "\xff"), 0));
	assert_null(object_text(NULL, NULL, CHAIN_STEAL("null", NULL), CHAIN_TEXT("text", "t"),
				CHAIN_BORROW("lent", lent), 0));
	text = NULL;
	for (long n = 0; !text; n++) {
		json_t *mine = json_array();
		assert_non_null(mine);
		alloc_fail_at(n, false);
		text = object_text("us", NULL, CHAIN_TEXT("text", "t"), CHAIN_INT("number", 1), CHAIN_HEX("at", 1),
				   CHAIN_STEAL("mine", mine), CHAIN_BORROW("lent", lent), 0);
		alloc_stop();
	}
	free(text);
	assert_int_equal(lent->refcount, 1);
	json_decref(lent);
}

/* What is stolen is let go of, what is lent is not, whichever pair fails. */
static void failures_let_go(void **state)
{
	(void)state;
	json_t *lent = json_array();
	assert_null(chain_json_object(CHAIN_BORROW("lent", lent), CHAIN_STEAL("mine", json_array()),
				      CHAIN_TEXT("text", "\xff")));
	assert_null(chain_json_object(CHAIN_STEAL("null", NULL), CHAIN_TEXT("text", "t"), CHAIN_BORROW("lent", lent)));
	assert_null(chain_json_object(CHAIN_TEXT("text", "\xff"), CHAIN_STEAL("mine", json_array()),
				      CHAIN_BORROW("lent", lent)));
	json_t *object = NULL;
	for (long n = 0; !object; n++) {
		json_t *mine = json_array();
		assert_non_null(mine);
		alloc_fail_at(n, false);
		object = chain_json_object(CHAIN_TEXT("text", "t"), CHAIN_INT("number", (json_int_t)1),
					   CHAIN_HEX("at", (uint64_t)1), CHAIN_STEAL("mine", mine),
					   CHAIN_BORROW("lent", lent));
		alloc_stop();
	}
	json_decref(object);
	assert_int_equal(lent->refcount, 1);
	json_decref(lent);
}

static enum chain_status copies(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	json_t *shallow = chain_json_shallow(ctx), *deep = chain_json_deep(ctx);
	enum chain_status status = shallow && deep ? CHAIN_OK : chain_json_no_memory(err, "copy");
	alloc_stop();
	bool whole = (!shallow || json_equal(shallow, ctx)) && (!deep || json_equal(deep, ctx));
	*out_sum = alloc_sum(0, &whole, sizeof(whole));
	json_decref(shallow);
	json_decref(deep);
	return whole ? status : chain_fail_text(err, CHAIN_E_JSON_TYPE, "copy", "members are missing");
}

/* With jansson's json_copy it fails. */
static void copies_are_whole_or_none(void **state)
{
	(void)state;
	long at;
	json_t *doc = json_pack("{s:[i,{s:s,s:[]},n], s:{s:{s:f}}, s:b}", "list", 1, "a", "b", "empty", "in", "deeper",
				"real", 0.5, "yes", 1);
	assert_true(alloc_sweep(copies, doc, &at) > 10);
	json_t *deep = chain_json_deep(doc);
	json_object_clear(json_object_get(json_object_get(deep, "in"), "deeper"));
	json_array_clear(json_object_get(deep, "list"));
	assert_int_equal(json_object_size(json_object_get(json_object_get(doc, "in"), "deeper")), 1);
	assert_int_equal(json_array_size(json_object_get(doc, "list")), 3);
	json_decref(deep);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_janssons),  cmocka_unit_test(reals_are_janssons),
		cmocka_unit_test(large_texts_grow),  cmocka_unit_test(hexadecimal),
		cmocka_unit_test(depth_is_counted),  cmocka_unit_test(each_kind),
		cmocka_unit_test(text_of_no_object), cmocka_unit_test(known_text_is_put),
		cmocka_unit_test(kept_text_is_put),  cmocka_unit_test(kept_text_has_its_limits),
		cmocka_unit_test(failures_let_go),   cmocka_unit_test(copies_are_whole_or_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
