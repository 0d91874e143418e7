/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Digests that are kept between runs: a file that has not changed is not hashed, one that has is, and nothing that is
 * wrong with the cache makes another image. */
#include "bake_folder.h"

#include <fcntl.h>
#include <sys/resource.h>

enum { LARGE_BYTES = BAKE_CACHE_FILE_BYTES + 12345 };
static uint8_t large[LARGE_BYTES], wanted_digest[CHAIN_LOCATED_BYTES];

static int make_tree(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (uint8_t)(i * 31 + i / 256);
	chain_verity_of_located(large, LARGE_BYTES, wanted_digest);
	if (!folder_make("in/d", "in/k.bin"))
		return -1;
	put("in/d/large", large, LARGE_BYTES);
	put("in/d/small", large, BAKE_CACHE_FILE_BYTES - 1);
	(void)setenv("XDG_CACHE_HOME", folder, 1);
	return 0;
}

/* As if all files had lain there for a while. */
static void open_later(struct bake_cache *cache)
{
	bake_cache_open(cache);
	cache->began_s += 10;
}

static enum chain_status bake_with(struct bake_cache *cache, const char *output, struct chain_error *err)
{
	char from[256], to[256];

	(void)snprintf(from, sizeof(from), "%s", at("in"));
	(void)snprintf(to, sizeof(to), "%s", at(output));
	struct bake_job job = {
		.input = from, .output = to, .stage = at("stage.elf"), .base = CHAIN_BAKE_BASE, .cache = cache
	};
	const enum chain_status status = bake_job_run(&job, err);

	bake_job_free(&job);
	return status;
}

static void bake(struct bake_cache *cache, const char *output)
{
	struct chain_error err = { 0 };

	assert_int_equal(bake_with(cache, output, &err), CHAIN_OK);
}

/* A run of the command with the cache. */
static void run(const char *output)
{
	struct bake_cache cache;

	open_later(&cache);
	bake(&cache, output);
	bake_cache_close(&cache);
}

static struct bake_identity identity_of(const char *name)
{
	struct stat about;

	assert_int_equal(stat(at(name), &about), 0);
	return bake_identity_of(&about);
}

/* What the cache on disk says of a file; null: nothing. */
static const uint8_t *digest_of(const char *name)
{
	static uint8_t digest[CHAIN_LOCATED_BYTES];
	const struct bake_identity identity = identity_of(name);
	struct bake_cache cache;

	bake_cache_open(&cache);
	const struct bake_known *known = bake_cache_find(&cache, &identity);

	if (known)
		memcpy(digest, known->digest, sizeof(digest));
	bake_cache_close(&cache);
	return known ? digest : NULL;
}

static void forget(void)
{
	(void)unlink(at("kchain/digests"));
}

static void assert_same(const char *a, const char *b)
{
	struct cmd_file one, two;

	assert_int_equal(cmd_file_load(at(a), 0, &one, NULL), CHAIN_OK);
	assert_int_equal(cmd_file_load(at(b), 0, &two, NULL), CHAIN_OK);
	assert_int_equal(one.bytes_count, two.bytes_count);
	assert_memory_equal(one.bytes, two.bytes, one.bytes_count);
	cmd_file_free(&one);
	cmd_file_free(&two);
}

/* Of the image at `output`: CHAIN_OK, or what is wrong with it. */
static enum chain_status verify(const char *output)
{
	struct cmd_file file;
	struct chain_image image;

	assert_int_equal(cmd_file_load(at(output), 0, &file, NULL), CHAIN_OK);
	enum chain_status status = chain_image_open(&image, file.bytes, file.bytes_count, NULL);

	if (status == CHAIN_OK)
		status = chain_image_verify(&image, NULL, NULL, NULL);
	cmd_file_free(&file);
	return status;
}

