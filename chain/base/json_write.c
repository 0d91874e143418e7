/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_write.h"

#include "chain/error.h"
#include "chain/json_memory.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

json_t *chain_json_shallow(const json_t *value)
{
	json_t *from = (json_t *)(uintptr_t)value; /* jansson's own do not write to it either */
	json_t *copy = json_is_object(value) ? json_object() : json_is_array(value) ? json_array() : NULL;
	if (!(json_is_object(value) ? json_object_update(copy, from) : json_array_extend(copy, from)))
		return copy;
	json_decref(copy);
	return NULL;
}

json_t *chain_json_deep(const json_t *value)
{
	if (!json_is_object(value) && !json_is_array(value))
		return json_incref((json_t *)(uintptr_t)value);
	json_t *copy = chain_json_shallow(value), *member;
	const char *key;
	size_t i;
	int bad = 0;
	json_object_foreach (copy, key, member)
		bad |= json_object_set_new(copy, key, chain_json_deep(member));
	json_array_foreach (copy, i, member)
		bad |= json_array_set_new(copy, i, chain_json_deep(member));
	if (!bad)
		return copy;
	json_decref(copy);
	return NULL;
}

json_t *chain_json_hex(uint64_t value)
{
	char text[2 + 16 + 1], *at = text + sizeof(text);
	*--at = '\0';
	do
		*--at = digits[value & 15];
	while (value >>= 4);
	*--at = 'x';
	*--at = '0';
	return json_string_nocheck(at);
}

static json_t *next_value(int kind, va_list *args)
{
	const char *text;
	switch (kind) {
	case 's':
		text = va_arg(*args, const char *);
		return !text ? json_null() : chain_is_utf8(text) ? json_string_nocheck(text) : NULL;
	case 'I':
		return json_integer(va_arg(*args, json_int_t));
	case 'x':
		return chain_json_hex(va_arg(*args, uint64_t));
	case 'b':
		return json_boolean(va_arg(*args, int));
	case 'o':
		return va_arg(*args, json_t *);
	default:
		return json_incref(va_arg(*args, json_t *));
	}
}

json_t *chain_json_object_of(int kind, ...)
{
	va_list args;
	json_t *object = json_object();
	bool good = object;
	va_start(args, kind);
	for (; kind; kind = va_arg(args, int)) {
		const char *key = va_arg(args, const char *);
		json_t *value = next_value(kind, &args); /* also after a failure: what is to be stolen is let go of */
		if (!good)
			json_decref(value);
		else
			good = !json_object_set_new_nocheck(object, key, value);
	}
	va_end(args);
	if (good)
		return object;
	json_decref(object);
	return NULL;
}

/* --- text --- */

struct out {
	char *text; /* owned; null after memory ran out */
	size_t used, room;
	const struct chain_json_known *known; /* nullable */
	unsigned levels;                      /* how many objects and arrays may still be begun within each other */
	bool deeper;                          /* that was not enough */
};

static bool grow(struct out *out, size_t count)
{
	size_t room = 2 * out->room > out->used + count ? 2 * out->room : out->used + count + 1;
	char *grown = realloc(out->text, room);
	if (!grown) {
		chain_json_memory_fail(room);
		return false;
	}
	out->text = grown;
	out->room = room;
	return true;
}

/* Room for `count` bytes and for the end. */
static inline bool reserve(struct out *out, size_t count)
{
	return count < out->room - out->used || grow(out, count);
}

static inline bool put_char(struct out *out, char c)
{
	if (!reserve(out, 1))
		return false;
	out->text[out->used++] = c;
	return true;
}

static bool put(struct out *out, const char *bytes, size_t count)
{
	if (!reserve(out, count))
		return false;
	memcpy(out->text + out->used, bytes, count);
	out->used += count;
	return true;
}

/* RFC 8259 section 7: quotation mark, backslash and control characters must be escaped; nothing else is. */
static bool put_escaped(struct out *out, uint8_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = memchr(from, c, sizeof(from) - 1);
	const char low = (char)((c & 15) < 10 ? '0' + (c & 15) : 'A' + (c & 15) - 10);
	const char code[] = { '\\', 'u', '0', '0', digits[c >> 4], low },
		   brief[] = { '\\', found ? to[found - from] : ' ' };
	return found ? put(out, brief, sizeof(brief)) : put(out, code, sizeof(code));
}

/* Whether one of eight bytes must be escaped: a borrow reaches a byte's highest bit where it is below what is taken
 * away, and where it was zero. Bytes of 0x80 and more are let off first. */
static inline bool any_escaped(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101, quotes = eight ^ '"' * ones, slashes = eight ^ '\\' * ones;
	return (((eight - 0x20 * ones) | (quotes - ones) | (slashes - ones)) & ~eight & 0x80 * ones) != 0;
}

