/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_quick.h"

#include <string.h>

struct text {
	const char *at, *end;
	unsigned levels; /* how many objects and arrays may still be begun within each other */
};

static void skip_blanks(struct text *t)
{
	while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
		t->at++;
}

static bool take(struct text *t, char c)
{
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

/* With the blanks before it. */
static bool take_sign(struct text *t, char c)
{
	skip_blanks(t);
	return take(t, c);
}

/* --- strings --- */

struct piece {
	const char *at;
	size_t bytes;
	bool plain; /* ASCII alone */
};

/* Whether one of eight bytes may be a quotation mark, a backslash, a control character, or none of ASCII. */
static bool any_special(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101, quotes = eight ^ '"' * ones, slashes = eight ^ '\\' * ones;
	return ((eight | (eight - 0x20 * ones) | (quotes - ones) | (slashes - ones)) & 0x80 * ones) != 0;
}

/* What is between quotation marks, as long as it stands for itself. */
static bool take_string(struct text *t, struct piece *out)
{
	uint64_t eight;
	uint8_t c = 0, all = 0;
	if (!take(t, '"'))
		return false;
	out->at = t->at;
	while (t->end - t->at > 8 && (memcpy(&eight, t->at, 8), !any_special(eight)))
		t->at += 8;
	for (; t->at < t->end; t->at++) {
		c = (uint8_t)*t->at;
		if (c == '"' || c == '\\' || c < 0x20)
			break;
		all |= c;
	}
	out->bytes = (size_t)(t->at - out->at);
	out->plain = all < 0x80;
	return c == '"' && take(t, '"');
}

static json_t *read_string(struct text *t)
{
	struct piece piece;
	if (!take_string(t, &piece))
		return NULL;
	return piece.plain ? json_stringn_nocheck(piece.at, piece.bytes) : json_stringn(piece.at, piece.bytes);
}

/* --- numbers --- */

enum {
	INTEGER_DIGITS = 18, /* as many are below 2^63 */
	EXACT_DIGITS = 15,   /* and as many below 2^53, which a double holds, */
	EXACT_TENS = 22      /* like so many factors of ten: what both come to is rounded once, as it has to be */
};

static unsigned take_digits(struct text *t, uint64_t *value)
{
	unsigned count = 0;
	for (; t->at < t->end && *t->at >= '0' && *t->at <= '9' && count <= INTEGER_DIGITS; t->at++, count++)
		*value = *value * 10 + (uint64_t)(*t->at - '0');
	return count;
}

static json_t *make_real(bool negative, uint64_t digits, int tens)
{
	static const double powers[EXACT_TENS + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
						       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
						       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	if (tens > EXACT_TENS || tens < -EXACT_TENS)
		return NULL;
	double value = tens < 0 ? (double)digits / powers[-tens] : (double)digits * powers[tens];
	return json_real(negative ? -value : value);
}

static json_t *read_number(struct text *t)
{
	uint64_t digits = 0, power = 0;
	const bool negative = take(t, '-'), zero = t->at < t->end && *t->at == '0';
	unsigned whole = take_digits(t, &digits), behind = 0;
	if (!whole || whole > INTEGER_DIGITS || (zero && whole > 1))
		return NULL;
	const bool point = take(t, '.');
	if (point && !(behind = take_digits(t, &digits)))
		return NULL;
	const bool exponent = take(t, 'e') || take(t, 'E');
	if (!point && !exponent)
		return json_integer(negative ? -(json_int_t)digits : (json_int_t)digits);
	const bool below = exponent && !take(t, '+') && take(t, '-');
	const unsigned count = exponent ? take_digits(t, &power) : 1;
	if (!count || count > 2 || whole + behind > EXACT_DIGITS)
		return NULL;
	return make_real(negative, digits, (below ? -(int)power : (int)power) - (int)behind);
}

/* --- values --- */

static json_t *read_value(struct text *t);

/* A key that is there already does not make the object larger. */
static bool read_member(struct text *t, json_t *object)
{
	struct piece key;
	skip_blanks(t);
	if (!take_string(t, &key) || !take_sign(t, ':'))
		return false;
	json_t *value = read_value(t);
	const size_t before = json_object_size(object);
	const int bad = key.plain ? json_object_setn_new_nocheck(object, key.at, key.bytes, value) :
				    json_object_setn_new(object, key.at, key.bytes, value);
	return !bad && json_object_size(object) > before;
}

static bool read_members(struct text *t, json_t *container, bool object)
{
	const char close = object ? '}' : ']';
	bool good = true;
	if (take_sign(t, close))
		return true;
	do
		good = object ? read_member(t, container) : !json_array_append_new(container, read_value(t));
	while (good && take_sign(t, ','));
	return good && take_sign(t, close);
}

static json_t *read_container(struct text *t, bool object)
{
	if (!t->levels)
		return NULL;
	json_t *container = object ? json_object() : json_array();
	t->levels--;
	const bool good = container && read_members(t, container, object);
	t->levels++;
	if (good)
		return container;
	json_decref(container);
	return NULL;
}

static json_t *read_word(struct text *t, const char *word, json_t *value)
{
	const size_t bytes = strlen(word);
	if ((size_t)(t->end - t->at) < bytes || memcmp(t->at, word, bytes) != 0)
		return NULL;
	t->at += bytes;
	return value;
}

static json_t *read_value(struct text *t)
{
	skip_blanks(t);
	if (take(t, '{'))
		return read_container(t, true);
	if (take(t, '['))
		return read_container(t, false);
	switch (t->at < t->end ? *t->at : '\0') {
	case '"':
		return read_string(t);
	case 't':
		return read_word(t, "true", json_true());
	case 'f':
		return read_word(t, "false", json_false());
	case 'n':
		return read_word(t, "null", json_null());
	default:
		return read_number(t);
	}
}

json_t *chain_json_quick(const char *text, uint64_t bytes, unsigned max_depth)
{
	struct text t = { text, text + bytes, max_depth };
	json_t *value = read_value(&t);
	skip_blanks(&t);
	if (t.at == t.end)
		return value;
	json_decref(value);
	return NULL;
}
