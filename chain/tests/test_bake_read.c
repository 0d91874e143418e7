/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Reading for `kchain bake`: files that are alike, files that change, and the thread that hashes. */
#include "chain/cmd/bake/bake_host.h"
#include "../cmd/cmd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BIG = 5 * BAKE_HASH_PIECE + 12345 };
static char folder[] = "/tmp/kchain-read-XXXXXX";
static uint8_t big[BIG];

static const char *at(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const void *bytes, size_t count)
{
	assert_int_equal(cmd_file_write(at(name), bytes, count, NULL), CHAIN_OK);
}

static void tree_open(struct bake_tree *tree)
{
	const struct chain_config_file all = { .path = (char[]){ "/" },
					       .from = (char[]){ "." },
					       .mode = CHAIN_CONFIG_MODE_AS_IS };

	assert_int_equal(bake_tree_init(tree, NULL, NULL, NULL), CHAIN_OK);
	assert_int_equal(bake_tree_add(tree, folder, &all, NULL), CHAIN_OK);
}

static struct bake_node *node_of(const struct bake_tree *tree, const char *path)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->v[i]->path, path) == 0)
			return tree->v[i];
	fail_msg("%s is not in the tree", path);
	return NULL;
}

static void remove_all(const char *const *names)
{
	for (; *names; names++)
		assert_int_equal(unlink(at(*names)), 0);
}

static void only_what_may_be_alike_gets_a_digest(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		bool hashed, kept;
	} cases[] = {
		{ "/alone", false, false }, { "/big1", true, false },  { "/big2", true, false },
		{ "/big3", true, false },   { "/big4", false, false }, { "/block1", true, true },
		{ "/block2", true, true },  { "/small1", true, true }, { "/small2", true, true },
		{ "/empty", false, false },
	};
	static const char *const names[] = { "alone",  "big1",   "big2",   "big3",  "big4", "block1",
					     "block2", "small1", "small2", "empty", NULL };
	struct bake_tree tree;
	uint8_t digest[CHAIN_LOCATED_BYTES];

	put("alone", "only one of 17", 14);
	put("big1", big, BIG);
	put("big2", big, BIG);
	big[BIG - 1] ^= 1;
	put("big3", big, BIG); /* differs in its last byte */
	big[BIG - 1] ^= 1;
	big[0] ^= 1;
	put("big4", big, BIG); /* differs in its first */
	big[0] ^= 1;
	put("block1", big, 4096);
	put("block2", big + 1, 4096);
	put("small1", "small", 5);
	put("small2", "small", 5);
	put("empty", "", 0);
	tree_open(&tree);
	assert_int_equal(bake_tree_finish(&tree, NULL), CHAIN_OK);
	assert_int_equal(tree.kept_bytes, 2 * 4096 + 2 * 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct bake_node *node = node_of(&tree, cases[i].path);

		assert_int_equal(node->spec.digest != NULL, cases[i].hashed);
		assert_int_equal(node->text != NULL, cases[i].kept);
	}
	chain_verity_of_located(big, BIG, digest);
	assert_memory_equal(node_of(&tree, "/big2")->spec.digest, digest, CHAIN_LOCATED_BYTES);
	assert_memory_not_equal(node_of(&tree, "/big3")->spec.digest, digest, CHAIN_LOCATED_BYTES);
	chain_verity_of_located("small", 5, digest);
	assert_memory_equal(node_of(&tree, "/small1")->spec.digest, digest, CHAIN_LOCATED_BYTES);
	bake_tree_free(&tree);
	remove_all(names);
}

/* Where one of a size is known from an earlier image by its whole digest, beginnings would not do. */
static void a_known_digest_is_kept_and_asks_for_whole_ones(void **state)
{
	(void)state;
	static const char *const names[] = { "one", "two", NULL };
	struct bake_tree tree;
	uint8_t digest[CHAIN_LOCATED_BYTES];

	put("one", big, 10000);
	put("two", big + 1, 10000);
	tree_open(&tree);
	struct bake_node *one = node_of(&tree, "/one");

	memset(one->digest, 7, sizeof(one->digest));
	one->spec.digest = one->digest;
	assert_int_equal(bake_tree_finish(&tree, NULL), CHAIN_OK);
	assert_int_equal(one->digest[31], 7);
	chain_verity_of_located(big + 1, 10000, digest);
	assert_memory_equal(node_of(&tree, "/two")->spec.digest, digest, CHAIN_LOCATED_BYTES);
	bake_tree_free(&tree);
	remove_all(names);
}

