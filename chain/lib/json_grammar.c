/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* RFC 8259, sections 2 to 7, without a byte of memory. */
#include "chain/json.h"

#include <assert.h>
#include <string.h>

struct scan {
	const char *at, *end;
};

#define LEVELS 64u
static_assert((unsigned)CHAIN_JSON_DEPTH_MAX <= LEVELS, "a bit a level");

static char peek(const struct scan *s) { return s->at < s->end ? *s->at : '\0'; }

static bool accept(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static void skip(struct scan *s, const char *set)
{
	while (s->at < s->end && *s->at && strchr(set, *s->at))
		s->at++;
}

static bool digits(struct scan *s)
{
	const char *from = s->at;
	skip(s, "0123456789");
	return s->at > from;
}

static bool escape(struct scan *s)
{
	const char *from = s->at;
	if (!accept(s, 'u')) {
		bool known = peek(s) && strchr("\"\\/bfnrt", peek(s));
		s->at += known;
		return known;
	}
	while (s->at - from < 5 && peek(s) && strchr("0123456789abcdefABCDEF", peek(s)))
		s->at++;
	return s->at - from == 5;
}

static bool string(struct scan *s)
{
	if (!accept(s, '"'))
		return false;
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at++;
		if (c == '"')
			return true;
		if (c < 0x20 || (c == '\\' && !escape(s)))
			return false;
	}
	return false;
}

static bool number(struct scan *s)
{
	accept(s, '-');
	if (!accept(s, '0') && !digits(s))
		return false;
	if (accept(s, '.') && !digits(s))
		return false;
	if (!accept(s, 'e') && !accept(s, 'E'))
		return true;
	if (!accept(s, '+'))
		accept(s, '-');
	return digits(s);
}

static bool scalar(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t bytes = strlen(words[i]);
		if ((size_t)(s->end - s->at) < bytes || memcmp(s->at, words[i], bytes))
			continue;
		s->at += bytes;
		return true;
	}
	return peek(s) == '"' ? string(s) : number(s);
}

static void blanks(struct scan *s) { skip(s, " \t\n\r"); }

static bool key(struct scan *s)
{
	blanks(s);
	if (!string(s))
		return false;
	blanks(s);
	return accept(s, ':');
}

bool chain_json_is_grammatical(const char *text, uint64_t bytes)
{
	struct scan s = { text, text + bytes };
	uint64_t objects = 0; /* the innermost level in bit 0: an object or an array */
	unsigned depth = 0;
	for (;;) { /* a value is due */
		bool empty = false;
		blanks(&s);
		if (peek(&s) == '{' || peek(&s) == '[') {
			bool object = *s.at++ == '{';
			if (depth++ == LEVELS)
				return false;
			objects = objects << 1 | object;
			blanks(&s);
			empty = peek(&s) == (object ? '}' : ']');
			if (!empty && object && !key(&s))
				return false;
			if (!empty)
				continue;
		} else if (!scalar(&s)) {
			return false;
		}
		for (;; objects >>= 1, depth--) { /* it is over, and whatever ends with it */
			blanks(&s);
			if (!depth)
				return s.at == s.end;
			if (accept(&s, ','))
				break;
			if (!accept(&s, objects & 1 ? '}' : ']'))
				return false;
		}
		if (objects & 1 && !key(&s))
			return false;
	}
}
