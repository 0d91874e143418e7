/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What of a tree goes into an image besides contents: attributes, names of one inode, depth; and that the walk stays in
 * the tree, whatever is done to it meanwhile. */
#include "bake_folder.h"
#include "fs/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

/* --- what happens between two looks (chain/build.mk links these in) --- */

int __real_lstat(const char *path, struct stat *about);
int __wrap_lstat(const char *path, struct stat *about);

static struct {
	const char *name;  /* when this was looked at, */
	void (*act)(void); /* this happens, once */
} race;

int __wrap_lstat(const char *path, struct stat *about)
{
	const int result = __real_lstat(path, about);

	if (race.name && strcmp(path, race.name) == 0) {
		race.name = NULL;
		race.act();
	}
	return result;
}

/* --- helpers --- */

static enum chain_status bake(const char *input, const char *output, struct chain_error *err)
{
	char from[256], to[256], stage[256];

	(void)snprintf(from, sizeof(from), "%s", at(input));
	(void)snprintf(to, sizeof(to), "%s", output[0] == '/' ? output : at(output));
	(void)snprintf(stage, sizeof(stage), "%s", at("stage.elf"));
	struct bake_job job = { .input = from, .output = to, .stage = stage, .base = CHAIN_BAKE_BASE };
	const enum chain_status status = bake_job_run(&job, err);

	bake_job_free(&job);
	return status;
}

static void baked(struct cmd_file *out_file, struct chain_image *out_image)
{
	struct chain_error err = { 0 };

	if (bake("in", "out/image.elf", &err) != CHAIN_OK)
		fail_msg("%s: %s %s", chain_status_slug(err.status), err.subject, err.detail);
	assert_int_equal(cmd_file_load(at("out/image.elf"), 0, out_file, NULL), CHAIN_OK);
	assert_int_equal(chain_image_open(out_image, out_file->bytes, out_file->bytes_count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(out_image, NULL, NULL, NULL), CHAIN_OK);
	assert_int_equal(fs_check(&out_image->fs, NULL, NULL), CHAIN_OK);
	assert_int_equal(unlink(at("out/image.elf")), 0);
}

static struct fs_node node_of(const struct chain_image *image, const char *path)
{
	struct fs_node node;

	assert_int_equal(fs_lookup(&image->fs, path, false, &node, NULL), CHAIN_OK);
	return node;
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static int walk_make(void **state)
{
	(void)state;
	return folder_make("in/d", "in/kernel") ? 0 : -1;
}

/* --- inodes --- */

static void names_of_one_inode(void **state)
{
	struct chain_image image;
	struct cmd_file file;

	(void)state;
	put_text("in/d/one", "one\n");
	assert_int_equal(link(at("in/d/one"), at("in/two")), 0);
	assert_int_equal(symlink("d/one", at("in/link")), 0);
	assert_int_equal(link(at("in/link"), at("in/d/link")), 0);
	assert_int_equal(link(at("in/link"), at("in/a-link")), 0);
	assert_int_equal(symlink("d/one", at("in/other")), 0);
	baked(&file, &image);
	const struct fs_node one = node_of(&image, "/d/one"), two = node_of(&image, "/two"),
			     link = node_of(&image, "/link"), d_link = node_of(&image, "/d/link"),
			     a_link = node_of(&image, "/a-link"), other = node_of(&image, "/other");

	assert_int_equal(one.nid, two.nid);
	assert_int_equal(one.nlink, 2);
	assert_int_equal(link.type, FS_SYMLINK);
	assert_int_equal(link.nid, d_link.nid);
	assert_int_equal(link.nid, a_link.nid);
	assert_int_equal(link.nlink, 3);
	assert_int_not_equal(other.nid, link.nid);
	assert_int_equal(other.nlink, 1);
	cmd_file_free(&file);
	assert_int_equal(unlink(at("in/two")) | unlink(at("in/link")) | unlink(at("in/d/link")) |
				 unlink(at("in/a-link")) | unlink(at("in/other")),
			 0);
}

/* --- attributes --- */

static bool attribute_set(const char *name, const char *attribute, const void *value, size_t bytes)
{
	if (lsetxattr(at(name), attribute, value, bytes, 0) == 0)
		return true;
	assert_true(errno == ENOTSUP || errno == EPERM);
	return false;
}

/* How often these bytes stand in the filesystem's metadata. */
static unsigned found(const struct chain_image *image, const void *bytes, size_t count)
{
	const uint8_t *next = image->fs_bytes, *const end = next + image->fs_meta_bytes;
	unsigned times = 0;

	while ((next = memmem(next, (size_t)(end - next), bytes, count)) != NULL) {
		next++;
		times++;
	}
	return times;
}

/* Linux's own reader is asked in qemu-tests/test_linux_erofs.py; here: all are there, and none that should not be. */
static void attributes_are_kept(void **state)
{
	/* VFS_CAP_REVISION_2, effective, CAP_NET_BIND_SERVICE (linux/capability.h) */
	static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4 };
	static char large[2000];
	struct chain_image image;
	struct cmd_file file;

	(void)state;
	memset(large, 'L', sizeof(large));
	put_text("in/d/one", "one\n");
	if (!attribute_set("in/d/one", "user.small", "s-value", 7))
		skip();
	assert_true(attribute_set("in/d/one", "user.none", "", 0));
	assert_true(attribute_set("in/d/one", "user.large", large, sizeof(large)));
	assert_true(attribute_set("in/d", "user.folder", "f-value", 7));
	assert_true(attribute_set("in", "user.root", "r-value", 7));
	const bool root = attribute_set("in/d/one", "security.capability", capability, sizeof(capability));

	if (root) {
		assert_true(attribute_set("in/d/one", "trusted.secret", "t-value", 7));
		assert_int_equal(symlink("one", at("in/d/link")), 0);
		(void)attribute_set("in/d/link", "security.note", "n-value", 7);
	}
	baked(&file, &image);
	assert_int_equal(found(&image, "smalls-value", 12), 1);
	assert_int_equal(found(&image, large, sizeof(large)), 1);
	assert_int_equal(found(&image, "folderf-value", 13), 1);
	assert_int_equal(found(&image, "rootr-value", 11), 1);
	assert_int_equal(found(&image, "none", 4), 1);
	assert_int_equal(found(&image, "t-value", 7), 0);
	assert_int_equal(found(&image, "n-value", 7), 0);
	assert_int_equal(found(&image, capability, sizeof(capability)), root);
	cmd_file_free(&file);
	assert_int_equal(removexattr(at("in"), "user.root") | removexattr(at("in/d"), "user.folder") |
				 unlink(at("in/d/one")),
			 0);
	if (root)
		assert_int_equal(unlink(at("in/d/link")), 0);
}

/* More names than fit a small buffer. */
static void many_attributes(void **state)
{
	enum { MANY = 60 };
	struct chain_image image;
	struct cmd_file file;
	char name[64], value[64];

	(void)state;
	put_text("in/d/one", "one\n");
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "user.attribute-%03d", i);
		(void)snprintf(value, sizeof(value), "value-%03d", i);
		if (!attribute_set("in/d/one", name, value, strlen(value)))
			skip();
	}
	baked(&file, &image);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(value, sizeof(value), "attribute-%03dvalue-%03d", i, i);
		assert_int_equal(found(&image, value, strlen(value)), 1);
	}
	cmd_file_free(&file);
	assert_int_equal(unlink(at("in/d/one")), 0);
}