static void a_file_that_changes_is_named(void **state)
{
	(void)state;
	static const char *const names[] = { "file", NULL };
	struct chain_error err = { 0 };
	struct bake_tree tree;
	uint8_t buf[64], digest[CHAIN_LOCATED_BYTES];

	/* between the walk and the reading: as long as before, but later */
	put("file", big, 100);
	tree_open(&tree);
	put("file", big, 100);
	assert_int_equal(bake_tree_read(&tree, &node_of(&tree, "/file")->spec, 0, buf, 50, &err), CHAIN_E_FILE_CHANGED);
	assert_string_equal(err.subject, at("file"));
	bake_tree_free(&tree);

	/* between its first byte and its last */
	tree_open(&tree);
	const struct bake_node *node = node_of(&tree, "/file");

	assert_int_equal(bake_tree_read(&tree, &node->spec, 0, buf, 50, NULL), CHAIN_OK);
	assert_int_equal(chmod(at("file"), 0600), 0);
	assert_int_equal(bake_tree_read(&tree, &node->spec, 50, buf, 49, NULL), CHAIN_OK);
	assert_int_equal(bake_tree_read(&tree, &node->spec, 99, buf, 1, NULL), CHAIN_E_FILE_CHANGED);
	bake_tree_free(&tree);

	/* while it is streamed: it ends too soon */
	put("file", big, BIG);
	tree_open(&tree);
	node = node_of(&tree, "/file");
	assert_int_equal(bake_tree_read(&tree, &node->spec, 0, buf, 1, NULL), CHAIN_OK);
	assert_int_equal(truncate(at("file"), BAKE_HASH_PIECE + 5), 0);
	chain_error_clear(&err);
	assert_int_equal(bake_tree_stream(&tree, node, NULL, 0, digest, &err), CHAIN_E_FILE_CHANGED);
	assert_string_equal(err.detail, "it became shorter");
	bake_tree_free(&tree);
	remove_all(names);
}

static void hash_in_pieces(struct bake_hash *hash, size_t piece, size_t total)
{
	uint8_t digest[CHAIN_LOCATED_BYTES], wanted[CHAIN_LOCATED_BYTES];

	for (size_t done = 0, count; done < total; done += count) {
		count = total - done < piece ? total - done : piece;
		memcpy(bake_hash_buffer(hash), big + done, count);
		bake_hash_put(hash, count);
	}
	bake_hash_take(hash, digest);
	chain_verity_of_located(big, total, wanted);
	assert_memory_equal(digest, wanted, CHAIN_LOCATED_BYTES);
}

static void digests_are_those_of_one_thread(void **state)
{
	(void)state;
	struct bake_hash hash = { .buffers = NULL };

	assert_int_equal(bake_hash_start(&hash, NULL), CHAIN_OK);
	assert_int_equal(hash.threads, BAKE_HASH_THREADS);
	hash_in_pieces(&hash, BAKE_HASH_PIECE, BIG);
	hash_in_pieces(&hash, 1000, 100000);
	hash_in_pieces(&hash, 1, 0);
	hash_in_pieces(&hash, 1, 300);
	assert_int_equal(bake_hash_start(&hash, NULL), CHAIN_OK);
	hash_in_pieces(&hash, 65536, BIG);
	bake_hash_stop(&hash);
	bake_hash_stop(&hash);
}

static void without_a_thread_it_works_as_well(void **state)
{
	(void)state;
	struct bake_hash hash = { .buffers = NULL };
	pthread_attr_t before, huge;

	assert_int_equal(pthread_getattr_default_np(&before), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	assert_int_equal(bake_hash_start(&hash, NULL), CHAIN_OK);
	assert_int_equal(pthread_setattr_default_np(&before), 0);
	assert_int_equal(hash.threads, 0);
	hash_in_pieces(&hash, BAKE_HASH_PIECE, BIG);
	hash_in_pieces(&hash, 1000, 100000);
	bake_hash_stop(&hash);
}

static int make_folder(void **state)
{
	(void)state;
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 31 + i / 251 + i / 65537);
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_may_be_alike_gets_a_digest),
		cmocka_unit_test(a_known_digest_is_kept_and_asks_for_whole_ones),
		cmocka_unit_test(a_file_that_changes_is_named),
		cmocka_unit_test(digests_are_those_of_one_thread),
		cmocka_unit_test(without_a_thread_it_works_as_well),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