/* A copy of the large file, a second name for it and a small one are all in it. */
static void the_image_is_the_same(void **state)
{
	(void)state;
	forget();
	put("in/d/copy", large, LARGE_BYTES);
	assert_int_equal(link(at("in/d/large"), at("in/d/name")), 0);
	bake(NULL, "out/none.elf");
	run("out/first.elf");
	assert_memory_equal(digest_of("in/d/large"), wanted_digest, sizeof(wanted_digest));
	assert_memory_equal(digest_of("in/d/copy"), wanted_digest, sizeof(wanted_digest));
	assert_null(digest_of("in/d/small"));
	run("out/second.elf");
	assert_same("out/none.elf", "out/first.elf");
	assert_same("out/none.elf", "out/second.elf");
	assert_int_equal(verify("out/second.elf"), CHAIN_OK);
	/* with one of two alike known, and the other new */
	put("in/d/copy", large, LARGE_BYTES);
	run("out/third.elf");
	assert_same("out/none.elf", "out/third.elf");
	assert_int_equal(unlink(at("in/d/copy")) | unlink(at("in/d/name")), 0);
}

/* What is known is believed: a wrong digest shows in the image, which is refused, and not when the cache is left out.
 */
static void a_known_file_is_not_hashed(void **state)
{
	(void)state;
	const struct bake_identity identity = identity_of("in/d/large");
	struct bake_cache cache;
	uint8_t wrong[CHAIN_LOCATED_BYTES] = { 1 };

	forget();
	open_later(&cache);
	bake_cache_note(&cache, &identity, wrong);
	bake_cache_close(&cache);
	run("out/wrong.elf");
	assert_int_equal(verify("out/wrong.elf"), CHAIN_E_IMAGE_DIGEST);
	bake(NULL, "out/right.elf");
	assert_int_equal(verify("out/right.elf"), CHAIN_OK);
}

/* Written to in place, as long as its inode's change time stays: the clock of file systems ticks every few
 * milliseconds. */