static void attribute_change(void)
{
	assert_int_equal(setxattr(at("in/d/one"), "user.small", "longer", 6, 0), 0);
}

/* After the walk: the file is another then. */
static void a_changed_attribute_is_a_changed_file(void **state)
{
	struct chain_error err = { 0 };

	(void)state;
	put_text("in/d/one", "one\n");
	if (!attribute_set("in/d/one", "user.small", "short", 5))
		skip();
	race.name = "kernel";
	race.act = attribute_change;
	const bool before = bake("in", "out/image.elf", &err) == CHAIN_OK; /* where the walk came by afterwards */

	assert_true(before || err.status == CHAIN_E_FILE_CHANGED);
	(void)unlink(at("out/image.elf"));
	assert_int_equal(unlink(at("in/d/one")), 0);
}

/* --- files that are not what they say --- */

static void bytes_without_a_size(void **state)
{
	struct chain_error err = { 0 };

	(void)state;
	put_text("in/empty", "");
	put_text("in/pipeline.json",
		 "{\"kchain\":1,\"name\":\"x\",\"files\":{\"/k\":\"kernel\",\"/e\":\"empty\",\"/v\":\"/proc/version\"},"
		 "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\"}]}");
	assert_int_equal(bake("in", "out/image.elf", &err), CHAIN_E_BAKE_NOT_BAKEABLE);
	assert_string_equal(err.subject, "/proc/version");
	assert_int_equal(unlink(at("in/pipeline.json")) | unlink(at("in/empty")), 0);
}

/* --- the output is no input --- */

