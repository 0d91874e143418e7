/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What `kchain bake` writes takes no room for zeros, however they come: written, or copied from files with holes; and
 * has the bytes that a file without holes would have. */
#include "bake_folder.h"
#include "random.h"

#include <fcntl.h>

enum { BLOCK = 4096, PIECES = 60, ROOM = 2 << 20 };
static uint8_t wanted[ROOM], source[ROOM], got[ROOM];

static int out_make(void **state)
{
	(void)state;
	return folder_make("in/z", "in/kernel") ? 0 : -1;
}

static uint64_t blocks_of(int fd)
{
	struct stat about;

	assert_int_equal(fstat(fd, &about), 0);
	return (uint64_t)about.st_blocks * 512 / BLOCK;
}

/* Blocks that are not all zero. */
static uint64_t blocks_needed(const uint8_t *bytes, uint64_t count)
{
	uint64_t blocks = 0;

	for (uint64_t at = 0; at < count; at += BLOCK) {
		const uint64_t size = count - at < BLOCK ? count - at : BLOCK;
		bool zero = true;

		for (uint64_t i = 0; i < size; i++)
			zero = zero && bytes[at + i] == 0;
		blocks += !zero;
	}
	return blocks;
}

/* Runs of data and of zeros, most of which begin and end at no block. */
static void bytes_make(uint8_t *bytes, uint64_t count)
{
	for (uint64_t at = 0; at < count;) {
		uint64_t run = rnd(3) ? rnd(40000) + 1 : (rnd(8) + 1) * BLOCK;
		const int data = rnd(2) != 0;

		run = run < count - at ? run : count - at;
		for (uint64_t i = 0; i < run; i++)
			bytes[at + i] = data && rnd(20) ? (uint8_t)rnd(256) : 0;
		at += run;
	}
}

static void assert_out(const char *path, uint64_t count)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat about;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &about), 0);
	assert_int_equal(about.st_size, count);
	assert_int_equal(pread(fd, got, ROOM, 0), count);
	assert_memory_equal(got, wanted, count);
	(void)close(fd);
}

static void out_open(struct bake_out *out, const char *path)
{
	assert_int_equal(bake_out_open(out, path, false, NULL), CHAIN_OK);
}

/* In ascending pieces as the writer makes them, and one in front of them all at the end. */
static void zeros_that_are_written(void **state)
{
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("out/written"));
	for (int round = 0; round < 12; round++) {
		const uint64_t size = round == 0 ? ROOM : rnd(ROOM - BLOCK - 1) + BLOCK + 1;
		struct bake_out out;

		bytes_make(wanted, size);
		out_open(&out, path);
		for (uint64_t done = BLOCK; done < size;) {
			const uint64_t piece = rnd(300000) + 1, now = piece < size - done ? piece : size - done;

			assert_int_equal(bake_out_write(&out, done, wanted + done, now, NULL), CHAIN_OK);
			done += now;
		}
		assert_int_equal(bake_out_write(&out, 0, wanted, BLOCK, NULL), CHAIN_OK);
		assert_int_equal(bake_out_finish(&out, NULL), CHAIN_OK);
		/* a block that pieces divide is written where one of them is not zero, or none is whole */
		assert_true(blocks_of(out.fd) <= blocks_needed(wanted, size) + 2 * PIECES);
		assert_int_equal(bake_out_commit(&out, NULL, NULL), CHAIN_OK);
		assert_out(path, size);
	}
	assert_int_equal(unlink(path), 0);
}

static void nothing_but_zeros(void **state)
{
	static const uint64_t sizes[] = { 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, ROOM };
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("out/zeros"));
	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bake_out out;

		out_open(&out, path);
		assert_int_equal(bake_out_write(&out, 0, wanted, sizes[i], NULL), CHAIN_OK);
		assert_int_equal(bake_out_finish(&out, NULL), CHAIN_OK);
		assert_true(blocks_of(out.fd) <= 1);
		assert_int_equal(bake_out_commit(&out, NULL, NULL), CHAIN_OK);
		assert_out(path, sizes[i]);
	}
	assert_int_equal(unlink(path), 0);
}

/* The data of `source` alone is written, so that its blocks of zeros are holes where the file system has such. */
static int sparse_make(uint64_t count)
{
	const int fd = open(at("in/sparse"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)count), 0);
	for (uint64_t done = 0; done < count; done += BLOCK) {
		const uint64_t size = count - done < BLOCK ? count - done : BLOCK;

		if (blocks_needed(source + done, size))
			assert_int_equal(pwrite(fd, source + done, size, (off_t)done), size);
	}
	return fd;
}

