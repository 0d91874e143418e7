/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/print.h"

#include "stage/cpu.h"

#include <stdint.h>
#include <string.h>

struct out {
	char *at;
	size_t room, used; /* what did not fit is counted, too */
};

struct spec {
	bool left, zero, alternate, precise;
	char sign; /* what a number that is not negative begins with, or 0 */
	size_t width, precision;
};

static void put(struct out *out, const char *text, size_t count)
{
	if (!count)
		return;
	size_t left = out->used < out->room ? out->room - out->used - 1 : 0; /* the end has its place */
	if (left)
		memcpy(out->at + out->used, text, count < left ? count : left);
	out->used += count;
}

static void pad(struct out *out, char c, size_t from, size_t to)
{
	for (; from < to; from++)
		put(out, &c, 1);
}

/* `prefix` stands before the zeros. */
static void put_field(struct out *out, const struct spec *spec, const char *prefix, const char *digits, size_t count)
{
	size_t prefix_bytes = strlen(prefix), least = count, whole;
	if (spec->precise && spec->precision > least)
		least = spec->precision;
	else if (spec->zero && !spec->left && !spec->precise && spec->width > prefix_bytes + least)
		least = spec->width - prefix_bytes;
	whole = prefix_bytes + least;
	if (!spec->left)
		pad(out, ' ', whole, spec->width);
	put(out, prefix, prefix_bytes);
	pad(out, '0', count, least);
	put(out, digits, count);
	if (spec->left)
		pad(out, ' ', whole, spec->width);
}

static void put_number(struct out *out, const struct spec *spec, uint64_t value, unsigned base, bool negative,
		       bool upper)
{
	char digits[24], *end = digits + sizeof(digits), *at = end, sign[2] = { negative ? '-' : spec->sign, 0 };
	const char *prefix = base == 16 ? (spec->alternate && value ? upper ? "0X" : "0x" : "") : sign;
	for (uint64_t rest = value; rest; rest /= base)
		*--at = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[rest % base];
	if (!value && !(spec->precise && !spec->precision))
		*--at = '0';
	put_field(out, spec, prefix, at, (size_t)(end - at));
}

static void put_string(struct out *out, const struct spec *spec, const char *text)
{
	const struct spec plain = { .left = spec->left, .width = spec->width };
	if (!text)
		text = "(null)";
	put_field(out, &plain, "", text, spec->precise ? strnlen(text, spec->precision) : strlen(text));
}

static const char *read_flags(const char *at, struct spec *spec)
{
	for (;; at++) {
		if (*at == '-')
			spec->left = true;
		else if (*at == '0')
			spec->zero = true;
		else if (*at == '#')
			spec->alternate = true;
		else if (*at == '+')
			spec->sign = '+';
		else if (*at != ' ')
			return at;
		else if (!spec->sign)
			spec->sign = ' ';
	}
}

/* A number, or * for an argument. A negative one is given as it is: a flag for a width, nothing for a precision. */
static const char *read_count(const char *at, va_list *args, int64_t *out)
{
	if (*at == '*') {
		*out = va_arg(*args, int);
		return at + 1;
	}
	for (*out = 0; *at >= '0' && *at <= '9'; at++)
		*out = *out * 10 + (*at - '0');
	return at;
}

/* The argument's size in bytes, by the length modifier. */
static const char *read_length(const char *at, size_t *bytes)
{
	*bytes = sizeof(int);
	for (;; at++) {
		if (*at == 'h')
			*bytes /= 2;
		else if (*at == 'l' || *at == 'z' || *at == 'j' || *at == 't')
			*bytes = sizeof(long);
		else
			return at;
	}
}

static uint64_t take_unsigned(va_list *args, size_t bytes)
{
	if (bytes == sizeof(long))
		return va_arg(*args, unsigned long);
	return va_arg(*args, unsigned) & (UINT64_MAX >> (64 - 8 * bytes));
}

static int64_t take_signed(va_list *args, size_t bytes)
{
	if (bytes == sizeof(long))
		return va_arg(*args, long);
	int value = va_arg(*args, int);
	return bytes == 1 ? (signed char)value : bytes == 2 ? (short)value : value;
}

static void convert(struct out *out, char kind, struct spec *spec, size_t bytes, va_list *args)
{
	int64_t number;
	char c;
	switch (kind) {
	case 'd':
	case 'i':
		number = take_signed(args, bytes);
		put_number(out, spec, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10, number < 0, false);
		break;
	case 'u':
		spec->sign = 0;
		put_number(out, spec, take_unsigned(args, bytes), 10, false, false);
		break;
	case 'x':
	case 'X':
		put_number(out, spec, take_unsigned(args, bytes), 16, false, kind == 'X');
		break;
	case 'p':
		spec->alternate = true;
		put_number(out, spec, (uintptr_t)va_arg(*args, void *), 16, false, false);
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_field(out, &(struct spec){ .left = spec->left, .width = spec->width }, "", &c, 1);
		break;
	case 's':
		put_string(out, spec, va_arg(*args, const char *));
		break;
	case '%':
		put(out, "%", 1);
		break;
	default:
		stage_panic("a text with the conversion %%%c", kind);
	}
}

static const char *put_conversion(struct out *out, const char *at, va_list *args)
{
	struct spec spec = { .left = false };
	int64_t count;
	size_t bytes;
	at = read_count(read_flags(at, &spec), args, &count);
	spec.left |= count < 0;
	spec.width = (size_t)(count < 0 ? -count : count);
	if (*at == '.') {
		at = read_count(at + 1, args, &count);
		spec.precise = count >= 0;
		spec.precision = (size_t)count;
	}
	at = read_length(at, &bytes);
	convert(out, *at, &spec, bytes, args);
	return at + 1;
}

int stage_vsnprintf(char *restrict to, size_t room, const char *restrict format, va_list list)
{
	struct out out = { to, room, 0 };
	va_list args;
	va_copy(args, list);
	while (*format) {
		size_t plain = strcspn(format, "%");
		put(&out, format, plain);
		format += plain;
		if (*format)
			format = put_conversion(&out, format + 1, &args);
	}
	va_end(args);
	if (room)
		to[out.used < room ? out.used : room - 1] = '\0';
	return (int)out.used;
}

int stage_snprintf(char *restrict to, size_t room, const char *restrict format, ...)
{
	va_list args;
	va_start(args, format);
	int count = stage_vsnprintf(to, room, format, args);
	va_end(args);
	return count;
}