static void no_input_is_written_over(void **state)
{
	static const char pipeline[] =
		"{\"kchain\":1,\"name\":\"x\",\"files\":{\"/k\":\"kernel\",\"/t\":\"d\",\"/l\":\"to-alone\"},"
		"\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\"}]}";
	/* a name, and the input that it is */
	static const char *const cases[][2] = {
		{ "in/kernel", "in/kernel" },         { "in/pipeline.json", "in/pipeline.json" },
		{ "stage.elf", "stage.elf" },         { "in/d/one", "in/d/one" },
		{ "in/d/hard", "in/d/one" },          { "out/hard", "in/d/one" },
		{ "out/link", "in/d/one" },           { "in/d/link", "in/d/one" },
		{ "out/link-to-stage", "stage.elf" }, { "in/alone", "in/to-alone" },
		{ "in/to-alone", "in/to-alone" },     { "in/d/dangling", "in/d/dangling" },
		{ "out/../in/d/one", "in/d/one" },
	};
	char there[256];

	(void)state;
	put("in/pipeline.json", pipeline, sizeof(pipeline) - 1);
	put_text("in/d/one", "one\n");
	put_text("in/alone", "alone\n");
	(void)snprintf(there, sizeof(there), "%s", at("in/d/one"));
	assert_int_equal(link(there, at("in/d/hard")) | link(there, at("out/hard")) | symlink(there, at("out/link")) |
				 symlink("one", at("in/d/link")) | symlink("../stage.elf", at("out/link-to-stage")) |
				 symlink("alone", at("in/to-alone")) | symlink("nowhere", at("in/d/dangling")),
			 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		struct stat before, after;

		assert_int_equal(lstat(at(cases[i][0]), &before), 0);
		assert_int_equal(bake("in", cases[i][0], &err), CHAIN_E_OVER_INPUT);
		assert_string_equal(err.subject, at(cases[i][0]));
		assert_true(access(err.detail, F_OK) == 0 || strstr(err.detail, "dangling"));
		assert_int_equal(lstat(at(cases[i][0]), &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(before.st_size, after.st_size);
	}
	struct chain_error err = { 0 };

	put_text("out/else", "else\n");
	assert_int_equal(bake("in", "out/else", &err), CHAIN_OK);
	assert_int_equal(unlink(at("out/else")) | unlink(at("out/hard")) | unlink(at("out/link")) |
				 unlink(at("out/link-to-stage")) | unlink(at("in/d/hard")) | unlink(at("in/d/link")) |
				 unlink(at("in/d/dangling")) | unlink(at("in/d/one")) | unlink(at("in/alone")) |
				 unlink(at("in/to-alone")) | unlink(at("in/pipeline.json")),
			 0);
}

/* --- folders that are replaced --- */

static void folder_becomes_link(void)
{
	assert_int_equal(rename(at("in/d/inner"), at("in/moved")), 0);
	assert_int_equal(symlink(at("secret"), at("in/d/inner")), 0);
}

static void folder_becomes_link_to_itself(void)
{
	assert_int_equal(rename(at("in/d/inner"), at("in/moved")), 0);
	assert_int_equal(symlink("../moved", at("in/d/inner")), 0);
}

static void folder_becomes_other(void)
{
	assert_int_equal(rename(at("in/d/inner"), at("in/moved")), 0);
	assert_int_equal(rename(at("secret"), at("in/d/inner")), 0);
}

static void folder_becomes_pipe(void)
{
	assert_int_equal(rename(at("in/d/inner"), at("in/moved")), 0);
	assert_int_equal(mkfifo(at("in/d/inner"), 0600), 0);
}

/* The folder above is gone to elsewhere by the time its files are looked at: the walk goes on in it. */
static void above_becomes_link(void)
{
	assert_int_equal(rename(at("in/d"), at("in/moved")), 0);
	assert_int_equal(symlink(at("secret"), at("in/d")), 0);
}

static void no_link_is_entered(void **state)
{
	static const struct {
		const char *name;
		void (*act)(void);
		enum chain_status status;
	} cases[] = {
		{ "inner", folder_becomes_link, CHAIN_E_FILE_CHANGED },
		{ "inner", folder_becomes_link_to_itself, CHAIN_E_FILE_CHANGED },
		{ "inner", folder_becomes_other, CHAIN_E_FILE_CHANGED },
		{ "inner", folder_becomes_pipe, CHAIN_E_FILE_CHANGED },
		{ "deep", folder_becomes_link, CHAIN_OK },
		{ "inner", above_becomes_link, CHAIN_OK },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bake_tree tree;
		struct chain_error err = { 0 };
		char root[] = "/", from[] = "in";
		const struct chain_config_file file = { .path = root, .from = from, .mode = CHAIN_CONFIG_MODE_AS_IS };

		assert_int_equal(mkdir(at("secret"), 0755) | mkdir(at("secret/inner"), 0755) |
					 mkdir(at("in/d/inner"), 0755) | mkdir(at("in/d/inner/deep"), 0755),
				 0);
		put_text("secret/key", "secret\n");
		put_text("secret/inner/key", "secret\n");
		put_text("in/d/inner/deep/file", "file\n");
		race.name = cases[i].name;
		race.act = cases[i].act;
		assert_int_equal(bake_tree_init(&tree, NULL, NULL, NULL), CHAIN_OK);
		assert_int_equal(bake_tree_add(&tree, folder, &file, &err), cases[i].status);
		assert_null(race.name);
		if (cases[i].status != CHAIN_OK)
			assert_non_null(strstr(err.subject, "/in/d/inner"));
		bool seen = false;

		for (size_t n = 0; n < tree.count; n++) {
			assert_null(strstr(tree.v[n]->path, "key"));
			seen = seen || strcmp(tree.v[n]->path, "/d/inner/deep/file") == 0;
		}
		assert_int_equal(seen, cases[i].status == CHAIN_OK);
		bake_tree_free(&tree);

		char line[700];

		(void)snprintf(line, sizeof(line), "cd '%s' && rm -rf secret in/moved in/d && mkdir in/d", folder);
		assert_int_equal(system(line), 0);
	}
	(void)state;
}

/* The walk leaves the working directory as it was, also when it fails. */
static void the_working_directory_stays(void **state)
{
	char before[4096], after[4096], root[] = "/", missing[] = "missing", from[] = "in";
	const struct chain_config_file files[] = { { .path = root, .from = from, .mode = CHAIN_CONFIG_MODE_AS_IS },
						   { .path = root, .from = missing, .mode = CHAIN_CONFIG_MODE_AS_IS } };

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	for (size_t i = 0; i < 3; i++) {
		struct bake_tree tree;
		const enum chain_status wanted = i == 0 ? CHAIN_OK : i == 1 ? CHAIN_E_IO : CHAIN_E_BAKE_NOT_BAKEABLE;

		if (i == 2)
			assert_int_equal(mkfifo(at("in/d/pipe"), 0600), 0);
		assert_int_equal(bake_tree_init(&tree, NULL, NULL, NULL), CHAIN_OK);
		assert_int_equal(bake_tree_add(&tree, folder, &files[i % 2], NULL), wanted);
		bake_tree_free(&tree);
		assert_non_null(getcwd(after, sizeof(after)));
		assert_string_equal(before, after);
	}
	assert_int_equal(unlink(at("in/d/pipe")), 0);
}

/* --- depth --- */

/* in/x/x/x/..., `bytes` bytes of path with a file at the end whose name fills it up; gone again with false. */
static void deep_tree(size_t bytes, bool make)
{
	char line[600];

	(void)snprintf(line, sizeof(line),
		       make ? "cd '%s/in' && python3 - <<'E'\nimport os\nleft=%zu\nwhile left>5: os.mkdir('x'); "
			      "os.chdir('x'); left-=2\n"
			      "open('y'*(left-1),'w').write('deep')\nE\n" :
			      "rm -rf '%s/in/x'",
		       folder, bytes);
	assert_int_equal(system(line), 0);
}

static void as_deep_as_a_path(void **state)
{
	enum { MOST = CHAIN_IMAGE_PATH_BYTES - 1 };
	struct chain_image image;
	struct chain_error err = { 0 };
	struct cmd_file file;

	(void)state;
	deep_tree(MOST, true);
	baked(&file, &image);
	cmd_file_free(&file);
	deep_tree(0, false);
	deep_tree(MOST + 1, true);
	assert_int_equal(bake("in", "out/image.elf", &err), CHAIN_E_LIMIT);
	assert_int_equal(err.number[0], MOST + 1);
	assert_int_equal(err.number[1], MOST);
	deep_tree(0, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_one_inode),   cmocka_unit_test(attributes_are_kept),
		cmocka_unit_test(many_attributes),      cmocka_unit_test(a_changed_attribute_is_a_changed_file),
		cmocka_unit_test(bytes_without_a_size), cmocka_unit_test(no_input_is_written_over),
		cmocka_unit_test(no_link_is_entered),   cmocka_unit_test(the_working_directory_stays),
		cmocka_unit_test(as_deep_as_a_path),
	};

	return cmocka_run_group_tests(tests, walk_make, folder_remove);
}
