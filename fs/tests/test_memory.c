/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Each allocation of the writer and the checker fails in turn: a clean error, nothing leaked, no superblock written.
 * fs/build.mk links this program so that malloc, calloc and realloc of fs/ arrive here. */
#include "support.h"

#include "fs/check.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static int allocations_left = -1; /* before one fails; -1: none does */

static bool fails(void)
{
	if (allocations_left < 0)
		return false;
	if (allocations_left == 0)
		return true;
	allocations_left--;
	return false;
}

void *__wrap_malloc(size_t bytes) { return fails() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t count, size_t bytes) { return fails() ? NULL : __real_calloc(count, bytes); }
void *__wrap_realloc(void *old, size_t bytes) { return fails() ? NULL : __real_realloc(old, bytes); }

enum { COUNT = 300 };
static char paths[COUNT][32];
static struct fs_spec specs[COUNT];

static void fill_specs(void)
{
	for (int i = 0; i < COUNT; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/%d/%d", i % 7, i);
		specs[i] = (struct fs_spec){ .path = paths[i], .type = FS_REGULAR, .size_bytes = 5, .cookie = paths[i] };
	}
}

static enum chain_status write_all(struct image *image, struct chain_error *err)
{
	struct fs_writer *writer;
	enum chain_status status = fs_writer_new(&writer, err);

	if (status != CHAIN_OK)
		return status;
	for (size_t i = 0; status == CHAIN_OK && i < COUNT; i++)
		status = fs_writer_add(writer, &specs[i], err);
	if (status == CHAIN_OK)
		status = fs_writer_layout(writer, err);
	if (status == CHAIN_OK && fs_writer_image_bytes(writer) == image->bytes_count)
		status = fs_writer_emit(writer, source_from_cookie, sink_to_image, NULL, image, err);
	fs_writer_free(writer);
	return status;
}

static void writer_without_memory(void **state)
{
	struct image image = { 0 };
	int failures = 0;
	enum chain_status status;

	(void)state;
	fill_specs();
	image.bytes_count = 0;
	{
		struct image *whole = image_of(specs, COUNT);

		image.bytes_count = whole->bytes_count;
		image_free(whole);
	}
	image.bytes = calloc(1, image.bytes_count);
	assert_non_null(image.bytes);
	do {
		struct chain_error err = { 0 };

		image.finished = false;
		image.ascended = 0;
		allocations_left = failures;
		status = write_all(&image, &err);
		allocations_left = -1;
		assert_int_equal(status, err.status);
		assert_int_equal(image.finished, status == CHAIN_OK);
		if (status != CHAIN_OK)
			assert_status(status, CHAIN_E_NO_MEMORY);
	} while (status != CHAIN_OK && ++failures < 1000);
	assert_true(failures >= 10 && failures < 1000);
	free(image.bytes);
}

static void checker_without_memory(void **state)
{
	struct image *image;
	struct fs fs;
	int failures = 0;
	enum chain_status status;

	(void)state;
	fill_specs();
	image = image_of(specs, COUNT);
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, NULL), &(struct chain_error){ 0 });
	do {
		struct chain_error err = { 0 };

		allocations_left = failures;
		status = fs_check(&fs, NULL, &err);
		allocations_left = -1;
		assert_int_equal(status, err.status);
		if (status != CHAIN_OK)
			assert_status(status, CHAIN_E_NO_MEMORY);
	} while (status != CHAIN_OK && ++failures < 1000);
	assert_true(failures >= 6 && failures < 1000);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(writer_without_memory), cmocka_unit_test(checker_without_memory) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
