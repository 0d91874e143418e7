/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Each allocation of `kchain bake` and of what looks at images fails in turn, alone and with all that follow: memory is
 * said to be lacking, or the result is the one that it would have been; nothing leaks and no file is left.
 * chain/build.mk links this program so that the allocators of our own code arrive here. */
#include "chain/cmd/show/inspect.h"
#include "alloc_fail.h"
#include "bake_folder.h"
#include "fs/check.h"

static int make_tree(void **state)
{
	static uint8_t large[(1 << 20) + 5000];
	static const char pipeline[] = "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/"
				       "t\":\"t\"},\"net\":{\"lan\":{\"dhcp\":true,\"need\":\"optional\"}},"
				       "\"block\":{\"d\":{\"need\":\"optional\"}},\"steps\":[{\"name\":\"a\",\"boot\":"
				       "\"fs:/t/k\",\"args\":\"x={{self.step}}\","
				       "\"on_error\":{\"boot\":\"fs:/t/link\"}}]}";

	(void)state;
	if (!folder_make("in/t", "in/t/k"))
		return -1;
	put("in/pipeline.json", pipeline, sizeof(pipeline) - 1);
	put("in/t/large", large, sizeof(large));
	put("in/t/one", "same\n", 5);
	put("in/t/two", "same\n", 5);
	(void)setenv("XDG_CACHE_HOME", folder, 1);
	return symlink("k", at("in/t/link")) || link(at("in/t/one"), at("in/t/hard")) ? -1 : 0;
}

static enum chain_status bake(struct bake_share *share, struct bake_cache *cache, struct chain_error *err)
{
	char from[256], to[256], with[256];

	(void)snprintf(from, sizeof(from), "%s", at("in"));
	(void)snprintf(to, sizeof(to), "%s", at("out/image.elf"));
	(void)snprintf(with, sizeof(with), "%s", at("stage.elf"));
	struct bake_job job = { .input = from,
				.output = to,
				.stage = with,
				.base = CHAIN_BAKE_BASE,
				.share = share,
				.cache = cache,
				.memory_bytes = 64 << 20 };
	enum chain_status status = bake_job_run(&job, err);

	if (status == CHAIN_OK) {
		json_t *report = bake_report_json(&job);

		json_decref(report); /* null where memory was lacking: that is printed by nobody here */
	}
	bake_job_free(&job);
	return status;
}

static enum chain_status bake_alone(struct chain_error *err)
{
	return bake(NULL, NULL, err);
}

/* Twice with what the first leaves for the second. */
static enum chain_status bake_twice(struct chain_error *err)
{
	struct bake_share share;

	bake_share_init(&share);
	enum chain_status status = bake(&share, NULL, err);

	if (status == CHAIN_OK)
		status = bake(&share, NULL, err);
	bake_share_free(&share);
	return status;
}

/* Twice with what the first keeps for other runs. */
static enum chain_status bake_cached(struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	struct bake_cache cache;

	(void)unlink(at("kchain/digests"));
	for (int i = 0; i < 2 && status == CHAIN_OK; i++) {
		bake_cache_open(&cache);
		cache.began_s += 10; /* the files have come to rest */
		status = bake(NULL, &cache, err);
		bake_cache_close(&cache);
	}
	return status;
}

static enum chain_status look(struct chain_error *err)
{
	struct image_file file;
	json_t *doc = NULL;
	enum chain_status status = image_file_open(at("ready.elf"), &file, err);

	if (status != CHAIN_OK)
		return status;
	status = chain_image_verify(&file.image, NULL, NULL, err);
	if (status == CHAIN_OK)
		status = fs_check(&file.image.fs, NULL, err);
	if (status == CHAIN_OK)
		status = inspect_image(&file, "ready.elf", &doc, err);
	json_decref(doc);
	image_file_close(&file);
	return status;
}

struct trial {
	enum chain_status (*work)(struct chain_error *err);
	void (*check)(bool good); /* is told whether it succeeded */
	long refused;
};

static enum chain_status attempt(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct trial *trial = ctx;

	const enum chain_status status = trial->work(err);

	alloc_stop();
	trial->refused += status != CHAIN_OK;
	trial->check(status == CHAIN_OK);
	*out_sum = 0; /* `check` has looked */
	return status;
}

static void fail_each(enum chain_status (*work)(struct chain_error *err), void (*check)(bool good))
{
	struct trial trial = { work, check, 0 };
	long last;
	const long count = alloc_sweep(attempt, &trial, &last);

	if (count < 0)
		fail_msg("allocation %ld: %s", last, alloc_state.why);
	assert_true(count > 20);
	assert_true(trial.refused > count);
}

static uint8_t *wanted;
static uint64_t wanted_count;

/* The image is the one it always is, or there is none. */
static void check_out(bool good)
{
	struct cmd_file file;

	assert_int_equal(entries("out"), good ? 3 : 2);
	if (!good)
		return;
	assert_int_equal(cmd_file_load(at("out/image.elf"), 0, &file, NULL), CHAIN_OK);
	if (!wanted) {
		wanted_count = file.bytes_count;
		wanted = malloc(wanted_count);
		assert_non_null(wanted);
		memcpy(wanted, file.bytes, wanted_count);
	}
	assert_int_equal(file.bytes_count, wanted_count);
	assert_memory_equal(file.bytes, wanted, wanted_count);
	cmd_file_free(&file);
	assert_int_equal(unlink(at("out/image.elf")), 0);
}

static void check_second(bool good)
{
	if (!good)
		(void)unlink(at("out/image.elf")); /* the first one's, where the second failed */
	check_out(good);
}

static void check_nothing(bool good)
{
	(void)good;
}

static void one_bake(void **state)
{
	(void)state;
	fail_each(bake_alone, check_out);
}

static void two_bakes(void **state)
{
	(void)state;
	fail_each(bake_twice, check_second);
}

static void two_runs(void **state)
{
	(void)state;
	fail_each(bake_cached, check_second);
}

static void a_look(void **state)
{
	struct chain_error err = { .status = CHAIN_OK };

	(void)state;
	assert_int_equal(bake_alone(&err), CHAIN_OK);
	assert_int_equal(rename(at("out/image.elf"), at("ready.elf")), 0);
	fail_each(look, check_nothing);
	free(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(one_bake), cmocka_unit_test(two_bakes),
					    cmocka_unit_test(two_runs), cmocka_unit_test(a_look) };

	return cmocka_run_group_tests(tests, make_tree, folder_remove);
}
