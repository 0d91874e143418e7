/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: numbers of a command line: sizes, times, addresses. More is understood here than in a pipeline, which others
 * read as well: units in either case, and some that only people use. */

#include "cmd.h"
#include "chain/json.h"

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
		{ "", 1 },	    { "b", 1 },		{ "k", 1 << 10 },   { "kb", 1 << 10 },	  { "kib", 1 << 10 },
		{ "m", 1 << 20 },   { "mb", 1 << 20 },	{ "mib", 1 << 20 }, { "g", 1 << 30 },	  { "gb", 1 << 30 },
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
