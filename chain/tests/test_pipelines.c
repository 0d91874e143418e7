/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Wrong pipelines, each with the exact text that `kchain bake` says of it: chain/tests/data/pipelines/NAME.json and
 * NAME.txt. What --json says is the same. To write a NAME.txt: (cd chain/tests/data/pipelines && kchain bake NAME.json
 * -o /tmp/none 2>NAME.txt) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { TEXT_BYTES = 1 << 16, LEAST_CASES = 20, REFUSED = 3 };
#define FOLDER "chain/tests/data/pipelines"

static char command[PATH_MAX];

/* What a command says, all of it. */
static char *said(const char *name, const char *how)
{
	char line[3 * PATH_MAX];
	char *text = calloc(1, TEXT_BYTES);
	assert_non_null(text);
	snprintf(line, sizeof(line),
		 "cd " FOLDER
		 " && NO_COLOR=1 XDG_CACHE_HOME=/nowhere '%s' bake %s -o \"${TMPDIR:-/tmp}/kchain-refused.$$\" %s",
		 command, name, how);
	FILE *pipe = popen(line, "re");
	assert_non_null(pipe);
	assert_true(fread(text, 1, TEXT_BYTES - 1, pipe) < TEXT_BYTES - 1);
	int status = pclose(pipe);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != REFUSED)
		fail_msg("%s: not refused (%d): %s", name, status, text);
	return text;
}

static char *golden(const char *name)
{
	char path[PATH_MAX];
	char *text = calloc(1, TEXT_BYTES);
	assert_non_null(text);
	snprintf(path, sizeof(path), FOLDER "/%.*s.txt", (int)(strlen(name) - strlen(".json")), name);
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s: not there", path);
	assert_true(fread(text, 1, TEXT_BYTES - 1, file) < TEXT_BYTES - 1);
	fclose(file);
	return text;
}

/* Whether `object` has exactly these members. */
static bool has_only(const json_t *object, const char *const *keys, size_t count)
{
	size_t found = 0;
	for (size_t i = 0; i < count; i++)
		found += json_object_get(object, keys[i]) != NULL;
	return found == count && json_object_size(object) == count;
}

/* The lines that the errors in the JSON document come to. */
static char *lines_of(const char *name, const char *json)
{
	static const char *const keys[] = { "slug", "message", "file", "path", "line", "column", "hint" };
	json_error_t why;
	json_t *doc = json_loads(json, JSON_REJECT_DUPLICATES, &why), *errors = json_object_get(doc, "errors"), *item;
	char *text = calloc(1, TEXT_BYTES);
	size_t i, used = 0, more = (size_t)json_integer_value(json_object_get(doc, "more"));
	if (!doc)
		fail_msg("%s: no JSON: %s", name, why.text);
	assert_non_null(text);
	assert_true(json_equal(json_object_get(doc, "error"), json_array_get(errors, 0)));
	assert_int_equal(json_integer_value(json_object_get(doc, "exit")), REFUSED);
	json_array_foreach (errors, i, item) {
		const char *hint = json_string_value(json_object_get(item, "hint"));
		assert_true(has_only(item, keys, sizeof(keys) / sizeof(keys[0])));
		used += (size_t)snprintf(text + used, TEXT_BYTES - used, "kchain: %s:%lld:%lld: %s\n",
					 json_string_value(json_object_get(item, "file")),
					 (long long)json_integer_value(json_object_get(item, "line")),
					 (long long)json_integer_value(json_object_get(item, "column")),
					 json_string_value(json_object_get(item, "message")));
		if (*hint)
			used += (size_t)snprintf(text + used, TEXT_BYTES - used, "  hint: %s\n", hint);
	}
	size_t count = json_array_size(errors);
	if (more)
		snprintf(text + used, TEXT_BYTES - used, "kchain: %s: %zu errors, of which %zu are shown\n", name,
			 count + more, count);
	else if (count > 1)
		snprintf(text + used, TEXT_BYTES - used, "kchain: %s: %zu errors\n", name, count);
	json_decref(doc);
	return text;
}

static void check_same(const char *name, const char *what, const char *wanted, const char *found, size_t *wrong)
{
	size_t same = 0;
	while (wanted[same] && wanted[same] == found[same])
		same++;
	if (wanted[same] == found[same])
		return;
	while (same && wanted[same - 1] != '\n')
		same--;
	print_error("%s, %s: wanted\n  %.*s\nfound\n  %.*s\n", name, what, (int)strcspn(wanted + same, "\n"),
		    wanted + same, (int)strcspn(found + same, "\n"), found + same);
	++*wrong;
}

static void exact_texts(void **state)
{
	size_t cases = 0, wrong = 0;
	struct dirent *entry;
	DIR *folder = opendir(FOLDER);
	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		const char *name = entry->d_name;
		size_t bytes = strlen(name);
		if (bytes < 6 || strcmp(name + bytes - 5, ".json"))
			continue;
		char *wanted = golden(name), *text = said(name, "2>&1"), *json = said(name, "--json 2>/dev/null"),
		     *lines = lines_of(name, json);
		check_same(name, "text", wanted, text, &wrong);
		check_same(name, "--json", wanted, lines, &wrong);
		free(lines);
		free(json);
		free(text);
		free(wanted);
		cases++;
	}
	closedir(folder);
	assert_true(cases >= LEAST_CASES);
	assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
	(void)argc;
	const struct CMUnitTest tests[] = { cmocka_unit_test(exact_texts) };
	if (!realpath(strstr(argv[0], "asan/") ? "build/asan/kchain" : "build/kchain", command))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
