/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct text {
	const char *at;
	uint64_t bytes;
};

/* Zero behind the end. */
static char char_at(const struct text *text, uint64_t offset)
{
	return offset < text->bytes ? text->at[offset] : '\0';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static uint64_t skip_blanks(const struct text *text, uint64_t at)
{
	while (is_blank(char_at(text, at)))
		at++;
	return at;
}

/* From its opening quote to behind its closing one. */
static uint64_t skip_string(const struct text *text, uint64_t at)
{
	for (at++; at < text->bytes && text->at[at] != '"'; at++)
		at += text->at[at] == '\\';
	return at < text->bytes ? at + 1 : text->bytes;
}

static uint64_t skip_value(const struct text *text, uint64_t at)
{
	uint64_t depth = 0;
	do {
		char c = char_at(text, at);
		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		if (!depth && (c == ',' || c == '}' || c == ']' || c == ':'))
			return at;
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		at++;
		if (!depth && (c == '}' || c == ']'))
			return at;
	} while (at < text->bytes && (depth || !is_blank(text->at[at])));
	return at;
}

/* --- keys --- */

/* A text's bytes one by one, whatever stands for them. */
struct bytes {
	const char *at, *end;
	bool json, quoted; /* with JSON's escapes; with a path's */
	char waiting[3];   /* the rest of a character that was written as \u, the last byte first */
	unsigned waiting_count;
};

static unsigned hex4(const char *at, const char *end)
{
	char digits[5] = "";
	if (end - at < 4)
		return 0xfffd;
	memcpy(digits, at, 4);
	return (unsigned)strtoul(digits, NULL, 16);
}

/* \uXXXX, or two of them for one character; `at` is behind the first u. RFC 8259 section 7, RFC 3629 section 3. */
static int next_escaped(struct bytes *from)
{
	unsigned c = hex4(from->at, from->end), low;
	from->at += from->end - from->at < 4 ? from->end - from->at : 4;
	if (c >= 0xd800 && c < 0xdc00 && from->end - from->at >= 6 && from->at[0] == '\\' && from->at[1] == 'u' &&
	    (low = hex4(from->at + 2, from->end)) >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		from->at += 6;
	}
	if (c < 0x80)
		return (int)c;
	static const unsigned first[] = { 0, 0xc0, 0xe0, 0xf0 };
	unsigned rest = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	for (from->waiting_count = 0; from->waiting_count < rest; c >>= 6)
		from->waiting[from->waiting_count++] = (char)(0x80 | (c & 0x3f));
	return (int)(first[rest] | c);
}

/* -1 at the end. */
static int next_byte(struct bytes *from)
{
	static const char escapes[] = "b\bf\fn\nr\rt\t";
	if (from->waiting_count)
		return (unsigned char)from->waiting[--from->waiting_count];
	if (from->at >= from->end)
		return -1;
	bool escaped = (from->json || from->quoted) && *from->at == '\\' && from->at + 1 < from->end;
	from->at += escaped;
	unsigned char c = (unsigned char)*from->at++;
	if (!escaped || !from->json)
		return c;
	if (c == 'u')
		return next_escaped(from);
	for (const char *escape = escapes; *escape; escape += 2)
		if (*escape == (char)c)
			return (unsigned char)escape[1];
	return c;
}

static bool is_same(struct bytes a, struct bytes b)
{
	int byte;
	do {
		byte = next_byte(&a);
		if (byte != next_byte(&b))
			return false;
	} while (byte >= 0);
	return true;
}

/* --- the path's pieces --- */

struct piece {
	bool is_index;
	uint64_t index;
	struct bytes key;
};

/* Takes the next piece off the path; false: there is none, or the rest was cut off. */
static bool next_piece(const char **path, struct piece *out)
{
	const char *at = *path;
	*out = (struct piece){ 0 };
	if (!*at || !strncmp(at, "...", 3))
		return false;
	if (*at == '[' && at[1] != '"') {
		char *end;
		out->is_index = true;
		out->index = strtoull(at + 1, &end, 10);
		*path = end + (*end == ']');
		return true;
	}
	bool quoted = *at == '[';
	at += quoted ? 2 : *at == '.';
	out->key = (struct bytes){ .at = at, .quoted = quoted };
	if (!quoted)
		at += strcspn(at, ".[");
	else
		while (*at && *at != '"')
			at += *at == '\\' && at[1] ? 2 : 1;
	out->key.end = at;
	*path = at + (quoted && *at == '"') + (quoted && *at == '"' && at[1] == ']');
	return true;
}

/* --- the way down --- */

/* Goes from the object at place->value_offset to one of its members. */
static bool enter_member(const struct text *text, const struct piece *piece, struct chain_json_place *place)
{
	uint64_t at = skip_blanks(text, place->value_offset + 1);
	while (char_at(text, at) == '"') {
		uint64_t key = at, end = skip_string(text, at);
		at = skip_blanks(text, end);
		at = skip_blanks(text, at + (char_at(text, at) == ':'));
		struct bytes name = { .at = text->at + key + 1, .end = text->at + end - (end > key + 1), .json = true };
		if (is_same(name, piece->key)) {
			*place = (struct chain_json_place){ .offset = key, .value_offset = at };
			return true;
		}
		at = skip_blanks(text, skip_value(text, at));
		at = skip_blanks(text, at + (char_at(text, at) == ','));
	}
	return false;
}

static bool enter_element(const struct text *text, const struct piece *piece, struct chain_json_place *place)
{
	uint64_t at = skip_blanks(text, place->value_offset + 1);
	for (uint64_t i = 0; at < text->bytes && text->at[at] != ']'; i++) {
		if (i == piece->index) {
			*place = (struct chain_json_place){ .offset = at, .value_offset = at };
			return true;
		}
		uint64_t end = skip_blanks(text, skip_value(text, at));
		if (char_at(text, end) != ',')
			return false;
		at = skip_blanks(text, end + 1);
	}
	return false;
}

static void count_lines(const struct text *text, struct chain_json_place *place)
{
	place->line = place->column = 1;
	for (uint64_t i = 0; i < place->offset; i++) {
		if (text->at[i] == '\n') {
			place->line++;
			place->column = 1;
		} else if ((text->at[i] & 0xc0) != 0x80) {
			place->column++;
		}
	}
}

struct chain_json_place chain_json_find(const char *text_at, uint64_t bytes, const char *path)
{
	const struct text text = { text_at, bytes };
	struct chain_json_place place = { 0 };
	struct piece piece;
	bool found = true;
	place.offset = place.value_offset = skip_blanks(&text, 0);
	while (found && next_piece(&path, &piece)) {
		char c = char_at(&text, place.value_offset);
		found = c == '{' && !piece.is_index ? enter_member(&text, &piece, &place) :
			c == '[' && piece.is_index  ? enter_element(&text, &piece, &place) :
						      false;
	}
	if (place.offset > bytes)
		place.offset = bytes;
	count_lines(&text, &place);
	return place;
}