#define NONE_ESCAPED 0x7f7f7f7f00000000 /* four bytes that need not be */

/* With a character before and one behind it; 0: none. One pass in the usual case, in which nothing is escaped: the
 * bytes are copied as they are looked at. */
static bool put_between(struct out *out, char before, const char *text, size_t count, char behind)
{
	const char *end = text + count;
	if (!reserve(out, count + 4))
		return false;
	if (before)
		out->text[out->used++] = before;
	out->text[out->used++] = '"';
	while (text < end) {
		char *at = out->text + out->used;
		uint8_t c = 0;
		uint64_t eight;
		uint32_t four;
		for (; end - text >= 8 && (memcpy(&eight, text, 8), !any_escaped(eight)); text += 8, at += 8)
			memcpy(at, &eight, 8);
		if (end - text >= 4 && (memcpy(&four, text, 4), !any_escaped(four | NONE_ESCAPED))) {
			memcpy(at, &four, 4);
			text += 4;
			at += 4;
		}
		for (; text < end && (c = (uint8_t)*text) >= 0x20 && c != '"' && c != '\\'; text++)
			*at++ = (char)c;
		out->used = (size_t)(at - out->text);
		if (text < end && !(put_escaped(out, c) && reserve(out, (size_t)(end - ++text) + 2)))
			return false;
	}
	out->text[out->used++] = '"';
	if (behind)
		out->text[out->used++] = behind;
	return true;
}

static bool put_string(struct out *out, const char *text, size_t count)
{
	return put_between(out, 0, text, count, 0);
}

static bool put_integer(struct out *out, json_int_t value)
{
	char text[24], *end = text + sizeof(text), *at = end;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do
		*--at = digits[rest % 10];
	while (rest /= 10);
	if (value < 0)
		*--at = '-';
	return put(out, at, (size_t)(end - at));
}

/* An integer of any size, base 10^9, least significant first: 2^1024 has 309 digits, 2^53 * 5^1074 has 767. */
struct big {
	uint32_t parts[90];
	size_t count;
};

static void multiply(struct big *big, uint32_t by)
{
	uint64_t carry = 0;
	for (size_t i = 0; i < big->count; i++) {
		carry += (uint64_t)big->parts[i] * by;
		big->parts[i] = (uint32_t)(carry % 1000000000);
		carry /= 1000000000;
	}
	if (carry)
		big->parts[big->count++] = (uint32_t)carry;
}

/* All digits of a finite positive number; *out_point is where its point would be, counted from the first. */
static size_t digits_of(double value, char out[9 * 90], int *out_point)
{
	int power;
	uint64_t whole = (uint64_t)ldexp(frexp(value, &power), 53);
	struct big big = { { (uint32_t)(whole % 1000000000), (uint32_t)(whole / 1000000000) }, 2 };
	int behind = power < 53 ? 53 - power : 0; /* m / 2^n is m * 5^n / 10^n */
	for (int i = 0; i < behind; i++)
		multiply(&big, 5);
	for (int i = 53; i < power; i++)
		multiply(&big, 2);
	size_t count = 0;
	for (size_t i = big.count; i-- > 0;) {
		uint32_t part = big.parts[i];
		for (uint32_t unit = 100000000; unit; unit /= 10)
			if (count || part / unit % 10)
				out[count++] = digits[part / unit % 10];
	}
	*out_point = (int)count - behind;
	return count;
}

/* To the nearest, in the middle to the even one (IEEE 754 section 4.3.1). Ending zeros are left out. */
static size_t round_digits(char *all, size_t count, size_t keep, int *point)
{
	if (count > keep) {
		bool rest = false;
		for (size_t i = keep + 1; i < count; i++)
			rest |= all[i] != '0';
		bool up = all[keep] > '5' || (all[keep] == '5' && (rest || (all[keep - 1] - '0') % 2));
		for (size_t i = keep; up && i-- > 0;) {
			up = all[i] == '9';
			all[i] = (char)(up ? '0' : all[i] + 1);
		}
		if (up) {
			all[0] = '1';
			++*point;
		}
		count = keep;
	}
	while (count > 1 && all[count - 1] == '0')
		count--;
	return count;
}

enum { REAL_DIGITS = 17 };

/* How many digits say a number so that it is read as the same one again: 15 do for what people write. */
static size_t shortest(double value)
{
	size_t keep = REAL_DIGITS - 2;
	for (; value != 0 && keep < REAL_DIGITS; keep++) {
		char all[9 * 90], text[48];
		int point = 1;
		size_t count = round_digits(all, digits_of(fabs(value), all, &point), keep, &point);
		snprintf(text, sizeof(text), "0.%.*se%d", (int)count, all, point);
		if (strtod(text, NULL) == fabs(value))
			break;
	}
	return keep;
}

