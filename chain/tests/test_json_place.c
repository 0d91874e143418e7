/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Places in JSON texts: fixed ones, every value of random documents, texts that are none. */
#include "chain/json_place.h"

#include "chain/json_walk.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fixed_places(void **state)
{
	static const char text[] = "{ \"a\": 1,\n"
				   "  \"files\": { \"/a.b\": { \"mode\" : \"0\" } },\n"
				   "\t\"l\": [ 10, [ 20, {\"x\":[]} ], \"s]\" ],\n"
				   "  \"\\u00e9\xc3\xa9\": 2, \"sm\\u0069le \\ud83d\\ude00\": 3, \"q\\\"\\\\\": 4, "
				   "\"\xe2\x82\xac\": 5, \"\": 6\n"
				   "}\n";
	static const struct {
		const char *path;
		uint64_t line, column;
	} cases[] = {
		{ "", 1, 1 },
		{ "a", 1, 3 },
		{ "files", 2, 3 },
		{ "files[\"/a.b\"]", 2, 14 },
		{ "files[\"/a.b\"].mode", 2, 24 },
		{ "l", 3, 2 },
		{ "l[0]", 3, 9 },
		{ "l[1]", 3, 13 },
		{ "l[1][0]", 3, 15 },
		{ "l[1][1]", 3, 19 },
		{ "l[1][1].x", 3, 20 },
		{ "l[2]", 3, 31 },
		{ "[\"\xc3\xa9\xc3\xa9\"]", 4, 3 },
		{ "[\"smile \xf0\x9f\x98\x80\"]", 4, 17 },
		{ "[\"q\\\"\\\\\"]", 4, 47 },
		{ "[\"\xe2\x82\xac\"]", 4, 59 },
		{ "[\"\"]", 4, 67 },
		/* what is not there: the innermost that is */
		{ "b", 1, 1 },
		{ "files.x", 2, 3 },
		{ "files[\"/a.b\"].from", 2, 14 },
		{ "l[3]", 3, 2 },
		{ "l.x", 3, 2 },
		{ "a.x", 1, 3 },
		{ "a[0]", 1, 3 },
		{ "l[1][1].x[0]", 3, 20 },
		/* cut */
		{ "...", 1, 1 },
		{ "files...", 2, 3 },
		{ "l[1]...", 3, 13 },
		{ "l[1", 3, 13 },
		{ "files[\"/a.b", 2, 14 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_json_place place = chain_json_find(text, sizeof(text) - 1, cases[i].path);
		if (place.line != cases[i].line || place.column != cases[i].column)
			fail_msg("%s: %llu:%llu found, %llu:%llu expected", cases[i].path,
				 (unsigned long long)place.line, (unsigned long long)place.column,
				 (unsigned long long)cases[i].line, (unsigned long long)cases[i].column);
	}
}

/* --- random documents, whose writer notes where it put what --- */

enum { TEXT_BYTES = 1 << 16, VALUES_MAX = 4096, DEPTH_MAX = 6 };

struct document {
	char text[TEXT_BYTES];
	size_t used;
	struct chain_json_path path;
	struct {
		char path[CHAIN_SUBJECT_BYTES];
		size_t offset, value_offset;
		bool is_container;
	} values[VALUES_MAX];
	size_t count;
};

static void put(struct document *d, const char *piece)
{
	size_t bytes = strlen(piece);
	assert_true(d->used + bytes < sizeof(d->text));
	memcpy(d->text + d->used, piece, bytes + 1);
	d->used += bytes;
}

static void put_blanks(struct document *d)
{
	static const char *const blanks[] = { "", "", "", " ", "\n", "\t", "\r\n", "  " };
	put(d, blanks[rnd(sizeof(blanks) / sizeof(blanks[0]))]);
}

/* The same characters as they are and in one of the ways to write them. */
static void put_string(struct document *d, char *out_plain, size_t size)
{
	static const struct {
		const char *plain, *written[3];
	} letters[] = {
		{ "a", { "a", "\\u0061", "a" } },
		{ "B", { "B", "B", "\\u0042" } },
		{ "-", { "-", "-", "-" } },
		{ ".", { ".", "\\u002e", "\\u002E" } },
		{ "/", { "/", "\\/", "\\u002f" } },
		{ "\"", { "\\\"", "\\u0022", "\\\"" } },
		{ "\\", { "\\\\", "\\u005c", "\\\\" } },
		{ "[", { "[", "\\u005b", "[" } },
		{ "]", { "]", "]", "\\u005D" } },
		{ "{", { "{", "{", "{" } },
		{ "}", { "}", "}", "\\u007d" } },
		{ ",", { ",", ",", "\\u002c" } },
		{ ":", { ":", ":", ":" } },
		{ " ", { " ", "\\u0020", " " } },
		{ "\n", { "\\n", "\\u000a", "\\n" } },
		{ "\t", { "\\t", "\\u0009", "\\t" } },
		{ "\b", { "\\b", "\\b", "\\u0008" } },
		{ "\xc3\xa9", { "\xc3\xa9", "\\u00e9", "\\u00E9" } },
		{ "\xe2\x82\xac", { "\xe2\x82\xac", "\\u20ac", "\\u20AC" } },
		{ "\xf0\x9f\x98\x80", { "\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\uD83D\\uDE00" } },
	};
	size_t used = 0, length = rnd(6);
	put(d, "\"");
	for (size_t i = 0; i < length; i++) {
		size_t letter = rnd(sizeof(letters) / sizeof(letters[0]));
		put(d, letters[letter].written[rnd(3)]);
		used += (size_t)snprintf(out_plain + used, size - used, "%s", letters[letter].plain);
	}
	out_plain[used] = '\0';
	put(d, "\"");
}

static void note(struct document *d, size_t offset)
{
	assert_true(d->count < VALUES_MAX);
	strcpy(d->values[d->count].path, d->path.at);
	d->values[d->count].offset = offset;
	d->values[d->count++].value_offset = d->used;
}

static void put_value(struct document *d, unsigned depth, size_t offset);

static void put_members(struct document *d, unsigned depth)
{
	char keys[8][64];
	size_t count = rnd(8), made = 0;
	put(d, "{");
	put_blanks(d);
	for (size_t i = 0; i < count; i++) {
		size_t offset, before = d->used;
		bool again = false;
		put(d, made ? "," : "");
		put_blanks(d);
		offset = d->used;
		put_string(d, keys[made], sizeof(keys[made]));
		for (size_t j = 0; j < made; j++)
			again = again || !strcmp(keys[j], keys[made]);
		if (again) { /* jansson is told to refuse them */
			d->text[d->used = before] = '\0';
			continue;
		}
		put_blanks(d);
		put(d, ":");
		put_blanks(d);
		size_t mark = chain_json_push_key(&d->path, keys[made++]);
		put_value(d, depth + 1, offset);
		chain_json_pop(&d->path, mark);
		put_blanks(d);
	}
	put(d, "}");
}

static void put_elements(struct document *d, unsigned depth)
{
	size_t count = rnd(8);
	put(d, "[");
	put_blanks(d);
	for (size_t i = 0; i < count; i++) {
		size_t mark = chain_json_push_index(&d->path, i);
		put(d, i ? "," : "");
		put_blanks(d);
		put_value(d, depth + 1, d->used);
		chain_json_pop(&d->path, mark);
		put_blanks(d);
	}
	put(d, "]");
}

static void put_value(struct document *d, unsigned depth, size_t offset)
{
	static const char *const plain[] = { "0",      "-12.5e+3", "true",     "false", "null", "\"\"",
					     "\"}]\"", "\"\\\"\"", "\"\\\\\"", "[]",    "{}" };
	size_t kind = depth ? rnd(3) : 1, number = d->count;
	note(d, offset);
	if (!kind || depth == DEPTH_MAX) {
		put(d, plain[rnd(sizeof(plain) / sizeof(plain[0]))]);
		return;
	}
	d->values[number].is_container = true;
	if (kind == 1)
		put_members(d, depth);
	else
		put_elements(d, depth);
}

static void make(struct document *d)
{
	do {
		d->used = d->count = 0;
		d->path = (struct chain_json_path){ .errors = NULL };
		put_blanks(d);
		put_value(d, 0, d->used);
		put_blanks(d);
	} while (d->count < 3);
}

static void check_place(const struct document *d, const char *path, size_t offset, size_t value_offset)
{
	struct chain_json_place place = chain_json_find(d->text, d->used, path);
	uint64_t line = 1, column = 1;
	for (size_t i = 0; i < offset; i++) {
		column = d->text[i] == '\n' ? 1 : column + ((d->text[i] & 0xc0) != 0x80);
		line += d->text[i] == '\n';
	}
	if (place.offset != offset || place.value_offset != value_offset || place.line != line ||
	    place.column != column)
		fail_msg("%s: at %llu, %zu expected (value at %llu, %zu expected) in\n%s", path,
			 (unsigned long long)place.offset, offset, (unsigned long long)place.value_offset, value_offset,
			 d->text);
}

static void random_documents(void **state)
{
	static struct document d;
	size_t values = 0;
	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		json_error_t why;
		make(&d);
		json_t *doc = json_loadb(d.text, d.used, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
		if (!doc)
			fail_msg("%s\n%s", why.text, d.text);
		json_decref(doc);
		for (size_t i = rnd(d.count / 20 + 1); i < d.count; i += 1 + rnd(d.count / 20 + 1)) { /* some of many */
			const char *path = d.values[i].path;
			size_t bytes = strlen(path);
			if (bytes > CHAIN_SUBJECT_BYTES - 12 || strstr(path, "..."))
				continue; /* cut, or so near to it that no more fits */
			check_place(&d, path, d.values[i].offset, d.values[i].value_offset);
			struct chain_json_path more = d.path;
			strcpy(more.at, path);
			chain_json_push_key(&more, "zz"); /* a key that no object has */
			check_place(&d, more.at, d.values[i].offset, d.values[i].value_offset);
			strcpy(more.at, path);
			chain_json_push_index(&more, 99);
			check_place(&d, more.at, d.values[i].offset, d.values[i].value_offset);
			values++;
		}
	}
	assert_true(values > 10000);
}

/* Texts cut, mutated and mispaired with paths: an end is found, inside, with a line and a column. */
static void wild_texts(void **state)
{
	static struct document d, other;
	(void)state;
	make(&other);
	for (unsigned round = 0; round < 20000; round++) {
		if (round % 10 == 0)
			make(&d);
		size_t bytes = rnd(d.used + 1);
		char *copy = malloc(bytes ? bytes : 1);
		assert_non_null(copy);
		memcpy(copy, d.text, bytes);
		for (size_t i = 0; bytes && i < round % 4; i++)
			copy[rnd(bytes)] = "{}[]\",:\\u0 \n\xff"[rnd(14)];
		const struct document *from = round % 2 ? &d : &other;
		struct chain_json_place place = chain_json_find(copy, bytes, from->values[rnd(from->count)].path);
		assert_true(place.offset <= bytes && place.line >= 1 && place.column >= 1 && place.line <= bytes + 1 &&
			    place.column <= bytes + 1);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_places),
		cmocka_unit_test(random_documents),
		cmocka_unit_test(wild_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
