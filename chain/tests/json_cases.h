/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the tests of our JSON documents share: cases in data/{valid,invalid}/<prefix>-*, sweeps over them. */
#ifndef CHAIN_TESTS_JSON_CASES_H
#define CHAIN_TESTS_JSON_CASES_H

#include "chain/error.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Parses and frees. */
typedef enum chain_status json_case_parse(const char *text, size_t bytes, struct chain_error *err);

static inline char *case_file(const char *path, size_t *out_bytes)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		fail_msg("%s: not there", path);
	char *text = calloc(1, 1 << 16);
	assert_non_null(text);
	*out_bytes = fread(text, 1, (1 << 16) - 1, file);
	fclose(file);
	return text;
}

static inline void assert_ok(enum chain_status status, const struct chain_error *err)
{
	char text[700];
	if (status == CHAIN_OK)
		return;
	chain_error_format(err, text, sizeof(text));
	fail_msg("%s", text);
}

static size_t cases_wrong; /* all are shown before the test fails */

/* The `expect` of an invalid case is the status's slug, and the subject on a line of its own (the rest of the file). */
static inline void check_invalid(const char *name, json_case_parse *parse)
{
	char path[512];
	size_t bytes, expect_bytes;
	struct chain_error err = { 0 };
	snprintf(path, sizeof(path), "chain/tests/data/invalid/%s/input", name);
	char *text = case_file(path, &bytes);
	snprintf(path, sizeof(path), "chain/tests/data/invalid/%s/expect", name);
	char *expect = case_file(path, &expect_bytes), *subject = strchr(expect, '\n');
	assert_non_null(subject);
	*subject++ = '\0';
	subject[strlen(subject) - 1] = '\0';
	enum chain_status status = parse(text, bytes, &err);
	if (strcmp(chain_status_slug(status), expect) || strcmp(err.subject, subject) || err.status != status)
		print_error("%s: %s \"%s\" expected, %s \"%s\" (%s) found\n", name, expect, subject,
			    chain_status_slug(status), err.subject, err.detail),
			cases_wrong++;
	free(expect);
	free(text);
}

/* Runs `check` for each case of a kind; there has to be at least one. */
static inline void each_case(const char *kind, const char *prefix,
			     void (*check)(const char *name, json_case_parse *parse), json_case_parse *parse)
{
	char path[64];
	size_t count = 0;
	struct dirent *entry;
	cases_wrong = 0;
	snprintf(path, sizeof(path), "chain/tests/data/%s", kind);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, prefix, strlen(prefix))) {
			check(entry->d_name, parse);
			count++;
		}
	closedir(dir);
	assert_true(count > 0);
	assert_int_equal(cases_wrong, 0);
}

static inline char *valid_case(const char *name, size_t *out_bytes)
{
	char path[512];
	snprintf(path, sizeof(path), "chain/tests/data/valid/%s/input", name);
	return case_file(path, out_bytes);
}

static inline void check_valid(const char *name, json_case_parse *parse)
{
	struct chain_error err = { 0 };
	size_t bytes;
	char *text = valid_case(name, &bytes);
	assert_ok(parse(text, bytes, &err), &err);
	free(text);
}

/* Every shorter text is refused. The copy has the exact size, so that a sanitizer sees a read past its end. */
static inline void check_truncated(const char *name, json_case_parse *parse)
{
	size_t bytes;
	char *text = valid_case(name, &bytes);
	while (bytes && text[bytes - 1] == '\n')
		bytes--;
	for (size_t cut = 0; cut < bytes; cut++) {
		struct chain_error err = { 0 };
		char *copy = malloc(cut ? cut : 1);
		assert_non_null(copy);
		memcpy(copy, text, cut);
		assert_int_not_equal(parse(copy, cut, &err), CHAIN_OK);
		assert_int_not_equal(err.status, CHAIN_OK);
		free(copy);
	}
	free(text);
}

/* Bytes replaced, taken out and doubled: anything may come out of it but a crash or a failure without a name. */
static inline void check_mutated(const char *name, json_case_parse *parse)
{
	static const char alphabet[] = "{}[]\",:.|0129-eE\\ntux/\xff\x01 ";
	size_t bytes;
	unsigned seed = 12345;
	char *text = valid_case(name, &bytes);
	for (int round = 0; round < 3000; round++) {
		struct chain_error err = { 0 };
		char *copy = malloc(bytes + 1);
		assert_non_null(copy);
		memcpy(copy, text, bytes);
		size_t count = bytes;
		for (int i = 0; i <= round % 4; i++) {
			seed = seed * 1103515245u + 12345u;
			size_t at = (seed >> 8) % count;
			if (seed & (1u << 7) && count > 1)
				memmove(copy + at, copy + at + 1, --count - at);
			else
				copy[at] = alphabet[(seed >> 3) % (sizeof(alphabet) - 1)];
		}
		enum chain_status status = parse(copy, count, &err);
		assert_int_equal(err.status, status);
		free(copy);
	}
	free(text);
}

#endif
