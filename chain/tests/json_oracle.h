/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a second opinion on which texts are JSON that our documents may be: RFC 8259 written down again from its
 * sections 2 to 8, UTF-8 from RFC 3629, and what both leave to a reader: integers of 64 bits, numbers that a double can
 * hold, no key twice, no NUL. Must not know: jansson, or how chain/json.h reads. */
#ifndef CHAIN_TESTS_JSON_ORACLE_H
#define CHAIN_TESTS_JSON_ORACLE_H

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ORACLE_LEVELS = 100, ORACLE_BYTES = 4096 /* of a text */ };

struct oracle {
	const uint8_t *at, *end;
};

static bool oracle_value(struct oracle *o, unsigned levels);

static inline int oracle_peek(const struct oracle *o)
{
	return o->at < o->end ? *o->at : -1;
}
static inline bool oracle_take(struct oracle *o, int c)
{
	if (oracle_peek(o) != c)
		return false;
	o->at++;
	return true;
}
static inline void oracle_blanks(struct oracle *o)
{
	while (oracle_take(o, ' ') || oracle_take(o, '\t') || oracle_take(o, '\n') || oracle_take(o, '\r'))
		;
}
static inline bool oracle_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline int32_t oracle_hex(struct oracle *o)
{
	int32_t value = 0;
	for (int i = 0; i < 4; i++) {
		int c = oracle_peek(o);
		int digit = oracle_is_digit(c)   ? c - '0' :
			    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			    c >= 'A' && c <= 'F' ? c - 'A' + 10 :
						   -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
		o->at++;
	}
	return value;
}

/* One character behind a backslash; -1: none. */
static inline int32_t oracle_escape(struct oracle *o)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = oracle_peek(o);
	const char *found = c > 0 ? strchr(from, c) : NULL;
	if (found) {
		o->at++;
		return to[found - from];
	}
	if (!oracle_take(o, 'u'))
		return -1;
	int32_t high = oracle_hex(o);
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || !oracle_take(o, '\\') || !oracle_take(o, 'u'))
		return -1;
	int32_t low = oracle_hex(o);
	return low < 0xdc00 || low > 0xdfff ? -1 : 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
}

/* One character as it stands; -1: none. */
static inline int32_t oracle_character(struct oracle *o)
{
	static const struct {
		uint8_t mask, is;
		int more;
		int32_t least;
	} forms[] = {
		{ 0x80, 0x00, 0, 0 }, { 0xe0, 0xc0, 1, 0x80 }, { 0xf0, 0xe0, 2, 0x800 }, { 0xf8, 0xf0, 3, 0x10000 }
	};
	int first = oracle_peek(o);
	for (size_t i = 0; i < 4 && first >= 0; i++) {
		if ((first & forms[i].mask) != forms[i].is)
			continue;
		int32_t value = first & ~forms[i].mask & 0xff;
		o->at++;
		for (int n = 0; n < forms[i].more; n++) {
			int c = oracle_peek(o);
			if (c < 0x80 || c > 0xbf)
				return -1;
			value = value << 6 | (c & 0x3f);
			o->at++;
		}
		return value < forms[i].least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? -1 : value;
	}
	return -1;
}

/* Its characters, ended by 0, for a key to be compared: at most `room`. */
static inline bool oracle_string(struct oracle *o, int32_t *out)
{
	size_t used = 0;
	if (!oracle_take(o, '"'))
		return false;
	while (!oracle_take(o, '"')) {
		int32_t c = oracle_peek(o) < 0x20 ? -1 : oracle_take(o, '\\') ? oracle_escape(o) : oracle_character(o);
		if (c <= 0)
			return false;
		if (out)
			out[used++] = c;
	}
	if (out)
		out[used] = 0;
	return true;
}

static inline bool oracle_digits(struct oracle *o)
{
	const uint8_t *from = o->at;
	while (oracle_is_digit(oracle_peek(o)))
		o->at++;
	return o->at > from;
}

static inline bool oracle_number(struct oracle *o)
{
	char copy[ORACLE_BYTES + 1];
	const uint8_t *from = o->at;
	bool real = false;
	oracle_take(o, '-');
	if (!oracle_take(o, '0') && !oracle_digits(o))
		return false;
	if (oracle_take(o, '.')) {
		real = true;
		if (!oracle_digits(o))
			return false;
	}
	if (oracle_take(o, 'e') || oracle_take(o, 'E')) {
		real = true;
		if (!oracle_take(o, '+'))
			oracle_take(o, '-');
		if (!oracle_digits(o))
			return false;
	}
	memcpy(copy, from, (size_t)(o->at - from));
	copy[o->at - from] = '\0';
	errno = 0;
	if (real)
		return !isinf(strtod(copy, NULL));
	(void)strtoll(copy, NULL, 10);
	return errno != ERANGE;
}

static inline bool oracle_same(const int32_t *a, const int32_t *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static inline bool oracle_object(struct oracle *o, unsigned levels)
{
	int32_t *keys[ORACLE_BYTES / 4];
	size_t count = 0;
	bool good = true, more = true;
	oracle_blanks(o);
	if (oracle_take(o, '}'))
		return true;
	while (good && more) {
		int32_t *key = calloc(ORACLE_BYTES, sizeof(*key));
		oracle_blanks(o);
		keys[count++] = key;
		good = oracle_string(o, key);
		for (size_t i = 0; good && i + 1 < count; i++)
			good = !oracle_same(keys[i], key);
		oracle_blanks(o);
		good = good && oracle_take(o, ':') && oracle_value(o, levels);
		oracle_blanks(o);
		more = oracle_take(o, ',');
	}
	while (count)
		free(keys[--count]);
	return good && oracle_take(o, '}');
}

static inline bool oracle_array(struct oracle *o, unsigned levels)
{
	oracle_blanks(o);
	if (oracle_take(o, ']'))
		return true;
	do {
		if (!oracle_value(o, levels))
			return false;
		oracle_blanks(o);
	} while (oracle_take(o, ','));
	return oracle_take(o, ']');
}

static bool oracle_value(struct oracle *o, unsigned levels)
{
	static const char *const words[] = { "true", "false", "null" };
	oracle_blanks(o);
	if (oracle_peek(o) == '{' || oracle_peek(o) == '[') {
		bool object = *o->at++ == '{';
		return levels && (object ? oracle_object(o, levels - 1) : oracle_array(o, levels - 1));
	}
	if (oracle_peek(o) == '"')
		return oracle_string(o, NULL);
	for (size_t i = 0; i < 3; i++) {
		size_t bytes = strlen(words[i]);
		if ((size_t)(o->end - o->at) >= bytes && !memcmp(o->at, words[i], bytes)) {
			o->at += bytes;
			return true;
		}
	}
	return oracle_number(o);
}

/* Whether a text of at most ORACLE_BYTES is one value of at most `levels` levels. */
static inline bool oracle_is_json(const char *text, size_t bytes, unsigned levels)
{
	struct oracle o = { (const uint8_t *)text, (const uint8_t *)text + bytes };
	bool good = oracle_value(&o, levels);
	oracle_blanks(&o);
	return good && o.at == o.end;
}

#endif
