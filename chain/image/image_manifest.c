/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The manifest's text (image_format.h): one strict pass over all lines when an image is opened, then walks and binary
 * searches that may rely on it. */
#include "image_internal.h"

#include <assert.h>
#include <string.h>

const char *const image_part_names[IMAGE_PART_COUNT] = { "elf", "stage", "fs-meta", "sections" };

struct line {
	const char *at, *end; /* what of the line is not yet read; the newline is not part of it */
};

static bool take_word(struct line *line, const char *word)
{
	const size_t count = strlen(word);

	if ((size_t)(line->end - line->at) < count || memcmp(line->at, word, count) != 0)
		return false;
	line->at += count;
	return true;
}

/* One digit of a number in lower case, the one way to write it, so that the same contents have the same id; -1 for
 * anything else. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(struct line *line, uint8_t *out, size_t bytes)
{
	if ((size_t)(line->end - line->at) < 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++, line->at += 2) {
		const int byte = hex_digit(line->at[0]) * 16 | hex_digit(line->at[1]);

		if (byte < 0)
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

static bool take_digest(struct line *line, struct chain_digest *out)
{
	return take_hex(line, out->bytes, sizeof(out->bytes));
}

static bool take_number(struct line *line, uint64_t *out)
{
	const char *start = line->at;
	uint64_t value = 0;

	while (line->at < line->end && *line->at >= '0' && *line->at <= '9') {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*line->at - '0'), &value))
			return false;
		line->at++;
	}
	*out = value;
	return line->at > start && (*start != '0' || line->at == start + 1);
}

/* A space and a locator, where the line has to have one. */
static bool take_locator(const struct chain_image *image, struct line *line, struct chain_manifest_entry *out)
{
	if (!image->locates || out->bytes <= CHAIN_VERITY_BLOCK_BYTES)
		return true;
	return take_word(line, " ") && take_hex(line, out->locator, sizeof(out->locator));
}

static bool take_part(const struct chain_image *image, struct line *line, struct chain_manifest_entry *out)
{
	const char *space = memchr(line->at, ' ', (size_t)(line->end - line->at));

	if (!space)
		return false;
	out->kind = CHAIN_MANIFEST_PART;
	out->path = line->at;
	out->path_bytes = (size_t)(space - line->at);
	line->at = space;
	return take_word(line, " ") && take_digest(line, &out->digest) && take_word(line, " ") &&
	       take_number(line, &out->offset) && take_word(line, " ") && take_number(line, &out->bytes) &&
	       take_locator(image, line, out) && line->at == line->end;
}

