/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the tests of fs/ share: making images in memory from specs whose cookie is their content, and running
 * tools. */
#ifndef FS_TESTS_SUPPORT_H
#define FS_TESTS_SUPPORT_H

#include "fs/erofs_format.h"
#include "fs/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct image {
	uint8_t *bytes;
	uint64_t bytes_count, meta_bytes;
	uint64_t ascended; /* where the last sink call but the final one ended */
	bool finished;
};

/* Shows what went wrong and fails the test. */
static inline void assert_ok(enum chain_status status, const struct chain_error *err)
{
	char text[512];

	if (status == CHAIN_OK)
		return;
	chain_error_format(err, text, sizeof(text));
	fail_msg("%s: %s", chain_status_slug(status), text);
}

static inline void assert_status(enum chain_status status, enum chain_status wanted)
{
	if (status != wanted)
		fail_msg("status is %s, not %s", chain_status_slug(status), chain_status_slug(wanted));
}

static inline enum chain_status source_from_cookie(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf,
						   size_t count, struct chain_error *err)
{
	(void)ctx;
	(void)err;
	assert_true(count <= 1024 * 1024 && offset + count <= spec->size_bytes);
	memcpy(buf, (const uint8_t *)spec->cookie + offset, count);
	return CHAIN_OK;
}

static inline enum chain_status sink_to_image(void *ctx, uint64_t offset, const void *buf, size_t count,
					      struct chain_error *err)
{
	struct image *image = ctx;

	(void)err;
	assert_false(image->finished);
	assert_true(count <= image->bytes_count && offset <= image->bytes_count - count);
	if (offset == 0)
		image->finished = true;
	else
		assert_true(offset >= image->ascended);
	image->ascended = offset + count;
	memcpy(image->bytes + offset, buf, count);
	return CHAIN_OK;
}

/* Lays out and emits into fresh memory; null when that fails, with the status in *out_status. */
static inline struct image *image_make(struct fs_writer *writer, enum chain_status *out_status, struct chain_error *err)
{
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	*out_status = fs_writer_layout(writer, err);
	if (*out_status == CHAIN_OK) {
		image->bytes_count = fs_writer_image_bytes(writer);
		image->meta_bytes = fs_writer_meta_bytes(writer);
		image->bytes = calloc(1, image->bytes_count);
		assert_non_null(image->bytes);
		*out_status = fs_writer_emit(writer, source_from_cookie, sink_to_image, NULL, image, err);
	}
	if (*out_status == CHAIN_OK) {
		assert_true(image->finished);
		return image;
	}
	free(image->bytes);
	free(image);
	return NULL;
}

static inline void image_free(struct image *image)
{
	if (!image)
		return;
	free(image->bytes);
	free(image);
}

static inline struct fs_writer *writer_of(const struct fs_spec *specs, size_t count)
{
	struct fs_writer *writer;
	struct chain_error err = { 0 };

	assert_ok(fs_writer_new(&writer, &err), &err);
	for (size_t i = 0; i < count; i++)
		assert_ok(fs_writer_add(writer, &specs[i], &err), &err);
	return writer;
}

static inline struct image *image_of(const struct fs_spec *specs, size_t count)
{
	struct chain_error err = { 0 };
	struct fs_writer *writer = writer_of(specs, count);
	enum chain_status status;
	struct image *image = image_make(writer, &status, &err);

	assert_ok(status, &err);
	fs_writer_free(writer);
	return image;
}

static inline bool tool_missing(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	if (system(command) == 0)
		return false;
	print_message("%s is not installed: skipped\n", name);
	return true;
}

/* A fresh directory below build/, or TMPDIR. */
static inline void make_scratch(char buf[256])
{
	const char *base = getenv("TMPDIR");

	snprintf(buf, 256, "%s/kchain-fs-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(buf));
}

static inline int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int run(const char *format, ...)
{
	char command[4096];
	va_list args;
	int count;

	va_start(args, format);
	count = vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_true(count > 0 && (size_t)count < sizeof(command));
	return system(command);
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

/* The whole file, with a terminator behind it. */
static inline uint8_t *load_file(const char *path, size_t *out_count)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	long count;

	if (!file)
		fail_msg("%s can't be opened", path);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	count = ftell(file);
	assert_true(count >= 0);
	rewind(file);
	bytes = calloc(1, (size_t)count + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)count, file), (size_t)count);
	fclose(file);
	*out_count = (size_t)count;
	return bytes;
}

/* xorshift64*: the same on every machine. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

#endif
