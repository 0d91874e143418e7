/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/args.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}
static bool is_special(char c)
{
	return c == '"' || c == '\\';
}

size_t chain_args_split(char *text, char **argv, size_t most)
{
	for (size_t count = 0;; count++) {
		while (is_blank(*text))
			text++;
		if (!*text || count == most)
			return count + (*text != '\0');
		char *out = argv[count] = text;
		bool quoted = false;
		for (; *text && (quoted || !is_blank(*text)); text++) {
			if (*text == '"') {
				quoted = !quoted;
				continue;
			}
			text += *text == '\\' && is_special(text[1]);
			*out++ = *text;
		}
		text += *text != '\0';
		*out = '\0';
	}
}

void chain_args_scan(struct chain_args_state *state, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		bool ordinary = state->backslash && is_special(text[i]);
		state->quoted ^= text[i] == '"' && !ordinary;
		state->backslash = text[i] == '\\' && !ordinary;
	}
}

size_t chain_args_escape(const char *text, char *out, size_t size)
{
	size_t used = 0;
	for (; *text; text++) {
		if (is_special(*text) && used++ + 1 < size)
			out[used - 1] = '\\';
		if (used++ + 1 < size)
			out[used - 1] = *text;
	}
	if (size)
		out[used < size ? used : size - 1] = '\0';
	return used;
}
