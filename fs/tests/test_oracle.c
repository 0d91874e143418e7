/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* erofs-utils as the oracle, in both directions: what we write, fsck.erofs accepts and extracts and dump.erofs
 * describes alike; what mkfs.erofs writes, we read. A missing tool is a counted skip. */
#include "every_node.h"

#include "fs/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char scratch[256];

static int prepare(void **state)
{
	(void)state;
	nodes_make();
	make_scratch(scratch);
	return 0;
}

static int clean_up(void **state)
{
	(void)state;
	return run("rm -rf '%s'", scratch);
}

static void write_ours(void)
{
	struct image *image = image_of(specs, COUNT);
	char path[300];

	snprintf(path, sizeof(path), "%s/ours.img", scratch);
	write_file(path, image->bytes, image->bytes_count);
	image_free(image);
}

static void fsck_accepts_ours(void **state)
{
	(void)state;
	if (tool_missing("fsck.erofs"))
		skip();
	write_ours();
	assert_int_equal(run("fsck.erofs -d3 --extract '%s/ours.img' >'%s/fsck.log' 2>&1", scratch, scratch), 0);
	assert_int_equal(run("grep -q 'No errors found' '%s/fsck.log'", scratch), 0);
}

static void compare_contents(const char *path, const uint8_t *wanted, uint64_t count)
{
	size_t got_count;
	uint8_t *got = load_file(path, &got_count);

	assert_int_equal(got_count, count);
	assert_memory_equal(got, wanted, count);
	free(got);
}

/* What was extracted against its spec. */
static void compare_extracted(const char *root, const struct fs_spec *spec)
{
	const struct fs_spec *inode = inode_of(spec);
	struct stat st;
	char path[1024], target[4096];

	snprintf(path, sizeof(path), "%s%s", root, spec->path);
	if (lstat(path, &st) != 0)
		fail_msg("%s was not extracted", spec->path);
	assert_int_equal(st.st_mode & S_IFMT, mode_of(spec->type));
	assert_int_equal(st.st_uid, inode->uid);
	assert_int_equal(st.st_gid, inode->gid);
	if (spec->type == FS_SYMLINK) {
		assert_int_equal(readlink(path, target, sizeof(target)), strlen(inode->target));
		assert_memory_equal(target, inode->target, strlen(inode->target));
		return;
	}
	/* fsck.erofs 1.5 changes the owner last, which takes setuid away; we_read_theirs compares those bits. */
	assert_int_equal(st.st_mode & 01777, inode->mode & 01777);
	if (spec->type == FS_CHAR_DEVICE || spec->type == FS_BLOCK_DEVICE)
		assert_int_equal(st.st_rdev, device_of(inode->rdev));
	if (spec->type != FS_REGULAR)
		return;
	assert_int_equal(st.st_mtim.tv_sec, inode->mtime);
	assert_int_equal(st.st_mtim.tv_nsec, inode->mtime_ns);
	compare_contents(path, inode->cookie, inode->size_bytes);
}

/* Owners and devices can only be extracted by root. */
static void fsck_extracts_ours(void **state)
{
	char root[300];

	(void)state;
	if (tool_missing("fsck.erofs") || geteuid() != 0)
		skip();
	write_ours();
	snprintf(root, sizeof(root), "%s/out", scratch);
	assert_int_equal(run("fsck.erofs --extract='%s' '%s/ours.img' >/dev/null 2>&1", root, scratch), 0);
	for (size_t i = 0; i < COUNT; i++)
		compare_extracted(root, &specs[i]);
}

/* The number behind `label` in the text. */
static uint64_t number_after(const char *text, const char *label, int base)
{
	const char *at = strstr(text, label);

	if (!at)
		fail_msg("dump.erofs does not say %s", label);
	return strtoull(at + strlen(label), NULL, base);
}

