/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The manifest's text. Its size depends on sizes and paths alone, so it has its place before any digest is known. */
#include "bake_internal.h"

#include <string.h>

struct text {
	char *out; /* null: measuring */
	uint64_t count;
};

static void put(struct text *text, const char *bytes, size_t count)
{
	if (text->out)
		memcpy(text->out + text->count, bytes, count);
	text->count += count;
}

static void put_text(struct text *text, const char *s)
{
	put(text, s, strlen(s));
}

static void put_number(struct text *text, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put_text(text, " ");
	put(text, digits + at, sizeof(digits) - at);
}

/* Of what has one block there is nothing to locate. */
static void put_locator(struct text *text, uint64_t bytes, const uint8_t *digest)
{
	char hex[2 * CHAIN_LOCATOR_BYTES + 1];

	if (bytes <= CHAIN_VERITY_BLOCK_BYTES)
		return;
	put_text(text, " ");
	if (text->out)
		chain_hex_of(digest + CHAIN_SHA256_BYTES, CHAIN_LOCATOR_BYTES, hex);
	put(text, hex, 2 * CHAIN_LOCATOR_BYTES);
}

static void put_digest(struct text *text, const uint8_t digest[CHAIN_SHA256_BYTES])
{
	char hex[CHAIN_SHA256_HEX + 1];

	if (text->out)
		chain_sha256_to_hex(digest, hex);
	else
		memset(hex, '0', sizeof(hex));
	put(text, hex, CHAIN_SHA256_HEX);
}

uint64_t bake_manifest_write(const struct bake_part_line parts[BAKE_PART_LINES], const struct bake_entry *entries,
			     size_t count, char *out)
{
	struct text text = { out, 0 };

	put_text(&text, CHAIN_MANIFEST_FIRST_LINE);
	for (size_t i = 0; i < BAKE_PART_LINES; i++) {
		put_text(&text, "part ");
		put_text(&text, parts[i].name);
		put_text(&text, " ");
		put_digest(&text, parts[i].digest);
		put_number(&text, parts[i].offset);
		put_number(&text, parts[i].bytes);
		put_locator(&text, parts[i].bytes, parts[i].digest);
		put_text(&text, "\n");
	}
	for (size_t i = 0; i < count; i++) {
		put_text(&text, entries[i].link ? "link " : "file ");
		put_digest(&text, entries[i].digest);
		put_number(&text, entries[i].bytes);
		if (!entries[i].link)
			put_locator(&text, entries[i].bytes, entries[i].digest);
		put_text(&text, " ");
		put_text(&text, entries[i].path);
		put_text(&text, "\n");
	}
	return text.count;
}
