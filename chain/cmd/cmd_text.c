/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: numbers of a command line: sizes, times, addresses. More is understood here than in a pipeline, which others
 * read as well: units in either case, and some that only people use. And foreign text on its way to people: what of it
 * may reach a terminal. */

#include "cmd.h"
#include "chain/json_walk.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* `units` are in lower case. */
static bool with_unit(const char *text, const struct chain_unit *units, size_t count, uint64_t *out)
{
	char lower[32];
	size_t i = 0;
	for (; text[i] && i < sizeof(lower) - 1; i++)
		lower[i] = (char)tolower((unsigned char)text[i]);
	lower[i] = '\0';
	return !text[i] && chain_parse_units(lower, units, count, out);
}

bool cmd_size_parse(const char *text, uint64_t *out_bytes)
{
	static const struct chain_unit UNITS[] = {
		{ "", 1 },          { "b", 1 },          { "k", 1 << 10 },      { "kb", 1 << 10 }, { "kib", 1 << 10 },
		{ "m", 1 << 20 },   { "mb", 1 << 20 },   { "mib", 1 << 20 },    { "g", 1 << 30 },  { "gb", 1 << 30 },
		{ "gib", 1 << 30 }, { "t", 1ULL << 40 }, { "tib", 1ULL << 40 },
	};
	return with_unit(text, UNITS, sizeof(UNITS) / sizeof(UNITS[0]), out_bytes);
}

bool cmd_time_parse(const char *text, uint64_t *out_us)
{
	static const struct chain_unit UNITS[] = {
		{ "", 1000000 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 },
	};
	return with_unit(text, UNITS, sizeof(UNITS) / sizeof(UNITS[0]), out_us);
}

char *cmd_time_text(uint64_t us, char buf[CMD_TIME_BYTES])
{
	static const struct {
		const char *name;
		uint64_t us;
	} UNITS[] = { { "h", 3600000000 }, { "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 }, { "us", 1 } };
	size_t unit = 0;
	while (UNITS[unit].us > 1 && (us < UNITS[unit].us || us % UNITS[unit].us))
		unit++;
	snprintf(buf, CMD_TIME_BYTES, "%llu%s", (unsigned long long)(us / UNITS[unit].us), UNITS[unit].name);
	return buf;
}

bool cmd_count_parse(const char *text, uint64_t *out)
{
	static const struct chain_unit ONE = { "", 1 };
	return chain_parse_units(text, &ONE, 1, out);
}

bool cmd_address_parse(const char *text, uint64_t *out)
{
	if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
		return cmd_count_parse(text, out);
	uint64_t value = 0;
	size_t count = strspn(text + 2, "0123456789abcdefABCDEF");
	if (count == 0 || count > 16 || text[2 + count] != '\0')
		return false;
	for (const char *at = text + 2; *at; at++)
		value = value << 4 | (uint64_t)(isdigit((unsigned char)*at) ? *at - '0' : (*at | 0x20) - 'a' + 10);
	*out = value;
	return true;
}

size_t cmd_text_printable(const char *text, size_t bytes)
{
	char character[5] = "";
	memcpy(character, text, bytes < 4 ? bytes : 4);
	size_t count = *character ? chain_utf8_bytes(character) : 0;
	return count && !chain_text_has_control(character, count) ? count : 0;
}

/* One character or escape from the start of `text`: its bytes there, and in `out` what is shown of it. */
static size_t escape_one(const char *text, size_t bytes, char out[5])
{
	size_t count = cmd_text_printable(text, bytes);
	memcpy(out, text, count);
	out[count] = '\0';
	if (!count)
		snprintf(out, 5, "\\x%02x", (unsigned char)*text);
	return count ? count : 1;
}

size_t cmd_text_escape(const char *text, size_t bytes, char *out, size_t size)
{
	size_t used = 0;
	bool full = size == 0;
	if (size)
		*out = '\0';
	for (size_t at = 0; at < bytes;) {
		char shown[5];
		at += escape_one(text + at, bytes - at, shown);
		size_t count = strlen(shown);
		full = full || count >= size - used;
		if (!full)
			memcpy(out + used, shown, count + 1);
		used += count;
	}
	return used;
}

size_t cmd_text_fitting(const char *text, size_t room)
{
	size_t at = 0, columns = 0, blank = 0;
	for (; text[at] && (columns < room || !blank); at++) {
		columns += ((unsigned char)text[at] & 0xc0) != 0x80;
		if (text[at] == ' ' && at && text[at + 1] != ' ')
			blank = at;
	}
	while (((unsigned char)text[at] & 0xc0) == 0x80)
		at++;
	return text[at] && text[at] != ' ' ? blank : at;
}

void cmd_text_put(FILE *to, const char *text)
{
	size_t bytes = strlen(text);
	for (size_t at = 0; at < bytes;) {
		char shown[5];
		at += escape_one(text + at, bytes - at, shown);
		fputs(shown, to);
	}
}