/* 17 digits, which give the same number when read again, as printf's %.17g has them; always with a point or an
 * exponent, so that they are read as a real again. */
static bool put_real(struct out *out, double value, size_t kept)
{
	char all[9 * 90] = "0";
	int point = 1;
	bool good = !signbit(value) || put_char(out, '-');
	size_t count = value == 0 ? 1 : round_digits(all, digits_of(fabs(value), all, &point), kept, &point);
	bool scientific = point < -3 || point > REAL_DIGITS;
	size_t before = scientific ? 1 : point > 0 ? (size_t)point : 0;
	good = good && (before || put(out, "0", 1));
	for (size_t i = 0; good && i < before; i++)
		good = put_char(out, i < count ? all[i] : '0');
	if (before < count || !scientific)
		good = good && put_char(out, '.');
	for (int i = point; good && i < 0 && !scientific; i++)
		good = put_char(out, '0');
	if (before < count)
		good = good && put(out, all + before, count - before);
	else if (!scientific)
		good = good && put_char(out, '0');
	return good && (!scientific || (put_char(out, 'e') && put_integer(out, point - 1)));
}

static bool put_value(struct out *out, const json_t *value, unsigned flags);

static bool put_key(struct out *out, const char *key, size_t bytes, bool first)
{
	return put_between(out, first ? 0 : ',', key, bytes, ':');
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool put_sorted(struct out *out, json_t *object, unsigned flags)
{
	size_t count = 0;
	const size_t bytes = (json_object_size(object) + 1) * sizeof(char *);
	const char **keys = malloc(bytes);
	if (!keys) {
		chain_json_memory_fail(bytes);
		return false;
	}
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
		keys[count++] = json_object_iter_key(it);
	qsort(keys, count, sizeof(*keys), compare);
	bool good = true;
	for (size_t i = 0; good && i < count; i++)
		good = put_key(out, keys[i], strlen(keys[i]), i == 0) &&
		       put_value(out, json_object_get(object, keys[i]), flags);
	free(keys);
	return good;
}

static bool put_object(struct out *out, json_t *object, unsigned flags)
{
	bool good = put_char(out, '{');
	if (good && flags & CHAIN_JSON_SORTED)
		good = put_sorted(out, object, flags);
	else
		for (void *first = json_object_iter(object), *it = first; good && it;
		     it = json_object_iter_next(object, it))
			good = put_key(out, json_object_iter_key(it), json_object_iter_key_len(it), it == first) &&
			       put_value(out, json_object_iter_value(it), flags);
	return good && put_char(out, '}');
}

static bool put_array(struct out *out, const json_t *array, unsigned flags)
{
	bool good = put_char(out, '[');
	for (size_t i = 0; good && i < json_array_size(array); i++)
		good = (i == 0 || put_char(out, ',')) && put_value(out, json_array_get(array, i), flags);
	return good && put_char(out, ']');
}

static bool put_container(struct out *out, const json_t *value, unsigned flags)
{
	if (out->known && out->known->value == value)
		return put(out, out->known->text, out->known->bytes);
	out->deeper = !out->levels;
	if (out->deeper)
		return false;
	out->levels--;
	bool good = json_is_array(value) ? put_array(out, value, flags) :
					   put_object(out, (json_t *)(uintptr_t)value, flags);
	out->levels++;
	return good;
}

static bool put_value(struct out *out, const json_t *value, unsigned flags)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return put_container(out, value, flags);
	case JSON_STRING:
		return put_string(out, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return put_integer(out, json_integer_value(value));
	case JSON_REAL:
		return put_real(out, json_real_value(value),
				flags & CHAIN_JSON_SHORT ? shortest(json_real_value(value)) : REAL_DIGITS);
	case JSON_TRUE:
		return put(out, "true", 4);
	case JSON_FALSE:
		return put(out, "false", 5);
	default:
		return put(out, "null", 4);
	}
}

enum { FIRST_BYTES = 1024 };

/* The text, terminated, or nothing. */
static char *finish(struct out *out, bool good, uint64_t *out_bytes)
{
	if (!out->text)
		chain_json_memory_fail(FIRST_BYTES);
	if (!good) {
		free(out->text);
		return NULL;
	}
	out->text[out->used] = '\0';
	if (out_bytes)
		*out_bytes = out->used;
	return out->text;
}

