/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Which block of a file or part is reported as damaged: each block of files of many sizes, in the file of an image and
 * where it was loaded. */
#include "bake_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { BLOCK = CHAIN_VERITY_BLOCK_BYTES, FILES = 12, LARGEST = 130 * BLOCK };
static const uint64_t sizes[FILES] = { 1,           BLOCK - 1,       BLOCK,      BLOCK + 1,
				       2 * BLOCK,   3 * BLOCK - 1,   8 * BLOCK,  9 * BLOCK + 5,
				       128 * BLOCK, 128 * BLOCK + 1, 15 * BLOCK, 700 };
static uint8_t stage[STAGE_FILE_BYTES];
static char paths[FILES][16], text[LARGEST + FILES];

static struct sink bake_files(void)
{
	struct fs_spec specs[FILES];
	struct sink sink = { 0 };
	struct chain_bake_result result;

	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/f%02zu", i);
		specs[i] = file_spec(paths[i], text + i);
		specs[i].size_bytes = sizes[i];
	}
	const struct chain_bake_request request = request_make(stage, specs, FILES, &sink);

	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	return sink;
}

static void is_reported(const struct chain_error *err, const char *subject, uint64_t number, uint64_t size)
{
	const uint64_t blocks = (size + BLOCK - 1) / BLOCK, start = (number - 1) * BLOCK;
	char wanted[128];

	if (number > 0)
		(void)snprintf(wanted, sizeof(wanted), "; block %llu of %llu is damaged, bytes %llu to %llu",
			       (unsigned long long)number, (unsigned long long)blocks, (unsigned long long)start,
			       (unsigned long long)(number == blocks ? size : start + BLOCK) - 1);
	else
		(void)snprintf(wanted, sizeof(wanted), "; more than one of its %llu blocks is damaged",
			       (unsigned long long)blocks);
	assert_int_equal(err->status, CHAIN_E_IMAGE_DIGEST);
	assert_string_equal(err->subject, subject);
	const char *at = strchr(err->detail, ';');

	assert_non_null(at);
	assert_string_equal(at, wanted);
}

static const uint8_t *place_of(struct chain_image *image, const char *path)
{
	const uint8_t *bytes;
	uint64_t count;

	assert_int_equal(chain_image_file(image, path, &bytes, &count, NULL, NULL), CHAIN_OK);
	return bytes;
}

/* By a look at everything, and by a look at that file. */
static void damage(struct chain_image *image, size_t file, uint8_t *at, uint64_t number)
{
	struct chain_error all = { 0 }, one = { 0 };
	const uint8_t *bytes;
	uint64_t count;

	*at ^= 16;
	assert_int_equal(chain_image_verify(image, NULL, NULL, &all), CHAIN_E_IMAGE_DIGEST);
	is_reported(&all, paths[file], number, sizes[file]);
	assert_int_equal(chain_image_file(image, paths[file], &bytes, &count, NULL, &one), CHAIN_E_IMAGE_DIGEST);
	is_reported(&one, paths[file], number, sizes[file]);
	*at ^= 16;
}

static void each_block(struct chain_image *image)
{
	for (size_t i = 0; i < FILES; i++) {
		uint8_t *bytes = (uint8_t *)(uintptr_t)place_of(image, paths[i]);

		for (uint64_t start = 0; start < sizes[i]; start += BLOCK) {
			const uint64_t end = start + BLOCK < sizes[i] ? start + BLOCK : sizes[i];

			damage(image, i, bytes + start, start / BLOCK + 1);
			damage(image, i, bytes + end - 1, start / BLOCK + 1);
			if (start == 0 || i > 7)
				continue;
			bytes[0] ^= 1; /* two at once */
			damage(image, i, bytes + start, 0);
			bytes[0] ^= 1;
		}
	}
}

static void files(void **state)
{
	(void)state;
	struct sink sink = bake_files();
	struct chain_image file, loaded;

	assert_int_equal(chain_image_open(&file, sink.bytes, sink.count, NULL), CHAIN_OK);
	each_block(&file);
	const struct chain_image_header h = file.header;
	uint8_t *memory = calloc(1, h.fs_offset + h.fs_memory_bytes);

	assert_non_null(memory);
	memcpy(memory + h.manifest_offset, sink.bytes + h.file_manifest, h.manifest_bytes);
	memcpy(memory + h.fs_offset, sink.bytes + h.file_fs, h.fs_bytes);
	assert_int_equal(chain_image_open_loaded(&loaded, memory, &h, NULL), CHAIN_OK);
	each_block(&loaded);
	free(memory);
	free(sink.bytes);
}

/* Each block of what the manifest calls a part; the header, whose id counts as zero, and what is looked at before any
 * digest are left out. */
static void parts(void **state)
{
	(void)state;
	struct sink sink = bake_files();
	struct chain_image image;
	struct chain_manifest_entry entry;
	uint64_t cursor = 0;
	unsigned seen = 0;

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	while (chain_manifest_next(&image, &cursor, &entry) && entry.kind == CHAIN_MANIFEST_PART) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%.*s", (int)entry.path_bytes, entry.path);
		for (uint64_t start = 0; start < entry.bytes; start += BLOCK, seen++) {
			const uint64_t end = start + BLOCK < entry.bytes ? start + BLOCK : entry.bytes;
			struct chain_error err = { 0 };
			struct chain_image again;

			sink.bytes[entry.offset + end - 1] ^= 1;
			if (chain_image_open(&again, sink.bytes, sink.count, &err) == CHAIN_OK)
				assert_int_equal(chain_image_verify(&again, NULL, NULL, &err), CHAIN_E_IMAGE_DIGEST);
			is_reported(&err, name, start / BLOCK + 1, entry.bytes);
			sink.bytes[entry.offset + end - 1] ^= 1;
		}
	}
	assert_true(seen >= 4);
	free(sink.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(parts),
	};

	stage_make(stage);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 23 + i / BLOCK % 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
