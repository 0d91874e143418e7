/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* strtod and strtol and their like for the stage, which reads decimal fractions and no others: musl's, which know hexadecimal fractions,
 * infinities and long doubles as well, take nine kilobytes. As C11 7.22.1.3 and 7.22.1.4 say it otherwise; reals to the nearest, exactly
 * (IEEE 754 section 5.12.2). */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A whole number of any size that occurs here; 768 digits decide how a double is rounded, and one that is not zero behind them. */
enum { WORDS = 256, DIGITS_MAX = 800, EXPONENT_MAX = 100000 };
struct big {
	uint32_t word[WORDS];
	size_t count;
};

static void multiply_add(struct big *big, uint32_t factor, uint32_t add)
{
	uint64_t carry = add;
	for (size_t i = 0; i < big->count || carry; i++) {
		if (i == big->count)
			big->word[big->count++] = 0;
		carry += (uint64_t)big->word[i] * factor;
		big->word[i] = (uint32_t)carry;
		carry >>= 32;
	}
}

/* Whether there was a rest. */
static bool divide(struct big *big, uint32_t by)
{
	uint64_t rest = 0;
	for (size_t i = big->count; i-- > 0;) {
		rest = rest << 32 | big->word[i];
		big->word[i] = (uint32_t)(rest / by);
		rest %= by;
	}
	while (big->count && !big->word[big->count - 1])
		big->count--;
	return rest;
}

static bool bit(const struct big *big, long at)
{
	return at >= 0 && big->word[at / 32] >> (at % 32) & 1;
}

struct decimal {
	struct big digits;
	long exponent; /* of ten */
	bool more;     /* something behind the digits that is not zero */
};

/* Digits, and a point among them; null where there is no digit. */
static const char *read_digits(const char *at, struct decimal *out)
{
	bool any = false, point = false;
	size_t kept = 0;
	for (;; at++) {
		if (*at == '.' && !point) {
			point = true;
			continue;
		}
		if (!isdigit((unsigned char)*at))
			return any ? at : NULL;
		any = true;
		if (kept < DIGITS_MAX) {
			multiply_add(&out->digits, 10, (uint32_t)(*at - '0'));
			kept += out->digits.count > 0;
			out->exponent -= point;
		} else {
			out->more |= *at != '0';
			out->exponent += !point;
		}
	}
}

static const char *read_exponent(const char *at, struct decimal *out)
{
	if ((*at | 0x20) != 'e')
		return at;
	const char *digit = at + 1 + (at[1] == '+' || at[1] == '-');
	long exponent = 0;
	if (!isdigit((unsigned char)*digit))
		return at;
	for (; isdigit((unsigned char)*digit); digit++)
		if (exponent < EXPONENT_MAX)
			exponent = exponent * 10 + (*digit - '0');
	out->exponent += at[1] == '-' ? -exponent : exponent;
	return digit;
}

/* `big` over two to the power of `scale`, to the nearest double; in the middle, if `more` does not tell, to the even one. */
static double round_big(const struct big *big, long scale, bool more)
{
	enum { MANTISSA = 53, LEAST = -1022, MOST = 1023 };
	long top = (long)big->count * 32 - 1;
	while (!bit(big, top))
		top--;
	long exponent = top - scale, kept = exponent < LEAST ? MANTISSA - (LEAST - exponent) : MANTISSA;
	uint64_t bits = 0;
	double value;
	if (kept < 0)
		kept = -1; /* below half of the least one */
	for (long i = 0; i < kept; i++)
		bits = bits << 1 | bit(big, top - i);
	for (long i = top - kept - 1; !more && i >= 0; i--)
		more = bit(big, i);
	bits += kept >= 0 && bit(big, top - kept) && (more || bits & 1);
	if (exponent >= LEAST)
		bits += (uint64_t)(exponent - LEAST) << (MANTISSA - 1); /* the mantissa's first bit is one of the exponent's */
	if (exponent > MOST || bits >= (uint64_t)0x7ff << (MANTISSA - 1))
		return HUGE_VAL;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double value_of(struct decimal *d)
{
	enum { MOST = 400, LEAST = -1200 }; /* with up to DIGITS_MAX digits: infinite, and zero */
	if (!d->digits.count)
		return 0;
	if (d->exponent > MOST)
		return HUGE_VAL;
	if (d->exponent < LEAST)
		return 0;
	for (; d->exponent > 0; d->exponent--)
		multiply_add(&d->digits, 10, 0);
	/* 53 bits and more have to be left: a power of ten takes 3.33 of them at most */
	size_t words = d->exponent ? (size_t)-d->exponent / 9 + 3 : 0;
	memmove(d->digits.word + words, d->digits.word, d->digits.count * sizeof(uint32_t));
	memset(d->digits.word, 0, words * sizeof(uint32_t));
	d->digits.count += words;
	for (; d->exponent <= -9; d->exponent += 9)
		d->more |= divide(&d->digits, 1000000000);
	for (; d->exponent < 0; d->exponent++)
		d->more |= divide(&d->digits, 10);
	return round_big(&d->digits, (long)words * 32, d->more);
}

double strtod(const char *restrict text, char **restrict end)
{
	struct decimal decimal = { .exponent = 0 };
	const char *at = text;
	while (isspace((unsigned char)*at))
		at++;
	const bool negative = *at == '-';
	at = read_digits(at + (negative || *at == '+'), &decimal);
	if (at)
		at = read_exponent(at, &decimal);
	if (end)
		*end = (char *)(uintptr_t)(at ? at : text);
	if (!at)
		return 0;
	double value = value_of(&decimal);
	if (isinf(value) || (value < 0x1p-1022 && decimal.digits.count))
		errno = ERANGE;
	return negative ? -value : value;
}

static unsigned digit_of(char c)
{
	return isdigit((unsigned char)c) ? (unsigned)(c - '0') : isalpha((unsigned char)c) ? (unsigned)((c | 0x20) - 'a') + 10 : 99;
}

static unsigned long long read_whole(const char *text, char **end, unsigned base, bool is_signed)
{
	unsigned long long value = 0;
	const char *at = text, *last = text;
	bool over = false;
	while (isspace((unsigned char)*at))
		at++;
	const bool negative = *at == '-';
	const unsigned long long most = is_signed ? (unsigned long long)LLONG_MAX + negative : ULLONG_MAX;
	at += negative || *at == '+';
	if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 0x20) == 'x' && digit_of(at[2]) < 16) {
		at += 2;
		base = 16;
	}
	if (base == 0)
		base = *at == '0' ? 8 : 10;
	for (; digit_of(*at) < base; last = ++at)
		over |= __builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit_of(*at), &value);
	if (end)
		*end = (char *)(uintptr_t)last;
	if (over || value > most) {
		errno = ERANGE;
		return most;
	}
	return negative ? 0 - value : value;
}

unsigned long long strtoull(const char *restrict text, char **restrict end, int base)
{
	return read_whole(text, end, (unsigned)base, false);
}

unsigned long strtoul(const char *restrict text, char **restrict end, int base)
{
	return strtoull(text, end, base);
}

long long strtoll(const char *restrict text, char **restrict end, int base)
{
	return (long long)read_whole(text, end, (unsigned)base, true);
}

long strtol(const char *restrict text, char **restrict end, int base)
{
	return (long)strtoll(text, end, base);
}