static void dump_agrees(void **state)
{
	struct image *image;
	struct chain_error err = { 0 };
	struct fs fs;

	(void)state;
	if (tool_missing("dump.erofs"))
		skip();
	write_ours();
	image = image_of(specs, COUNT);
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	for (size_t i = 0; i < FIXED + 20; i++) {
		struct fs_node node;
		char log[300];
		uint8_t *text;
		size_t count;

		assert_ok(fs_lookup(&fs, specs[i].path, false, &node, &err), &err);
		snprintf(log, sizeof(log), "%s/dump.log", scratch);
		assert_int_equal(run("dump.erofs --nid=%llu '%s/ours.img' >'%s' 2>&1", (unsigned long long)node.nid,
				     scratch, log),
				 0);
		text = load_file(log, &count);
		assert_int_equal(number_after((char *)text, "Size: ", 10), node.size_bytes);
		assert_int_equal(number_after((char *)text, "NID: ", 10), node.nid);
		assert_int_equal(number_after((char *)text, "Links: ", 10), node.nlink);
		bool inlined = node.type == FS_DIRECTORY || node.type == FS_SYMLINK ||
			       (inode_of(&specs[i])->in_metadata && node.size_bytes < FS_BLOCK_BYTES);
		assert_int_equal(number_after((char *)text, "Layout: ", 10),
				 inlined ? FS_EROFS_FLAT_INLINE : FS_EROFS_FLAT_PLAIN);
		assert_int_equal(number_after((char *)text, "Uid: ", 10), node.uid);
		assert_int_equal(number_after((char *)text, "Gid: ", 10), node.gid);
		assert_int_equal(number_after((char *)text, "Access: ", 8), node.mode & 0777); /* it shows no more */
		free(text);
	}
	image_free(image);
}

/* Every file of a folder against what we read of the image that mkfs.erofs made of it; nftw has no context argument. */
static struct fs theirs;
static size_t theirs_root_bytes, theirs_names;

static int compare_theirs(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *inside = path[theirs_root_bytes] ? path + theirs_root_bytes : "/";
	struct chain_error err = { 0 };
	struct fs_node node;

	(void)flag;
	(void)ftw;
	theirs_names++;
	assert_ok(fs_lookup(&theirs, inside, false, &node, &err), &err);
	assert_int_equal(mode_of(node.type), st->st_mode & S_IFMT);
	assert_int_equal(node.mode, st->st_mode & 07777);
	assert_int_equal(node.uid, st->st_uid);
	assert_int_equal(node.gid, st->st_gid);
	if (node.type != FS_DIRECTORY)
		assert_int_equal(node.nlink, st->st_nlink);
	if (node.type == FS_CHAR_DEVICE || node.type == FS_BLOCK_DEVICE)
		assert_int_equal(st->st_rdev, device_of(node.rdev));
	if (node.type == FS_REGULAR || node.type == FS_SYMLINK) {
		uint8_t *copy = malloc(node.size_bytes + 1), *wanted = malloc(4096);

		assert_true(copy && wanted);
		assert_int_equal(node.size_bytes, st->st_size);
		assert_ok(fs_read(&theirs, &node, 0, copy, node.size_bytes, &err), &err);
		if (node.type == FS_SYMLINK) {
			assert_int_equal(readlink(path, (char *)wanted, 4096), node.size_bytes);
			assert_memory_equal(copy, wanted, node.size_bytes);
		} else {
			compare_contents(path, copy, node.size_bytes);
		}
		free(wanted);
		free(copy);
	}
	return 0;
}

