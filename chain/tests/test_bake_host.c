/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* `kchain bake` from files: what goes in, what is refused, and that a refusal leaves nothing behind. */
#include "bake_folder.h"

#include <sys/mman.h>
#include <sys/resource.h>

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static int make_tree(void **state)
{
	(void)state;
	if (!folder_make("in/d", "in/k.bin"))
		return -1;
	put_text("in/d/one", "one\n");
	put_text("in/d/same", "one\n");
	if (symlink("one", at("in/d/link")) || link(at("in/d/one"), at("in/d/hard")) || chmod(at("in/d/same"), 0700))
		return -1;
	return 0;
}

static struct bake_job job_of(const char *input, const char *output)
{
	return (struct bake_job){ .input = input, .output = output, .stage = at("stage.elf"), .base = CHAIN_BAKE_BASE };
}

static enum chain_status run(const char *input, struct chain_error *err)
{
	char from[256], to[256];

	(void)snprintf(from, sizeof(from), "%s", at(input));
	(void)snprintf(to, sizeof(to), "%s", at("out/image.elf"));
	struct bake_job job = job_of(from, to);
	const enum chain_status status = bake_job_run(&job, err);

	bake_job_free(&job);
	return status;
}

static void folder_with_one_kernel(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	struct chain_image image;
	struct cmd_file file;
	struct fs_node node;
	const uint8_t *bytes;
	uint64_t count;

	assert_int_equal(run("in", &err), CHAIN_OK);
	assert_int_equal(cmd_file_load(at("out/image.elf"), 0, &file, &err), CHAIN_OK);
	assert_int_equal(chain_image_open(&image, file.bytes, file.bytes_count, &err), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, &err), CHAIN_OK);
	assert_int_equal(chain_image_file(&image, "/d/link", &bytes, &count, NULL, &err), CHAIN_OK);
	assert_memory_equal(bytes, "one\n", 4);
	assert_int_equal(fs_lookup(&image.fs, "/d/hard", false, &node, &err), CHAIN_OK);
	assert_int_equal(node.nlink, 2);
	assert_int_equal(node.mode, 0644);
	assert_int_equal(fs_lookup(&image.fs, "/d/same", false, &node, &err), CHAIN_OK);
	assert_int_equal(node.mode, 0755);
	assert_int_equal(node.uid, 0);
	assert_int_equal(node.mtime, 0);
	assert_int_equal(chain_image_file(&image, CHAIN_FS_PIPELINE, &bytes, &count, NULL, &err), CHAIN_OK);
	assert_non_null(memmem(bytes, count, "fs:/k.bin", 9));
	cmd_file_free(&file);
	assert_int_equal(unlink(at("out/image.elf")), 0);
}

static void refusals_leave_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *pipeline;
		enum chain_status status;
	} cases[] = {
		{ "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/"
		  "k\":\"missing\"},\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/"
		  "k\"}]}",
		  CHAIN_E_IO },
		{ "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/k\":\"k.bin\"},\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/"
		  "q\"}]}",
		  CHAIN_E_CONFIG_NO_SOURCE },
		{ "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/k\":\"d/one\"},\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/"
		  "k\"}]}",
		  CHAIN_E_NOT_A_KERNEL },
	};
	const size_t before = entries("out");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };

		put_text("in/pipeline.json", cases[i].pipeline);
		assert_int_equal(run("in", &err), cases[i].status);
		assert_string_not_equal(err.subject, "");
		assert_int_equal(entries("out"), before);
	}
	assert_int_equal(unlink(at("in/pipeline.json")), 0);
}

static void pipes_are_refused_by_name(void **state)
{
	(void)state;
	struct chain_error err = { 0 };

	assert_int_equal(mkfifo(at("in/d/pipe"), 0600), 0);
	assert_int_equal(run("in", &err), CHAIN_E_BAKE_NOT_BAKEABLE);
	assert_non_null(strstr(err.subject, "/in/d/pipe"));
	assert_int_equal(unlink(at("in/d/pipe")), 0);
}

