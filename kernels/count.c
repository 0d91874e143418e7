/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Counts the links of a chain that boots itself: its result is `state.n` of the handoff and one, and whether there is
 * more to come below the limit, its first argument. */

#include <kchain.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_int_t counted(void)
{
	const char *text;
	size_t bytes;
	if (!kchain_handoff(&text, &bytes))
		return 0;
	json_t *handoff = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	json_int_t n = json_integer_value(json_object_get(json_object_get(handoff, "state"), "n"));
	json_decref(handoff);
	return n;
}

int main(int argc, char **argv)
{
	long long limit = argc > 1 ? atoll(argv[1]) : 1, n = counted() + 1;
	char result[80];
	snprintf(result, sizeof(result), "{\"n\": %lld, \"more\": %s}", n, n < limit ? "true" : "false");
	return kchain_result(result) ? 0 : 1;
}