static void make_source_tree(const char *root)
{
	char path[600];

	assert_int_equal(run("rm -rf '%s' && mkdir -p '%s/a/b/c' '%s/many' '%s/many long'", root, root, root, root), 0);
	for (int i = 0; i < 60; i++) {
		/* Around the ends of blocks, where tails begin and end. */
		size_t count = (size_t)(i / 10) * 2048 + (size_t)(i % 10) * 3;

		snprintf(path, sizeof(path), "%s/a/size%d", root, i);
		write_file(path, big + i, count > 12 ? count - 12 : count);
	}
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "%s/many/%d-with-a-name-of-some-length", root, i);
		write_file(path, big, (size_t)i);
	}
	for (int i = 0; i < 30; i++) {
		snprintf(path, sizeof(path), "%s/many long/%0240d", root,
			 i); /* mkfs.erofs 1.5 fails on names of 255 bytes */
		write_file(path, big, 1);
	}
	snprintf(path, sizeof(path), "%s/big", root);
	write_file(path, big, BIG_BYTES);
	snprintf(path, sizeof(path), "%s/a/long", root);
	assert_int_equal(symlink(long_target, path), 0);
	assert_int_equal(run("cd '%s' && ln -s ../big a/link && ln big a/b/hard && ln a/size1 a/b/c/hard && mkfifo "
			     "fifo && chmod 4711 big "
			     "&& chmod 1777 many",
			     root),
			 0);
	if (geteuid() == 0)
		assert_int_equal(
			run("cd '%s' && mknod null c 1 3 && mknod disk b 259 300 && chown 70000:80000 a/size2", root),
			0);
	snprintf(path, sizeof(path), "%s/a/size13", root);
	(void)!setxattr(path, "user.note", "value", 5, 0); /* where the filesystem has none, the image has none */
	(void)!setxattr(path, "user.long", big, 3000, 0);
	snprintf(path, sizeof(path), "%s/a/size14", root);
	(void)!setxattr(path, "user.note", "value", 5, 0);
}

static void read_theirs(const char *root, const char *options)
{
	struct chain_error err = { 0 };
	struct fs_check_report report;
	char path[300];
	uint8_t *bytes;
	size_t count;

	snprintf(path, sizeof(path), "%s/theirs.img", scratch);
	assert_int_equal(run("rm -f '%s' && mkfs.erofs -d0 %s '%s' '%s' >/dev/null 2>&1", path, options, path, root),
			 0);
	bytes = load_file(path, &count);
	assert_ok(fs_mount(&theirs, bytes, count, &err), &err);
	assert_ok(fs_check(&theirs, &report, &err), &err);
	theirs_root_bytes = strlen(root);
	theirs_names = 0;
	assert_int_equal(nftw(root, compare_theirs, 20, FTW_PHYS), 0);
	assert_int_equal(theirs_names, report.entry_count + 1);
	free(bytes);
}

static void we_read_theirs(void **state)
{
	static const char *const options[] = { "",
					       "-T0",
					       "-x1",
					       "-x-1",
					       "-Eforce-inode-compact -T1",
					       "-Eforce-inode-extended",
					       "-Enoinline_data",
					       "-Enosbcrc",
					       "-U 01234567-89ab-cdef-0123-456789abcdef" };
	char root[300];

	(void)state;
	if (tool_missing("mkfs.erofs"))
		skip();
	snprintf(root, sizeof(root), "%s/source", scratch);
	make_source_tree(root);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		/* Compact inodes have no room for the large owner. */
		if (strstr(options[i], "compact") && geteuid() == 0)
			assert_int_equal(run("chown 0:0 '%s/a/size2'", root), 0);
		read_theirs(root, options[i]);
	}
}

static void we_refuse_theirs(void **state)
{
	static const struct {
		const char *options, *detail;
	} cases[] = {
		{ "-zlz4", "compress" },
		{ "-zlz4hc,9 -C16384", "compress" },
		{ "--chunksize=4096", "chunked" },
	};
	char root[300], path[300];

	(void)state;
	if (tool_missing("mkfs.erofs"))
		skip();
	snprintf(root, sizeof(root), "%s/source", scratch);
	snprintf(path, sizeof(path), "%s/theirs.img", scratch);
	make_source_tree(root);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		uint8_t *bytes;
		size_t count;
		struct fs fs;

		assert_int_equal(run("rm -f '%s' && mkfs.erofs -d0 %s '%s' '%s' >/dev/null 2>&1", path,
				     cases[i].options, path, root),
				 0);
		bytes = load_file(path, &count);
		assert_status(fs_mount(&fs, bytes, count, &err), CHAIN_E_NOT_SUPPORTED);
		assert_non_null(strstr(err.detail, cases[i].detail));
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fsck_accepts_ours), cmocka_unit_test(fsck_extracts_ours),
		cmocka_unit_test(dump_agrees),       cmocka_unit_test(we_read_theirs),
		cmocka_unit_test(we_refuse_theirs),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