char *chain_json_text_within(const json_t *value, unsigned levels, unsigned flags, const struct chain_json_known *known,
			     uint64_t *out_bytes, bool *out_deeper)
{
	struct out out = { malloc(FIRST_BYTES), 0, FIRST_BYTES, known, levels, false };
	char *text = finish(&out, out.text && put_value(&out, value, flags), out_bytes);
	*out_deeper = out.deeper;
	return text;
}

/* `places` gets where each member stands. */
static bool put_members(struct out *out, json_t *object, const struct chain_json_kept *kept,
			struct chain_json_kept *places)
{
	bool good = put_char(out, '{');
	out->levels--;
	for (void *it = json_object_iter(object); good && it; it = json_object_iter_next(object, it)) {
		json_t *value = json_object_iter_value(it);
		size_t i = places->count, at = out->used;
		if (i < kept->count && kept->members[i].value == value)
			good = put(out, kept->text + kept->members[i].at, kept->members[i].end - kept->members[i].at);
		else
			good = put_key(out, json_object_iter_key(it), json_object_iter_key_len(it), i == 0) &&
			       put_value(out, value, 0);
		if (i == CHAIN_JSON_KEPT_MEMBERS)
			continue; /* the last one is written by itself each time, as are those behind it */
		places->members[i].value = json_is_object(value) || json_is_array(value) ? value : NULL;
		places->members[i].at = at;
		places->members[i].end = out->used;
		places->count++;
	}
	out->levels++;
	return good && put_char(out, '}');
}

static void keep(const struct out *out, const struct chain_json_kept *places, struct chain_json_kept *kept)
{
	char *text = out->used <= CHAIN_JSON_KEPT_BYTES ? malloc(out->used) : NULL;
	if (!text)
		return;
	*kept = *places;
	kept->text = memcpy(text, out->text, out->used);
	for (size_t i = 0; i < kept->count; i++)
		json_incref(kept->members[i].value);
}

char *chain_json_text_like(const json_t *object, unsigned levels, const struct chain_json_known *known,
			   struct chain_json_kept *kept, uint64_t *out_bytes, bool *out_deeper)
{
	struct out out = { malloc(FIRST_BYTES), 0, FIRST_BYTES, known, levels, false };
	struct chain_json_kept places = { 0 };
	bool good = out.text && put_members(&out, (json_t *)(uintptr_t)object, kept, &places);
	if (good && !kept->text)
		keep(&out, &places, kept);
	*out_deeper = out.deeper;
	return finish(&out, good, out_bytes);
}

void chain_json_kept_free(struct chain_json_kept *kept)
{
	for (size_t i = 0; i < kept->count; i++)
		json_decref(kept->members[i].value);
	free(kept->text);
	*kept = (struct chain_json_kept){ 0 };
}

char *chain_json_text(const json_t *value, unsigned flags, uint64_t *out_bytes)
{
	bool deeper;
	return chain_json_text_within(value, UINT_MAX, flags, NULL, out_bytes, &deeper);
}

static bool put_json(struct out *out, json_t *value)
{
	return value && put_value(out, value, 0);
}

/* A value of the kind; what is to be stolen is let go of, also where `good` is false and nothing is put. */
static bool put_kind(struct out *out, int kind, va_list *args, bool good)
{
	const char *text;
	json_int_t number;
	json_t *value;
	switch (kind) {
	case 's':
		text = va_arg(*args, const char *);
		return good &&
		       (text ? chain_is_utf8(text) && put_string(out, text, strlen(text)) : put(out, "null", 4));
	case 'I':
		number = va_arg(*args, json_int_t);
		return good && put_integer(out, number);
	case 'b':
		number = va_arg(*args, int);
		return good && (number ? put(out, "true", 4) : put(out, "false", 5));
	default:
		value = kind == 'x' ? chain_json_hex(va_arg(*args, uint64_t)) : va_arg(*args, json_t *);
		good = good && put_json(out, value);
		if (kind != 'O')
			json_decref(value);
		return good;
	}
}

char *chain_json_object_text(int kind, va_list args, const char *last, json_int_t last_value, uint64_t *out_bytes)
{
	struct out out = { malloc(FIRST_BYTES), 0, FIRST_BYTES, NULL, UINT_MAX, false };
	va_list copy; /* an array type on some machines: only a copy of our own has an address of that type */
	bool good = out.text && put_char(&out, '{'), first = true;
	va_copy(copy, args);
	for (; kind; kind = va_arg(copy, int)) {
		const char *key = va_arg(copy, const char *);
		good = good && put_key(&out, key, strlen(key), first);
		good = put_kind(&out, kind, &copy, good);
		first = false;
	}
	va_end(copy);
	if (last)
		good = good && put_key(&out, last, strlen(last), first) && put_integer(&out, last_value);
	return finish(&out, good && put_char(&out, '}'), out_bytes);
}