static void holes_that_are_copied(void **state)
{
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("out/copied"));
	for (int round = 0; round < 25; round++) {
		const uint64_t count = rnd(ROOM / 2) + 1, start = rnd(2) ? 0 : rnd(count), to = rnd(4) * BLOCK;
		struct bake_out out;

		bytes_make(source, count);
		const int fd = sparse_make(count);

		memset(wanted, 0, sizeof(wanted));
		memcpy(wanted + to, source + start, count - start);
		out_open(&out, path);
		/* in parts that become one, or with a flush between them */
		for (uint64_t done = start; done < count;) {
			const uint64_t piece = rnd(3) ? rnd(count) + 1 : BLOCK,
				       now = piece < count - done ? piece : count - done;

			assert_int_equal(bake_out_copy(&out, "sparse", fd, done, to + done - start, now, NULL),
					 CHAIN_OK);
			if (rnd(3) == 0)
				assert_int_equal(bake_out_flush(&out, NULL), CHAIN_OK);
			done += now;
		}
		const uint64_t room = blocks_of(fd);

		assert_int_equal(bake_out_finish(&out, NULL), CHAIN_OK);
		if (start % BLOCK == 0)
			assert_true(blocks_of(out.fd) <= room + 1);
		assert_int_equal(bake_out_commit(&out, NULL, NULL), CHAIN_OK);
		assert_out(path, to + count - start);
		(void)close(fd);
	}
	assert_int_equal(unlink(path) | unlink(at("in/sparse")), 0);
}

/* A file that ends in a hole, and is shorter than was said: no zeros are made up for it. */
static void a_hole_does_not_hide_an_end(void **state)
{
	char path[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("out/short"));
	memset(source, 0, sizeof(source));
	source[10] = 1;
	for (uint64_t missing = 0; missing < 3; missing++) {
		const int fd = sparse_make(20 * BLOCK);
		struct chain_error err = { 0 };
		struct bake_out out;

		out_open(&out, path);
		assert_int_equal(
			bake_out_copy(&out, "sparse", fd, missing == 1 ? BLOCK : 0, 0, 20 * BLOCK + missing, &err),
			CHAIN_OK);
		assert_int_equal(bake_out_flush(&out, &err), missing ? CHAIN_E_FILE_CHANGED : CHAIN_OK);
		if (missing)
			assert_string_equal(err.subject, "sparse");
		bake_out_drop(&out);
		(void)close(fd);
	}
	assert_int_equal(access(path, F_OK), -1);
}

/* The same bytes in each, and the first as its manifest says. */
static void images_compare(const char *const names[3])
{
	struct cmd_file images[3];
	struct chain_image image;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(cmd_file_load(at(names[i]), 0, &images[i], NULL), CHAIN_OK);
		assert_int_equal(chain_image_open(&image, images[i].bytes, images[i].bytes_count, NULL), CHAIN_OK);
		if (i == 0)
			assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
		assert_int_equal(images[i].bytes_count, images[0].bytes_count);
		assert_int_equal(memcmp(images[i].bytes, images[0].bytes, images[0].bytes_count), 0);
	}
	for (int i = 0; i < 3; i++) {
		cmd_file_free(&images[i]);
		assert_int_equal(unlink(at(names[i])), 0);
	}
}

/* A whole image of a file that is mostly a hole: by streaming, by copying what is known, and by copying from the image
 * before. On tmpfs a file gets pages for holes that are read by mapping it: so the images are read when all are there,
 * and bake, which looks for the folder's kernel, finds it before the large file. */
static void an_image_of_a_hole(void **state)
{
	enum { HOLE = 48 << 20 };
	static const char *const names[] = { "out/1.elf", "out/2.elf", "out/3.elf" };
	struct bake_cache cache = { .began_s = INT64_MAX, .path = "none" };
	struct bake_share share;

	(void)state;
	put("in/z/large", "begin", 5);
	const int fd = open(at("in/z/large"), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "middle", 6, HOLE / 2 + 3), 6);
	assert_int_equal(ftruncate(fd, HOLE + 1), 0);
	(void)close(fd);
	bake_share_init(&share);
	for (int i = 0; i < 3; i++) {
		char from[256], to[256], stage[256];
		struct stat about;

		(void)snprintf(from, sizeof(from), "%s", at("in"));
		(void)snprintf(to, sizeof(to), "%s", at(names[i]));
		(void)snprintf(stage, sizeof(stage), "%s", at("stage.elf"));
		struct bake_job job = {
			.input = from, .output = to, .stage = stage, .cache = &cache, .share = i > 0 ? &share : NULL
		};

		assert_int_equal(bake_job_run(&job, NULL), CHAIN_OK);
		bake_job_free(&job);
		assert_int_equal(stat(to, &about), 0);
		assert_true(about.st_size > HOLE);
		assert_true(about.st_blocks * 512 < 1 << 20);
	}
	images_compare(names);
	bake_share_free(&share);
	bake_table_free(&cache.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeros_that_are_written), cmocka_unit_test(nothing_but_zeros),
		cmocka_unit_test(holes_that_are_copied),  cmocka_unit_test(a_hole_does_not_hide_an_end),
		cmocka_unit_test(an_image_of_a_hole),
	};

	return cmocka_run_group_tests(tests, out_make, folder_remove);
}
