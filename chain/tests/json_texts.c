/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Says of each text on its standard input, a number of bytes in decimal, a newline and those bytes, whether
 * chain/json.h reads it: a line with "ok" and the value written again, or with the status and where.
 * qemu-tests/test_json.py asks it. */
#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/json_write.h"

#include <stdio.h>
#include <stdlib.h>

static void tell(const char *text, size_t bytes)
{
	struct chain_error err = { 0 };
	char message[1024];
	json_t *value;
	if (chain_json_any(text, bytes, CHAIN_RESULT_DEPTH_MAX, "text", &value, &err)) {
		chain_error_format(&err, message, sizeof(message));
		printf("%s %s\n", chain_status_slug(err.status), message);
		return;
	}
	char *again = chain_json_text(value, 0, NULL);
	printf("ok %s\n", again ? again : "");
	free(again);
	json_decref(value);
}

int main(void)
{
	size_t bytes;
	while (scanf("%zu", &bytes) == 1 && getchar() == '\n') {
		char *text = malloc(bytes ? bytes : 1);
		if (!text || fread(text, 1, bytes, stdin) != bytes)
			return 1;
		tell(text, bytes);
		free(text);
	}
	return !feof(stdin);
}
