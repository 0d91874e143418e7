/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Leaves the result that its first argument names and exits with its second as status: good | none | malformed | deep |
 * oversized (one byte more than there is room for) | full (exactly the room) | lie (claims more than it wrote) |
 * empty (no byte) | lines (JSON with newlines in it) | hex:DIGITS (those bytes) | many:WHAT (WHAT in a list, as often
 * as there is room for). */

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

static unsigned digit_of(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static bool leave_hex(const char *digits)
{
	size_t bytes = strlen(digits) / 2;
	char *text = calloc(1, bytes + 1);
	for (size_t i = 0; text && i < bytes; i++)
		text[i] = (char)(digit_of(digits[2 * i]) << 4 | digit_of(digits[2 * i + 1]));
	bool ok = text && kchain_result(text);
	free(text);
	return ok;
}

static bool leave_many(const char *what)
{
	size_t room = kchain_result_room(), each = strlen(what), used = 1;
	char *text = malloc(room + 1);
	if (!text)
		return false;
	text[0] = '[';
	for (; used + each + 1 <= room; used += each + 1)
		sprintf(text + used, "%s,", what);
	text[used - 1] = ']';
	text[used] = '\0';
	bool ok = kchain_result(text);
	free(text);
	return ok;
}

static bool leave(const char *kind)
{
	if (!strncmp(kind, "hex:", 4))
		return leave_hex(kind + 4);
	if (!strncmp(kind, "many:", 5))
		return leave_many(kind + 5);
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
