/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/error.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Texts behind each other with their zero bytes, so that there are no pointers to them: those would take a third as
 * much again. */
static const char slugs[] = "ok\0"
#define CHAIN_STATUS(name, slug, message, hint) slug "\0"
#include "chain/status.def"
#undef CHAIN_STATUS
			    "unknown";

/* `packed`: message and hint of each status from the first failure on, in which control characters and bytes from HIGH
 * on stand for one of the `pairs`, in this order. */
#include "chain/status_texts.h"
enum text { MESSAGE, HINT, TEXTS };
enum { PRINTABLE = 0x20, HIGH = 0x80 };
static_assert(sizeof(pairs) == sizeof(pairs[0]) * (PRINTABLE - 1 + 256 - HIGH), "a pair for each code");

static const uint8_t *text_at(const void *texts, size_t number)
{
	const char *at = texts;
	for (; number; number--)
		at += strlen(at) + 1;
	return (const uint8_t *)at;
}

static const uint8_t *packed_text(enum chain_status status, enum text which)
{
	if (!status || (unsigned)status >= CHAIN_STATUS_COUNT)
		return (const uint8_t *)(which == HINT ? "" : !status ? "no error" : "{s}: unknown status");
	return text_at(packed, (size_t)(status - 1) * TEXTS + which);
}

size_t chain_utf8_bytes(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned first = at[0];
	size_t bytes = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < bytes; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
	bool no_character = (first == 0xed && at[1] >= 0xa0) || (first == 0xf4 && at[1] >= 0x90);
	return overlong || no_character ? 0 : bytes;
}

bool chain_is_utf8(const char *text)
{
	while (*text) {
		size_t bytes = (unsigned char)*text < 0x80 ? 1 : chain_utf8_bytes(text);
		if (!bytes)
			return false;
		text += bytes;
	}
	return true;
}

/* Cuts loudly: a text that did not fit ends in "...". Names come from files: what is kept is UTF-8, so that it can be
 * written as JSON. */
static void copy_text(char out[CHAIN_SUBJECT_BYTES], const char *text)
{
	size_t bytes = text ? strnlen(text, CHAIN_SUBJECT_BYTES) : 0, used = 0;
	bool cut = bytes == CHAIN_SUBJECT_BYTES;
	size_t kept = cut ? CHAIN_SUBJECT_BYTES - 4 : bytes;
	while (used < kept) {
		size_t count = chain_utf8_bytes(text + used);
		if (count > kept - used)
			break;
		memcpy(out + used, count ? text + used : "?", count ? count : 1);
		used += count ? count : 1;
	}
	memcpy(out + used, cut ? "..." : "", cut ? 4 : 1);
}

enum chain_status chain_fail_four(struct chain_error *err, enum chain_status status, const char *subject,
				  const char *detail, uint64_t n0, uint64_t n1, uint64_t n2, uint64_t n3)
{
	if (!err || err->status)
		return status;
	err->status = status;
	copy_text(err->subject, subject);
	copy_text(err->detail, detail);
	err->number[0] = n0;
	err->number[1] = n1;
	err->number[2] = n2;
	err->number[3] = n3;
	return status;
}

enum chain_status chain_fail_again(struct chain_error *err, const struct chain_error *why, const char *subject)
{
	return chain_fail_four(err, why->status, subject ? subject : why->subject, why->detail, why->number[0],
			       why->number[1], why->number[2], why->number[3]);
}

enum chain_status chain_fail_subject(struct chain_error *err, enum chain_status status, const char *subject)
{
	return chain_fail_text(err, status, subject, NULL);
}

enum chain_status chain_fail_no_memory(struct chain_error *err, const char *subject, uint64_t bytes)
{
	return chain_fail_two(err, CHAIN_E_NO_MEMORY, subject, NULL, bytes, 0);
}

enum chain_status chain_fail_text(struct chain_error *err, enum chain_status status, const char *subject,
				  const char *detail)
{
	return chain_fail_four(err, status, subject, detail, 0, 0, 0, 0);
}