static void write_again(const char *name, uint8_t byte)
{
	const struct bake_identity before = identity_of(name);
	const int fd = open(at(name), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (struct bake_identity now = before; bake_identity_same(&now, &before); now = identity_of(name)) {
		const struct timespec times[2] = { before.mtime, before.mtime };

		assert_int_equal(pwrite(fd, &byte, 1, LARGE_BYTES / 2), 1);
		assert_int_equal(futimens(fd, times), 0);
	}
	assert_int_equal(close(fd), 0);
}

static void other_content_of_one_size_and_time_is_noticed(void **state)
{
	(void)state;
	forget();
	run("out/before.elf");
	assert_non_null(digest_of("in/d/large"));
	const struct timespec before = identity_of("in/d/large").mtime;

	write_again("in/d/large", (uint8_t)~large[LARGE_BYTES / 2]);
	const struct bake_identity now = identity_of("in/d/large");

	assert_int_equal(now.size, LARGE_BYTES);
	assert_int_equal(now.mtime.tv_sec, before.tv_sec);
	assert_int_equal(now.mtime.tv_nsec, before.tv_nsec);
	assert_null(digest_of("in/d/large"));
	run("out/after.elf");
	assert_int_equal(verify("out/after.elf"), CHAIN_OK);
	bake(NULL, "out/none.elf");
	assert_same("out/none.elf", "out/after.elf");
	assert_memory_not_equal(digest_of("in/d/large"), wanted_digest, sizeof(wanted_digest));
	write_again("in/d/large", large[LARGE_BYTES / 2]);
}

/* It could be written to again within the same tick. */
static void a_file_that_is_new_is_not_kept(void **state)
{
	(void)state;
	struct bake_cache cache;

	forget();
	put("in/d/new", large, LARGE_BYTES);
	bake_cache_open(&cache);
	bake(&cache, "out/new.elf");
	bake_cache_close(&cache);
	assert_null(digest_of("in/d/new"));
	assert_int_equal(unlink(at("in/d/new")), 0);
}

static void a_damaged_cache_is_none(void **state)
{
	(void)state;
	struct cmd_file file;

	forget();
	run("out/image.elf");
	assert_int_equal(cmd_file_load(at("kchain/digests"), 0, &file, NULL), CHAIN_OK);
	const size_t count = file.bytes_count;
	uint8_t *bytes = malloc(count + 1);

	assert_non_null(bytes);
	memcpy(bytes, file.bytes, count);
	cmd_file_free(&file);
	for (size_t i = 0; i < count; i++) {
		bytes[i] ^= 0x10;
		put("kchain/digests", bytes, count);
		assert_null(digest_of("in/d/large"));
		bytes[i] ^= 0x10;
	}
	for (size_t i = 0; i <= count + 1; i++) {
		bytes[count] = 0;
		put("kchain/digests", bytes, i);
		assert_int_equal(digest_of("in/d/large") != NULL, i == count);
	}
	free(bytes);
	put("kchain/digests", "x", 1);
	run("out/again.elf"); /* and is made anew */
	assert_same("out/image.elf", "out/again.elf");
	assert_non_null(digest_of("in/d/large"));
}

/* Each of these is left as it is, and the bake goes well. */
static void what_is_not_ours_is_left_alone(void **state)
{
	(void)state;
	struct stat about;

	forget();
	run("out/image.elf");
	assert_int_equal(chmod(at("kchain/digests"), 0666), 0);
	assert_null(digest_of("in/d/large")); /* others could have written it */
	forget();
	assert_int_equal(symlink("elsewhere", at("kchain/digests")), 0);
	run("out/again.elf");
	assert_int_equal(lstat(at("kchain/digests"), &about) == 0 && S_ISLNK(about.st_mode), 1);
	assert_int_equal(access(at("kchain/elsewhere"), F_OK), -1);
	assert_int_equal(unlink(at("kchain/digests")) | mkfifo(at("kchain/digests"), 0600), 0);
	run("out/again.elf"); /* and waits for nobody */
	assert_int_equal(unlink(at("kchain/digests")) | mkdir(at("kchain/digests"), 0755), 0);
	run("out/again.elf");
	assert_int_equal(rmdir(at("kchain/digests")), 0);
	assert_same("out/image.elf", "out/again.elf");
}

static void a_cache_that_has_no_place_is_no_error(void **state)
{
	(void)state;
	static char deep[5000];

	run("out/image.elf");
	(void)setenv("XDG_CACHE_HOME", at("stage.elf"), 1); /* a file, where a folder should be */
	run("out/again.elf");
	assert_same("out/image.elf", "out/again.elf");
	memset(deep, '/', sizeof(deep) - 1);
	(void)setenv("XDG_CACHE_HOME", deep, 1);
	run("out/again.elf");
	(void)setenv("XDG_CACHE_HOME", "not/absolute", 1);
	(void)unsetenv("HOME");
	run("out/again.elf");
	assert_same("out/image.elf", "out/again.elf");
	(void)setenv("XDG_CACHE_HOME", folder, 1);
}

static void a_cache_that_may_not_be_so_large_is_no_error(void **state)
{
	(void)state;
	const struct bake_identity identity = identity_of("in/d/large");
	struct rlimit before, least;
	struct bake_cache cache;

	forget();
	open_later(&cache);
	bake_cache_note(&cache, &identity, wanted_digest);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	least = (struct rlimit){ .rlim_cur = 100, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
	bake_cache_close(&cache);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(entries("kchain"), 2); /* nothing, and nothing half done */
}

static struct bake_identity made_up(uint64_t number)
{
	return (struct bake_identity){ .dev = 1, .ino = number, .size = 1 << 20, .mtime.tv_sec = 1, .ctime.tv_sec = 1 };
}

/* Those used longest ago make room. */
static void it_is_bounded(void **state)
{
	(void)state;
	enum { MORE = 100, LATER_S = 100000 };
	struct bake_cache cache;
	struct stat about;

	forget();
	open_later(&cache);
	for (uint64_t i = 0; i < BAKE_CACHE_FILES; i++) {
		const struct bake_identity identity = made_up(i);

		bake_cache_note(&cache, &identity, wanted_digest);
	}
	bake_cache_close(&cache);
	bake_cache_open(&cache);
	assert_int_equal(cache.table.count, BAKE_CACHE_FILES);
	cache.began_s += LATER_S;
	for (uint64_t i = 0; i < MORE; i++) {
		const struct bake_identity used = made_up(i * 2), added = made_up(BAKE_CACHE_FILES + i);

		assert_non_null(bake_cache_find(&cache, &used));
		bake_cache_note(&cache, &added, wanted_digest);
	}
	bake_cache_finish(&cache);
	bake_cache_close(&cache);
	assert_int_equal(stat(at("kchain/digests"), &about), 0);
	assert_in_range(about.st_size, 0, 1600000);
	bake_cache_open(&cache);
	assert_int_equal(cache.table.count, BAKE_CACHE_FILES);
	for (uint64_t i = 0; i < MORE; i++) {
		const struct bake_identity used = made_up(i * 2), added = made_up(BAKE_CACHE_FILES + i);

		assert_non_null(bake_cache_find(&cache, &used));
		assert_non_null(bake_cache_find(&cache, &added));
	}
	bake_cache_close(&cache);
	forget();
}

/* The one that ends last has it; the other's are hashed again. */
static void two_at_once_leave_a_whole_one(void **state)
{
	(void)state;
	const struct bake_identity one = made_up(1), two = made_up(2);
	struct bake_cache a, b;

	forget();
	open_later(&a);
	open_later(&b);
	bake_cache_note(&a, &one, wanted_digest);
	bake_cache_note(&b, &two, wanted_digest);
	bake_cache_close(&a);
	bake_cache_close(&b);
	bake_cache_open(&a);
	assert_non_null(bake_cache_find(&a, &two));
	assert_int_equal(a.table.count, 1);
	bake_cache_close(&a);
	assert_int_equal(entries("kchain"), 3); /* and nothing beside it */
}

/* It is copied as it is, or the bake ends. */
static void a_known_file_that_changes_meanwhile_ends_the_bake(void **state)
{
	(void)state;
	struct bake_tree tree;
	struct bake_out out;
	struct bake_cache cache;
	struct chain_error err = { 0 };
	const struct chain_config_file all = { .path = (char[]){ "/" },
					       .from = (char[]){ "in/d" },
					       .mode = CHAIN_CONFIG_MODE_AS_IS };

	forget();
	run("out/image.elf");
	bake_cache_open(&cache);
	assert_int_equal(bake_tree_init(&tree, NULL, &cache, &err), CHAIN_OK);
	assert_int_equal(bake_tree_add(&tree, folder, &all, &err), CHAIN_OK);
	assert_int_equal(bake_out_open(&out, at("out/part"), false, &err), CHAIN_OK);
	for (size_t i = 0; i < tree.count; i++) {
		struct bake_node *node = tree.v[i];

		assert_int_equal(node->cached, node->spec.size_bytes == LARGE_BYTES);
		if (!node->cached)
			continue;
		assert_int_equal(bake_tree_copy(&tree, node, &out, 4096, &err), CHAIN_OK);
		write_again("in/d/large", large[LARGE_BYTES / 2]);
		assert_int_equal(bake_tree_copy(&tree, node, &out, 4096, &err), CHAIN_E_FILE_CHANGED);
		assert_string_equal(err.subject, node->host);
		node->identity = identity_of("in/d/large");
		node->spec.size_bytes += 4096; /* as if it had been longer when it was looked at */
		err = (struct chain_error){ 0 };
		assert_int_equal(bake_tree_copy(&tree, node, &out, 4096, &err), CHAIN_E_FILE_CHANGED);
		assert_string_equal(err.subject, node->host);
	}
	bake_out_drop(&out);
	bake_tree_free(&tree);
	bake_cache_close(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_image_is_the_same),
		cmocka_unit_test(a_known_file_is_not_hashed),
		cmocka_unit_test(other_content_of_one_size_and_time_is_noticed),
		cmocka_unit_test(a_file_that_is_new_is_not_kept),
		cmocka_unit_test(a_damaged_cache_is_none),
		cmocka_unit_test(what_is_not_ours_is_left_alone),
		cmocka_unit_test(a_cache_that_has_no_place_is_no_error),
		cmocka_unit_test(a_cache_that_may_not_be_so_large_is_no_error),
		cmocka_unit_test(it_is_bounded),
		cmocka_unit_test(two_at_once_leave_a_whole_one),
		cmocka_unit_test(a_known_file_that_changes_meanwhile_ends_the_bake),
	};

	return cmocka_run_group_tests(tests, make_tree, folder_remove);
}
