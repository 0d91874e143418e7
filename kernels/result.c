/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Leaves the result that its first argument names and exits with its second as status: good | none | malformed | deep |
 * oversized (one byte more than there is room for) | full (exactly the room) | lie (claims more than it wrote) |
 * empty (no byte) | lines (JSON with newlines in it). */

#include <kchain.h>

#include "stage/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A JSON string of `bytes` bytes, quotes included. */
static bool leave_string(size_t bytes)
{
	char *text = malloc(bytes + 1);
	if (!text)
		return false;
	memset(text, 'x', bytes);
	text[0] = text[bytes - 1] = '"';
	text[bytes] = '\0';
	bool ok = kchain_result(text);
	free(text);
	return ok;
}

/* Deeper than a handoff may be once the result lies in it. */
static bool leave_nested(void)
{
	char text[2 * 45 + 1] = "";
	memset(text, '[', 45);
	memset(text + 45, ']', 45);
	return kchain_result(text);
}

static bool leave(const char *kind)
{
	if (!strcmp(kind, "good"))
		return kchain_result("{\"answer\": 42}");
	if (!strcmp(kind, "none"))
		return true;
	if (!strcmp(kind, "empty"))
		return kchain_result("");
	if (!strcmp(kind, "lines"))
		return kchain_result("{\n\t\"answer\": 42\n}\n");
	if (!strcmp(kind, "malformed"))
		return kchain_result("{\"answer\": ");
	if (!strcmp(kind, "deep"))
		return leave_nested();
	if (!strcmp(kind, "full"))
		return leave_string(kchain_result_room());
	if (!strcmp(kind, "oversized"))
		return leave_string(kchain_result_room() + 1);
	if (!strcmp(kind, "lie") && kchain_is_called()) {
		((struct kchain_call *)(uintptr_t)stage_boot.call)->mailbox_used = UINT64_MAX;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "good";
	bool left = leave(kind);
	printf("result: %s %s\n", kind, left ? "was left" : "was refused");
	return argc > 2 ? atoi(argv[2]) : !left;
}
