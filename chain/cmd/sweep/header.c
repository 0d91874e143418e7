/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the first line of a results file: where its results come from (docs/SWEEP.md). */

#include "results.h"

#include "chain/cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

/* What decides over the results. Host, time and command line may be others. */
static const char *const SAME[] = { "kchain_sweep", "image",  "inputs", "count",      "repeat",  "per_instance",
				    "seed",         "memory", "cpus",   "timeout_us", "retries", "qemu_arguments",
				    "kchain",       "qemu",   "accel",  "processor" };

static const char *word(const json_t *value, char *out, size_t size)
{
	char *text = value ? cmd_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	snprintf(out, size, "%.*s", (int)size - 1, text ? text : "none");
	free(text);
	return out;
}

bool results_header_differs(const json_t *was, const json_t *is, char *out, size_t size)
{
	char before[96], now[96];
	for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
		const json_t *a = json_object_get(was, SAME[i]), *b = json_object_get(is, SAME[i]);
		if (json_equal(a, b) || (!a && !b))
			continue;
		snprintf(out, size, "%s is %s, was %s", SAME[i], word(b, now, sizeof(now)),
			 word(a, before, sizeof(before)));
		return true;
	}
	return false;
}

const char *results_header_check(const json_t *header)
{
	const json_t *count = json_object_get(header, "count"), *version = json_object_get(header, "kchain_sweep");
	if (!json_is_integer(version))
		return "no \"kchain_sweep\"";
	if (json_integer_value(version) != 1)
		return "a version of the form that is not 1";
	if (!json_is_integer(count) || json_integer_value(count) < 1 || json_integer_value(count) > 1000000000)
		return "no \"count\" that can be";
	return NULL;
}

uint64_t results_header_count(const json_t *header)
{
	return (uint64_t)json_integer_value(json_object_get(header, "count"));
}