enum chain_status chain_fail_two(struct chain_error *err, enum chain_status status, const char *subject,
				 const char *detail, uint64_t n0, uint64_t n1)
{
	return chain_fail_four(err, status, subject, detail, n0, n1, 0, 0);
}

void chain_error_clear(struct chain_error *err)
{
	memset(err, 0, sizeof(*err));
}

const char *chain_status_slug(enum chain_status status)
{
	return (const char *)text_at(slugs,
				     (unsigned)status < CHAIN_STATUS_COUNT ? (size_t)status : CHAIN_STATUS_COUNT);
}

/* The first byte may be one, or begin one with the second. */
static bool is_control(unsigned char first, unsigned char second)
{
	return first < 0x20 || first == 0x7f || (first == 0xc2 && second >= 0x80 && second < 0xa0);
}

bool chain_text_has_control(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (is_control((unsigned char)text[i], i + 1 < bytes ? (unsigned char)text[i + 1] : 0))
			return true;
	return false;
}

struct sink {
	char *buf;
	size_t size, used; /* used counts what would have been written */
};

static void put(struct sink *sink, char c)
{
	if (sink->used + 1 < sink->size)
		sink->buf[sink->used] = c;
	sink->used++;
}

/* Names come from files: a control character in one must not reach a terminal or break the line. */
static void put_text(struct sink *sink, const char *text)
{
	for (; *text; text++) {
		bool control = is_control((unsigned char)text[0], (unsigned char)text[1]);
		put(sink, control ? '?' : *text);
		text += control && (unsigned char)*text == 0xc2;
	}
}

static void put_number(struct sink *sink, uint64_t value, unsigned base)
{
	char digits[20];
	size_t count = 0;
	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (base == 16)
		put_text(sink, "0x");
	while (count)
		put(sink, digits[--count]);
}

/* Puts what the placeholder at `text` ("{s}", "{d}", "{0}", "{x0}") stands for; returns its length, 0 when it is none.
 */
static size_t put_placeholder(struct sink *sink, const struct chain_error *err, const char *text)
{
	bool hex = text[1] == 'x';
	const char *name = text + 1 + hex;
	if (!*name || name[1] != '}')
		return 0;
	if (!hex && *name == 's')
		put_text(sink, err->subject);
	else if (!hex && *name == 'd')
		put_text(sink, err->detail);
	else if (*name >= '0' && *name < '0' + CHAIN_ERROR_NUMBERS)
		put_number(sink, err->number[*name - '0'], hex ? 16 : 10);
	else
		return 0;
	return hex ? 4 : 3;
}

static void put_code(struct sink *sink, uint8_t code)
{
	const bool text = code >= PRINTABLE && code < HIGH;
	const uint8_t *pair = pairs[text ? 0 : code < PRINTABLE ? code - 1 : code - HIGH + PRINTABLE - 1];
	if (text || !pair[0]) {
		put(sink, (char)code);
		return;
	}
	put_code(sink, pair[0]); /* made of bytes and of codes that were given away before */
	put_code(sink, pair[1]);
}

static void unpack(enum chain_status status, enum text which, char *buf, size_t size)
{
	struct sink sink = { buf, size, 0 };
	for (const uint8_t *at = packed_text(status, which); *at; at++)
		put_code(&sink, *at);
	if (size)
		buf[sink.used < size ? sink.used : size - 1] = '\0';
}

static size_t format(const struct chain_error *err, enum text which, char *buf, size_t size)
{
	char text[CHAIN_TEXT_BYTES];
	struct sink sink = { buf, size, 0 };
	unpack(err->status, which, text, sizeof(text));
	for (const char *at = text; *at;) {
		size_t taken = *at == '{' ? put_placeholder(&sink, err, at) : 0;
		if (!taken) {
			put(&sink, *at);
			taken = 1;
		}
		at += taken;
	}
	if (size)
		buf[sink.used < size ? sink.used : size - 1] = '\0';
	return sink.used;
}

size_t chain_error_format(const struct chain_error *err, char *buf, size_t size)
{
	return format(err, MESSAGE, buf, size);
}

size_t chain_error_hint(const struct chain_error *err, char *buf, size_t size)
{
	return format(err, HINT, buf, size);
}
