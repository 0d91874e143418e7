/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: words and numbers of a command line: sizes, times, addresses, and what a misspelt word was meant to be. */

#include "cmd.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits into *out; the rest of the text, or null when there is no digit or too many. */
static const char *digits(const char *text, uint64_t *out)
{
	if (!isdigit((unsigned char)*text))
		return NULL;
	uint64_t value = 0;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return NULL;
	*out = value;
	return text;
}

static bool with_unit(const char *text, const struct unit *units, uint64_t *out)
{
	uint64_t value;
	const char *rest = digits(text, &value);
	if (!rest)
		return false;
	for (; units->name; units++)
		if (strcasecmp(rest, units->name) == 0)
			return !__builtin_mul_overflow(value, units->factor, out);
	return false;
}

bool cmd_size_parse(const char *text, uint64_t *out_bytes)
{
	static const struct unit UNITS[] = {
		{ "", 1 },	    { "B", 1 },		  { "K", 1 << 10 },   { "KB", 1 << 10 },  { "KiB", 1 << 10 },
		{ "M", 1 << 20 },   { "MB", 1 << 20 },	  { "MiB", 1 << 20 }, { "G", 1 << 30 },	  { "GB", 1 << 30 },
		{ "GiB", 1 << 30 }, { "T", 1ULL << 40 }, { "TiB", 1ULL << 40 }, { NULL, 0 },
	};
	return with_unit(text, UNITS, out_bytes);
}

bool cmd_time_parse(const char *text, uint64_t *out_us)
{
	static const struct unit UNITS[] = {
		{ "", 1000000 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 }, { NULL, 0 },
	};
	return with_unit(text, UNITS, out_us);
}

bool cmd_count_parse(const char *text, uint64_t *out)
{
	const char *rest = digits(text, out);
	return rest && *rest == '\0';
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

enum { WORD_MAX = 40 };

/* Levenshtein's distance, one row at a time; words longer than WORD_MAX are never near. */
static size_t distance(const char *a, const char *b)
{
	size_t a_bytes = strlen(a), b_bytes = strlen(b), row[WORD_MAX + 1];
	if (a_bytes > WORD_MAX || b_bytes > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]);
			size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			corner = row[j];
			row[j] = change < shift ? change : shift;
		}
	}
	return row[b_bytes];
}

const char *cmd_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	size_t least = strlen(word) / 3 + 2;
	for (; *names; names++) {
		size_t away = distance(word, *names);
		if (away < least && away < strlen(*names)) {
			least = away;
			best = *names;
		}
	}
	return best;
}