/* A path is looked for by its components, so there is one way to write it: none of them is empty, "." or "..". */
static bool path_is_plain(const char *path, size_t bytes)
{
	for (size_t at = 0, end; at < bytes; at = end) {
		const char *name = path + at + 1, *slash = memchr(name, '/', bytes - at - 1);
		const size_t count = slash ? (size_t)(slash - name) : bytes - at - 1;

		if (count == 0 || (count == 1 && name[0] == '.') || (count == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		end = at + 1 + count;
	}
	return true;
}

static bool take_entry(const struct chain_image *image, struct line *line, struct chain_manifest_entry *out)
{
	out->offset = 0;
	if (!take_digest(line, &out->digest) || !take_word(line, " ") || !take_number(line, &out->bytes) ||
	    (out->kind == CHAIN_MANIFEST_FILE && !take_locator(image, line, out)) || !take_word(line, " ") ||
	    line->end - line->at < 2 || *line->at != '/')
		return false;
	out->path = line->at;
	out->path_bytes = (size_t)(line->end - line->at);
	if (chain_text_has_control(out->path, out->path_bytes))
		return false;
	return path_is_plain(out->path, out->path_bytes);
}

static bool line_parse(const struct chain_image *image, uint64_t *cursor, struct chain_manifest_entry *out)
{
	const char *text = image->manifest;
	const uint64_t bytes = image->manifest_bytes;
	const char *start = text + *cursor;
	const char *newline = *cursor < bytes ? memchr(start, '\n', (size_t)(bytes - *cursor)) : NULL;
	struct line line = { start, newline };

	if (!newline)
		return false;
	*cursor += (uint64_t)(newline - start) + 1;
	out->digest.kind = image->digests;
	if (take_word(&line, "part "))
		return take_part(image, &line, out);
	out->kind = CHAIN_MANIFEST_FILE;
	if (take_word(&line, "file "))
		return take_entry(image, &line, out);
	out->kind = CHAIN_MANIFEST_LINK;
	out->digest.kind = CHAIN_DIGEST_SHA256;
	return take_word(&line, "link ") && take_entry(image, &line, out);
}

static int path_compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

	if (order != 0)
		return order;
	return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static enum chain_status malformed(struct chain_error *err, uint64_t line, const char *what)
{
	return CHAIN_FAIL(err, MANIFEST_MALFORMED, .subject = "manifest", .detail = what, .line = line);
}

/* What the version of the header means for the lines, and that the first one says the same. */
static enum chain_status first_line_check(struct chain_image *image, struct chain_error *err)
{
	const size_t bytes = sizeof(CHAIN_MANIFEST_FIRST_LINE) - 1;
	const uint32_t version = image->header.version;
	char wanted[] = CHAIN_MANIFEST_FIRST_LINE, detail[] = "it should be \"kchain-manifest ?\"";

	image->digests = version == CHAIN_IMAGE_VERSION_SHA256 ? CHAIN_DIGEST_SHA256 : CHAIN_DIGEST_FSVERITY;
	image->locates = version >= CHAIN_IMAGE_VERSION_LOCATED;
	wanted[CHAIN_MANIFEST_VERSION_AT] = detail[sizeof(detail) - 3] = (char)('0' + version);
	if (image->manifest_bytes >= bytes && memcmp(image->manifest, wanted, bytes) == 0)
		return CHAIN_OK;
	return malformed(err, 1, detail);
}

enum chain_status image_manifest_check(struct chain_image *image, struct chain_manifest_entry parts[IMAGE_PART_COUNT],
				       struct chain_error *err)
{
	const uint64_t first = sizeof(CHAIN_MANIFEST_FIRST_LINE) - 1;
	struct chain_manifest_entry entry, before = { .path_bytes = 0 };
	uint64_t cursor = first, line = 2;

	const enum chain_status status = first_line_check(image, err);

	if (status)
		return status;
	for (size_t i = 0; i < IMAGE_PART_COUNT; i++, line++) {
		if (!line_parse(image, &cursor, &parts[i]) || parts[i].kind != CHAIN_MANIFEST_PART ||
		    parts[i].path_bytes != strlen(image_part_names[i]) ||
		    memcmp(parts[i].path, image_part_names[i], parts[i].path_bytes) != 0)
			return malformed(err, line,
					 "a part was expected: elf, stage, fs-meta, sections, in this order");
	}
	image->entries_at = cursor;
	image->entry_count = 0;
	for (; cursor < image->manifest_bytes; line++, before = entry, image->entry_count++) {
		if (!line_parse(image, &cursor, &entry) || entry.kind == CHAIN_MANIFEST_PART)
			return malformed(err, line, "neither a file nor a link");
		if (before.path_bytes > 0 &&
		    path_compare(before.path, before.path_bytes, entry.path, entry.path_bytes) >= 0)
			return malformed(err, line, "not behind the path before it");
	}
	return CHAIN_OK;
}

bool chain_manifest_next(const struct chain_image *image, uint64_t *cursor, struct chain_manifest_entry *out)
{
	if (*cursor == 0)
		*cursor = sizeof(CHAIN_MANIFEST_FIRST_LINE) - 1;
	return line_parse(image, cursor, out);
}

/* The path of a file's or link's line [start, end); the check has seen all of it. A search looks at many lines and
 * needs no more of them. */
static bool line_path(const char *start, const char *end, const char **out, size_t *out_bytes)
{
	const size_t before = sizeof("file ") - 1 + CHAIN_SHA256_HEX + sizeof(" ") - 1;
	const char *space =
		(size_t)(end - start) > before ? memchr(start + before, ' ', (size_t)(end - start) - before) : NULL;

	if (!space)
		return false;
	/* a path begins with a slash, a locator before it does not */
	if (space + 1 < end && space[1] != '/')
		space = memchr(space + 1, ' ', (size_t)(end - space) - 1);
	if (!space)
		return false;
	*out = space + 1;
	*out_bytes = (size_t)(end - *out);
	return true;
}

static bool find(const struct chain_image *image, const char *path, size_t path_bytes, struct chain_manifest_entry *out)
{
	uint64_t low = image->entries_at, high = image->manifest_bytes; /* both at the start of a line */

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		while (middle > low && image->manifest[middle - 1] != '\n')
			middle--;
		const char *start = image->manifest + middle,
			   *newline = memchr(start, '\n', (size_t)(image->manifest_bytes - middle)), *there;
		size_t there_bytes;

		if (!newline || !line_path(start, newline, &there, &there_bytes))
			return false;
		const int order = path_compare(path, path_bytes, there, there_bytes);

		if (order == 0)
			return line_parse(image, &middle, out);
		if (order < 0)
			high = middle;
		else
			low = (uint64_t)(newline - image->manifest) + 1;
	}
	return false;
}

enum chain_status chain_manifest_find(const struct chain_image *image, const char *path,
				      struct chain_manifest_entry *out, struct chain_error *err)
{
	if (!find(image, path, strlen(path), out))
		return chain_fail_subject(err, CHAIN_E_MANIFEST_NO_ENTRY, path);
	return CHAIN_OK;
}

bool image_is_pipeline(const struct chain_manifest_entry *entry)
{
	return entry->kind == CHAIN_MANIFEST_FILE && entry->path_bytes == sizeof(CHAIN_FS_PIPELINE) - 1 &&
	       memcmp(entry->path, CHAIN_FS_PIPELINE, sizeof(CHAIN_FS_PIPELINE) - 1) == 0;
}

enum chain_status image_path_copy(const struct chain_manifest_entry *entry, char out[CHAIN_IMAGE_PATH_BYTES],
				  struct chain_error *err)
{
	if (entry->path_bytes >= CHAIN_IMAGE_PATH_BYTES)
		return CHAIN_FAIL(err, LIMIT, .subject = "manifest", .detail = "bytes of path",
				  .value = entry->path_bytes, .limit = CHAIN_IMAGE_PATH_BYTES - 1);
	memcpy(out, entry->path, entry->path_bytes);
	out[entry->path_bytes] = '\0';
	return CHAIN_OK;
}
