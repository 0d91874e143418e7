/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Each allocation of the writer and the checker fails in turn: a clean error, nothing leaked, no superblock written.
 * fs/build.mk links this program so that malloc, calloc and realloc of fs/ arrive in alloc_fail.h. */
#include "support.h"

#include "alloc_fail.h"
#include "fs/check.h"

enum { COUNT = 300 };
static char paths[COUNT][32];
static struct fs_spec specs[COUNT];

static void fill_specs(void)
{
	for (int i = 0; i < COUNT; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/%d/%d", i % 7, i);
		specs[i] =
			(struct fs_spec){ .path = paths[i], .type = FS_REGULAR, .size_bytes = 5, .cookie = paths[i] };
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

/* `ctx` has room for the whole image. */
static enum chain_status act_write(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct image *image = ctx;

	image->finished = false;
	image->ascended = 0;
	memset(image->bytes, 0, image->bytes_count);
	enum chain_status status = write_all(image, err);
	assert_int_equal(image->finished, status == CHAIN_OK);
	*out_sum = alloc_sum(0, image->bytes, image->bytes_count);
	return status;
}

static enum chain_status act_check(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	(void)out_sum;
	return fs_check(ctx, NULL, err);
}

static void sweep(alloc_act *act, void *ctx, long least)
{
	long at = 0, count = alloc_sweep(act, ctx, &at);

	if (count < least)
		fail_msg("when allocation %ld fails: %s (%ld in all)", at, alloc_state.why, count);
}

static void writer_without_memory(void **state)
{
	struct image image = { 0 }, *whole;

	(void)state;
	fill_specs();
	whole = image_of(specs, COUNT);
	image.bytes_count = whole->bytes_count;
	image_free(whole);
	image.bytes = calloc(1, image.bytes_count);
	assert_non_null(image.bytes);
	sweep(act_write, &image, 10);
	free(image.bytes);
}

static void checker_without_memory(void **state)
{
	struct image *image;
	struct fs fs;

	(void)state;
	fill_specs();
	image = image_of(specs, COUNT);
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, NULL), &(struct chain_error){ 0 });
	sweep(act_check, &fs, 6);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(writer_without_memory),
					    cmocka_unit_test(checker_without_memory) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