static void damaged_child_is_refused(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	struct cmd_file file;
	const size_t before = entries("out");

	assert_int_equal(run("in", &err), CHAIN_OK);
	assert_int_equal(cmd_file_load(at("out/image.elf"), 0, &file, &err), CHAIN_OK);
	uint8_t *copy = malloc(file.bytes_count);

	assert_non_null(copy);
	memcpy(copy, file.bytes, file.bytes_count);
	copy[4096 + 0x300] ^= 1;
	assert_int_equal(mkdir(at("parent"), 0755), 0);
	put("parent/kernel", copy, file.bytes_count);
	free(copy);
	cmd_file_free(&file);
	assert_int_equal(unlink(at("out/image.elf")), 0);
	assert_int_equal(run("parent", &err), CHAIN_E_IMAGE_DIGEST);
	assert_string_equal(err.subject, "fs:/kernel: stage");
	assert_int_equal(entries("out"), before);
}

/* As a full disk: the system refuses to write on. */
static void no_room_leaves_nothing(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	struct rlimit before, small;
	const size_t count = entries("out");

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 10000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	const enum chain_status status = run("in", &err);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(status, CHAIN_E_IO);
	assert_non_null(strstr(err.subject, "image.elf"));
	assert_int_equal(entries("out"), count);
}

static void memory_is_checked(void **state)
{
	(void)state;
	static const struct {
		uint64_t memory;
		enum chain_status status;
	} cases[] = { { 64 << 20, CHAIN_OK }, { 4 << 20, CHAIN_E_BAKE_NO_ROOM } };

	for (size_t i = 0; i < 2; i++) {
		char from[256], to[256];
		struct chain_error err = { 0 };

		(void)snprintf(from, sizeof(from), "%s", at("in"));
		(void)snprintf(to, sizeof(to), "%s", at("out/image.elf"));
		struct bake_job job = job_of(from, to);

		job.memory_bytes = cases[i].memory;
		assert_int_equal(bake_job_run(&job, &err), cases[i].status);
		bake_job_free(&job);
	}
	assert_int_equal(unlink(at("out/image.elf")), 0);
}

static void bake_shared(const char *output, struct bake_share *share, struct cmd_file *out)
{
	char from[256], to[256];
	struct chain_error err = { 0 };

	(void)snprintf(from, sizeof(from), "%s", at("in"));
	(void)snprintf(to, sizeof(to), "%s", at(output));
	struct bake_job job = job_of(from, to);

	job.share = share;
	assert_int_equal(bake_job_run(&job, &err), CHAIN_OK);
	bake_job_free(&job);
	assert_int_equal(cmd_file_load(at(output), 0, out, &err), CHAIN_OK);
}

