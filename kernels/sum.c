/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Reduces a fan-out: sum STEP adds up, member by member, the numbers in the results that STEP's kernels left. Prints
 * them, and leaves them as its own result. A kernel without a result is an error: a sum that lacks one is none. */

#include <kchain.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static bool add(json_t *sums, const json_t *result)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)(uintptr_t)result, key, value) {
		json_int_t sum;
		if (!json_is_integer(value) ||
		    __builtin_add_overflow(json_integer_value(json_object_get(sums, key)), json_integer_value(value),
					   &sum) ||
		    json_object_set_new(sums, key, json_integer(sum)))
			return false;
	}
	return json_is_object(result);
}

static json_t *add_all(const json_t *results)
{
	json_t *sums = json_object(), *result;
	size_t i;
	json_array_foreach (results, i, result) {
		if (add(sums, result))
			continue;
		printf("sum: kernel %zu left no numbers\n", i);
		json_decref(sums);
		return NULL;
	}
	return sums;
}

int main(int argc, char **argv)
{
	const char *text;
	if (argc != 2 || !kchain_handoff(&text, NULL)) {
		printf("usage: sum STEP, in a chain\n");
		return 2;
	}
	json_t *handoff = json_loads(text, 0, NULL);
	const json_t *results =
		json_object_get(json_object_get(json_object_get(handoff, "results"), argv[1]), "result");
	if (!json_is_array(results)) {
		printf("sum: step %s left no results of a fan-out\n", argv[1]);
		return 1;
	}
	json_t *sums = add_all(results);
	char *line = sums ? json_dumps(sums, JSON_COMPACT) : NULL;
	if (!line)
		return 1;
	const char *key;
	json_t *value;
	printf("%zu kernels:", json_array_size(results));
	json_object_foreach (sums, key, value)
		printf("  %s %lld", key, (long long)json_integer_value(value));
	printf("\n");
	return kchain_result(line) ? 0 : 1;
}