static const uint8_t *baked_bytes(struct cmd_file *file, const char *path, uint64_t *out_count)
{
	struct chain_image image;
	const uint8_t *bytes;

	assert_int_equal(chain_image_open(&image, file->bytes, file->bytes_count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_file(&image, path, &bytes, out_count, NULL, NULL), CHAIN_OK);
	return bytes;
}

/* As if the image had been finished just now. */
static void unnotice(struct bake_share *share)
{
	struct stat about;

	assert_int_equal(fstat(share->fd, &about), 0);
	share->image = bake_identity_of(&about);
}

static void an_image_that_was_written_to_is_not_copied_from(void **state)
{
	(void)state;
	struct bake_share share;
	struct cmd_file one, two;
	struct chain_image image;
	uint64_t count;

	bake_share_init(&share);
	bake_shared("out/1.elf", &share, &one);
	const uint64_t where = (uint64_t)(baked_bytes(&one, "/d/one", &count) - one.bytes);

	assert_int_equal(pwrite(share.fd, "T", 1, (off_t)where), 1);
	bake_shared("out/2.elf", &share, &two);
	assert_int_equal(chain_image_open(&image, two.bytes, two.bytes_count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, NULL), CHAIN_OK);
	bake_share_free(&share);
	cmd_file_free(&one);
	cmd_file_free(&two);
	assert_int_equal(unlink(at("out/1.elf")) | unlink(at("out/2.elf")), 0);
}

/* The second image is made of the first: what was done to that one shows, and what was done to a file shows too. */
static void shared_files_come_from_the_image_before(void **state)
{
	(void)state;
	struct bake_share share;
	struct cmd_file one, two, three;
	struct chain_image image;
	struct chain_error err = { 0 };
	uint64_t count;

	put_text("in/own", "mine\n");
	bake_share_init(&share);
	bake_shared("out/1.elf", &share, &one);
	assert_int_equal(share.good_count, 1);
	assert_int_equal(share.table.count, 4);
	const uint64_t where = (uint64_t)(baked_bytes(&one, "/d/one", &count) - one.bytes);

	assert_int_equal(pwrite(share.fd, "T", 1, (off_t)where), 1);
	unnotice(&share);
	put_text("in/own", "changed\n");
	bake_shared("out/2.elf", &share, &two);
	assert_int_equal(share.good_count, 1);
	assert_int_equal(share.table.count, 5); /* a new file in the old one's place */
	assert_memory_equal(baked_bytes(&two, "/own", &count), "changed\n", 8);
	assert_int_equal(two.bytes[where], 'T');
	assert_int_equal(chain_image_open(&image, two.bytes, two.bytes_count, &err), CHAIN_OK);
	assert_int_equal(chain_image_verify(&image, NULL, NULL, &err), CHAIN_E_IMAGE_DIGEST);
	assert_string_equal(err.subject, "/d/hard");
	bake_share_free(&share);
	bake_shared("out/3.elf", NULL, &three);
	assert_int_equal(three.bytes_count, two.bytes_count);
	assert_int_equal(memcmp(three.bytes, two.bytes, where), 0);
	assert_int_equal(memcmp(three.bytes + where + 1, two.bytes + where + 1, two.bytes_count - where - 1), 0);
	cmd_file_free(&one);
	cmd_file_free(&two);
	cmd_file_free(&three);
	assert_int_equal(
		unlink(at("out/1.elf")) | unlink(at("out/2.elf")) | unlink(at("out/3.elf")) | unlink(at("in/own")), 0);
}

static void short_image_before_is_an_error(void **state)
{
	(void)state;
	struct bake_share share;
	struct cmd_file one;
	struct chain_error err = { 0 };
	char from[256], to[256];

	bake_share_init(&share);
	bake_shared("out/1.elf", &share, &one);
	cmd_file_free(&one);
	assert_int_equal(ftruncate(share.fd, 4096), 0);
	unnotice(&share);
	(void)snprintf(from, sizeof(from), "%s", at("in"));
	(void)snprintf(to, sizeof(to), "%s", at("out/2.elf"));
	struct bake_job job = job_of(from, to);

	job.share = &share;
	assert_int_equal(bake_job_run(&job, &err), CHAIN_E_FILE_CHANGED);
	assert_string_equal(err.subject, to);
	bake_job_free(&job);
	bake_share_free(&share);
	assert_int_equal(unlink(at("out/1.elf")), 0);
	assert_int_equal(access(to, F_OK), -1);
}

/* From memory to disk, where the kernel may refuse to copy by itself: pieces that touch, one that does not, and one
 * that reaches behind the end. */
static void copies_between_file_systems(void **state)
{
	(void)state;
	enum { COUNT = 300000, GAP = 5000 };
	static uint8_t bytes[COUNT];
	const int from = memfd_create("source", MFD_CLOEXEC);
	struct chain_error err = { 0 };
	struct cmd_file file;
	struct bake_out out;
	char to[256];

	for (size_t i = 0; i < COUNT; i++)
		bytes[i] = (uint8_t)(i * 13 + i / 253);
	assert_int_equal(write(from, bytes, COUNT), COUNT);
	(void)snprintf(to, sizeof(to), "%s", at("out/copy"));
	assert_int_equal(bake_out_open(&out, to, false, &err), CHAIN_OK);
	assert_int_equal(bake_out_copy(&out, NULL, from, 0, 0, 100000, &err), CHAIN_OK);
	assert_int_equal(bake_out_copy(&out, NULL, from, 100000, 100000, 50000, &err), CHAIN_OK);
	assert_int_equal(out.copy.count, 150000);
	assert_int_equal(bake_out_copy(&out, NULL, from, 150000, 150000 + GAP, 150000, &err), CHAIN_OK);
	assert_int_equal(bake_out_flush(&out, &err), CHAIN_OK);
	assert_int_equal(bake_out_commit(&out, NULL, &err), CHAIN_OK);
	assert_int_equal(cmd_file_load(to, 0, &file, &err), CHAIN_OK);
	assert_int_equal(file.bytes_count, COUNT + GAP);
	assert_memory_equal(file.bytes, bytes, 150000);
	assert_memory_equal(file.bytes + 150000 + GAP, bytes + 150000, 150000);
	cmd_file_free(&file);
	assert_int_equal(bake_out_open(&out, to, false, &err), CHAIN_OK);
	assert_int_equal(bake_out_copy(&out, NULL, from, COUNT - 10, 0, 11, &err), CHAIN_OK);
	assert_int_equal(bake_out_flush(&out, &err), CHAIN_E_FILE_CHANGED);
	bake_out_drop(&out);
	assert_int_equal(close(from) | unlink(to), 0);
}

/* Many files, so that the table grows and is sorted; an inode whose file is another now is not known. */
static void shared_files_are_known_by_all_of_their_identity(void **state)
{
	(void)state;
	enum { MANY = 1000 };
	struct bake_share share;
	struct bake_known file = { .identity = { .dev = 1, .size = 5, .mtime = { 7, 8 }, .ctime = { 9, 10 } } };

	bake_share_init(&share);
	bake_share_start(&share, -1);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		file.identity.ino = i * 7919 % MANY + 1;
		file.offset = file.identity.ino;
		assert_true(bake_share_add(&share, &file));
	}
	bake_share_finish(&share);
	assert_int_equal(share.table.count, MANY);
	for (unsigned i = 1; i <= MANY; i++) {
		file.identity.ino = i;
		const struct bake_known *known = bake_share_find(&share, &file.identity);

		assert_non_null(known);
		assert_int_equal(known->offset, i);
	}
	struct bake_identity other[6];

	for (size_t i = 0; i < 6; i++)
		other[i] = file.identity;
	other[0].dev++, other[1].ino++, other[2].size++, other[3].mtime.tv_nsec++, other[4].ctime.tv_sec++,
		other[5].ctime.tv_nsec--;
	for (size_t i = 0; i < 6; i++)
		assert_null(bake_share_find(&share, &other[i]));
	bake_share_start(&share, -1);
	bake_share_finish(&share);
	assert_int_equal(bake_share_find(&share, &file.identity)->offset, 0);
	bake_share_free(&share);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folder_with_one_kernel),
		cmocka_unit_test(refusals_leave_nothing),
		cmocka_unit_test(pipes_are_refused_by_name),
		cmocka_unit_test(damaged_child_is_refused),
		cmocka_unit_test(no_room_leaves_nothing),
		cmocka_unit_test(memory_is_checked),
		cmocka_unit_test(shared_files_come_from_the_image_before),
		cmocka_unit_test(short_image_before_is_an_error),
		cmocka_unit_test(an_image_that_was_written_to_is_not_copied_from),
		cmocka_unit_test(copies_between_file_systems),
		cmocka_unit_test(shared_files_are_known_by_all_of_their_identity),
	};

	return cmocka_run_group_tests(tests, make_tree, folder_remove);
}
