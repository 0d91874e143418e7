/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* How deep images may be in each other, and folders in an image: the same for who bakes, verifies and lists. And what
 * of names and targets that are no text stands in a list. */
#include "../cmd/image_file.h"
#include "../cmd/image_tree.h"
#include "bake_folder.h"

#include <fcntl.h>

/* `kchain ARGS...` with its output in a file; the exit code. */
static int command(int (*run)(int, char **), const char *const *args, char out[65536])
{
	char *argv[8] = { 0 };
	int argc = 0, kept[2];

	for (; args[argc]; argc++)
		argv[argc] = strdup(args[argc]);
	(void)fflush(stdout);
	for (int i = 0; i < 2; i++) {
		const int file = open(at(i == 0 ? "stdout" : "stderr"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		kept[i] = dup(i + 1);
		assert_true(file >= 0 && kept[i] >= 0 && dup2(file, i + 1) >= 0);
		(void)close(file);
	}
	const int code = run(argc, argv);

	(void)fflush(stdout);
	const ssize_t got = pread(1, out, 65535, 0), more = got > 0 ? 0 : pread(2, out, 65535, 0);

	out[got > 0 ? got : more > 0 ? more : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		(void)dup2(kept[i], i + 1);
		(void)close(kept[i]);
	}
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return code;
}

static int verify(const char *path, char out[65536])
{
	return command(cmd_verify, (const char *const[]){ "verify", path, NULL }, out);
}

static int list(const char *path, char out[65536])
{
	return command(cmd_ls, (const char *const[]){ "ls", "--json", path, NULL }, out);
}

static int tree_make(void **state)
{
	(void)state;
	return folder_make("in/d", "in/kernel") ? 0 : -1;
}

static enum chain_status bake(struct chain_error *err)
{
	char from[256], to[256], stage[256];

	(void)snprintf(from, sizeof(from), "%s", at("in"));
	(void)snprintf(to, sizeof(to), "%s", at("out/image.elf"));
	(void)snprintf(stage, sizeof(stage), "%s", at("stage.elf"));
	struct bake_job job = { .input = from, .output = to, .stage = stage, .base = CHAIN_BAKE_BASE };
	const enum chain_status status = bake_job_run(&job, err);

	bake_job_free(&job);
	return status;
}

/* Past the command, which refuses it: an image of one file. */
static void image_around(const char *inner, const char *outer)
{
	static uint8_t stage[STAGE_FILE_BYTES];
	struct chain_bake_result result;
	struct sink sink = { .count = 0 };
	struct cmd_file file;

	stage_make(stage);
	assert_int_equal(cmd_file_load(at(inner), 0, &file, NULL), CHAIN_OK);
	const struct fs_spec spec = { .path = "/child",
				      .type = FS_REGULAR,
				      .mode = 0644,
				      .size_bytes = file.bytes_count,
				      .cookie = (void *)(uintptr_t)file.bytes };
	struct chain_bake_request request = request_make(stage, &spec, 1, &sink);

	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	cmd_file_free(&file);
	put(outer, sink.bytes, sink.count);
	free(sink.bytes);
}

static void images_in_images(void **state)
{
	static char out[65536];
	char image[256];

	(void)state;
	for (int depth = 1; depth <= IMAGE_NESTING_MAX; depth++) {
		struct chain_error err = { 0 };

		assert_int_equal(bake(&err), CHAIN_OK);
		assert_int_equal(rename(at("out/image.elf"), at("in/d/child")), 0);
	}
	struct chain_error err = { 0 };

	assert_int_equal(bake(&err), CHAIN_E_LIMIT);
	assert_string_equal(err.subject, "images in images");
	assert_int_equal(err.number[0], IMAGE_NESTING_MAX + 1);
	assert_int_equal(err.number[1], IMAGE_NESTING_MAX);
	assert_int_equal(entries("out"), 2);
	(void)snprintf(image, sizeof(image), "%s", at("in/d/child"));
	if (verify(image, out) != 0)
		fail_msg("%s", out);
	image_around("in/d/child", "out/deeper");
	(void)snprintf(image, sizeof(image), "%s", at("out/deeper"));
	assert_int_equal(verify(image, out), CMD_REFUSED);
	assert_non_null(strstr(out, "child: images in images: 65 levels exceed the limit of 64"));
	assert_int_equal(unlink(at("out/deeper")) | unlink(at("in/d/child")), 0);
}

/* An image with folders alone, the deepest by a path of `bytes` bytes. */
static void folders_make(size_t bytes, const char *name)
{
	static uint8_t stage[STAGE_FILE_BYTES];
	static char path[CHAIN_IMAGE_PATH_BYTES + 4096];
	struct chain_bake_result result;
	struct sink sink = { .count = 0 };
	struct fs_spec spec = { .path = path, .type = FS_DIRECTORY, .mode = 0755 };

	for (size_t i = 0; i < bytes; i++)
		path[i] = i % 2 && i + 1 < bytes ? 'x' : '/';
	if (path[bytes - 1] == '/')
		path[bytes - 1] = 'y';
	path[bytes] = '\0';
	stage_make(stage);
	struct chain_bake_request request = request_make(stage, &spec, 1, &sink);

	/* the baker's own limit */
	const enum chain_status wanted = bytes < CHAIN_IMAGE_PATH_BYTES ? CHAIN_OK : CHAIN_E_LIMIT;
	struct chain_error err = { 0 };

	assert_int_equal(chain_bake(&request, &result, &err), wanted);
	if (wanted == CHAIN_OK)
		put(name, sink.bytes, sink.count);
	else
		assert_int_equal(err.number[1], CHAIN_IMAGE_PATH_BYTES - 1);
	free(sink.bytes);
}

static enum chain_status count_node(void *ctx, const char *path, const struct fs_node *node, struct chain_error *err)
{
	(void)node;
	(void)err;
	assert_true(path[0] == '/' && strlen(path) < CHAIN_IMAGE_PATH_BYTES);
	++*(size_t *)ctx;
	return CHAIN_OK;
}

/* What no baker of ours makes: a filesystem with longer paths. */
static enum chain_status walk_deep(size_t bytes, size_t *out_count, struct chain_error *err)
{
	static char path[4096];
	const struct fs_spec spec = { .path = path, .type = FS_DIRECTORY, .mode = 0755 };
	struct sink sink = { .count = 0 };
	struct fs_writer *writer;
	struct fs fs;

	for (size_t i = 0; i < bytes; i++)
		path[i] = i % 2 ? 'x' : '/';
	path[bytes] = '\0';
	assert_int_equal(fs_writer_new(&writer, NULL), CHAIN_OK);
	assert_int_equal(fs_writer_add(writer, &spec, NULL), CHAIN_OK);
	assert_int_equal(fs_writer_layout(writer, NULL), CHAIN_OK);
	assert_int_equal(fs_writer_emit(writer, cookie_read, sink_take, NULL, &sink, NULL), CHAIN_OK);
	fs_writer_free(writer);
	assert_int_equal(fs_mount(&fs, sink.bytes, sink.count, NULL), CHAIN_OK);
	*out_count = 0;
	const enum chain_status status = image_tree_walk(&fs, "/", count_node, out_count, err);

	free(sink.bytes);
	return status;
}

static void folders_in_folders(void **state)
{
	static char out[65536];
	char image[256];
	size_t count;

	(void)state;
	folders_make(CHAIN_IMAGE_PATH_BYTES - 1, "out/folders");
	folders_make(CHAIN_IMAGE_PATH_BYTES, "out/folders");
	(void)snprintf(image, sizeof(image), "%s", at("out/folders"));
	assert_int_equal(verify(image, out), 0);
	assert_int_equal(list(image, out), 0);
	assert_int_equal(unlink(image), 0);
	for (size_t bytes = 1020; bytes < 1030; bytes += 2) {
		struct chain_error err = { 0 };
		const bool good = bytes < CHAIN_IMAGE_PATH_BYTES;

		assert_int_equal(walk_deep(bytes, &count, &err), good ? CHAIN_OK : CHAIN_E_LIMIT);
		if (good)
			assert_int_equal(count, bytes / 2 + 1);
		else
			assert_int_equal(err.number[1], CHAIN_IMAGE_PATH_BYTES - 1);
	}
}

/* Targets may be any bytes; names of ours are UTF-8. */
static void bytes_that_are_no_text(void **state)
{
	static const char target[] = "a\xff\x1b\xc2\x9b"
				     "b";
	static char out[65536];
	struct chain_error err = { 0 };
	char image[256];
	size_t i;
	json_t *entry;
	int seen = 0;

	(void)state;
	assert_int_equal(symlink(target, at("in/odd")) | symlink("plain", at("in/plain")), 0);
	assert_int_equal(bake(&err), CHAIN_OK);
	assert_int_equal(rename(at("out/image.elf"), at("out/o\xff")), 0);
	(void)snprintf(image, sizeof(image), "%s", at("out/o\xff"));
	if (list(image, out) != 0)
		fail_msg("%s", out);
	json_t *doc = json_loads(out, 0, NULL);

	json_array_foreach (doc, i, entry) {
		const char *path = json_string_value(json_object_get(entry, "path")),
			   *hex = json_string_value(json_object_get(entry, "target_hex"));

		assert_null(json_object_get(entry, "path_hex"));
		if (strcmp(path, "/odd") == 0) {
			assert_string_equal(hex, "61ff1bc29b62");
			assert_string_equal(json_string_value(json_object_get(entry, "target")),
					    "a\xef\xbf\xbd\x1b\xc2\x9b"
					    "b");
			seen++;
		}
		if (strcmp(path, "/plain") == 0) {
			assert_null(hex);
			seen++;
		}
	}
	assert_int_equal(seen, 2);
	json_decref(doc);
	for (int long_form = 0; long_form < 2; long_form++) {
		assert_int_equal(
			command(cmd_ls,
				(const char *const[]){ "ls", long_form ? "-l" : image, long_form ? image : NULL, NULL },
				out),
			0);
		for (const char *c = out; *c; c++)
			assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
		assert_int_equal(strstr(out, "/odd -> a\\xff\\x1b\\xc2\\x9bb\n") != NULL, long_form);
	}
	assert_int_equal(command(cmd_verify, (const char *const[]){ "verify", "--json", image, NULL }, out), 0);
	assert_non_null(strstr(out, "\"image_hex\": \"2f"));
	assert_non_null(strstr(out, "6fff\""));
	assert_int_equal(unlink(image) | unlink(at("in/odd")) | unlink(at("in/plain")), 0);
}

static void the_id_asked_for(void **state)
{
	static const char good[] = "sha256:";
	static char out[65536];
	struct chain_error err = { 0 };
	char image[256], id[IMAGE_ID_BYTES + 1];
	struct image_file file;

	(void)state;
	assert_int_equal(bake(&err), CHAIN_OK);
	(void)snprintf(image, sizeof(image), "%s", at("out/image.elf"));
	assert_int_equal(image_file_open(image, &file, NULL), CHAIN_OK);
	(void)image_id_text(file.image.header.id, id);
	image_file_close(&file);
	assert_int_equal(command(cmd_verify, (const char *const[]){ "verify", "--id", id, image, NULL }, out), 0);
	for (size_t i = 0; i < sizeof(id) - 2; i++) {
		char other[sizeof(id)];

		memcpy(other, id, sizeof(id));
		other[i] = other[i] == '0' ? '1' : '0';
		assert_int_equal(
			command(cmd_verify, (const char *const[]){ "verify", image, "--id", other, NULL }, out),
			i < sizeof(good) - 1 ? CMD_USAGE : CMD_REFUSED);
	}
	assert_non_null(strstr(out, "another image than was asked for"));
	id[IMAGE_ID_BYTES - 2] = '\0';
	assert_int_equal(command(cmd_verify, (const char *const[]){ "verify", image, "--id", id, NULL }, out),
			 CMD_USAGE);
	assert_int_equal(command(cmd_verify, (const char *const[]){ "verify", image, "--id", "", NULL }, out),
			 CMD_USAGE);
	assert_int_equal(unlink(image), 0);
}

/* A name that promises another form than an image has. */
static void other_forms_are_refused(void **state)
{
	static const char *const names[] = { "out/a.iso",  "out/a.ISO", "out/a.efi", "out/a.Efi", "out/a.qcow2",
					     "out/a.vmdk", "out/a.vdi", "out/a.vhd", "out/a.vhdx" };
	static char out[65536];
	char input[256], output[256], stage[256];

	(void)state;
	(void)snprintf(input, sizeof(input), "%s", at("in"));
	(void)snprintf(stage, sizeof(stage), "%s", at("stage.elf"));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) + 3; i++) {
		static const char *const fine[] = { "out/iso", "out/a.iso.elf", "out/aefi" };
		const bool refused = i < sizeof(names) / sizeof(names[0]);

		(void)snprintf(output, sizeof(output), "%s",
			       at(refused ? names[i] : fine[i - sizeof(names) / sizeof(names[0])]));
		const int code = command(
			cmd_bake, (const char *const[]){ "bake", input, "-o", output, "--stage", stage, NULL }, out);

		assert_int_equal(code, refused ? CMD_REFUSED : CMD_OK);
		if (refused)
			assert_non_null(strstr(out, "an image is an ELF file"));
		assert_int_equal(access(output, F_OK) == 0, !refused);
		(void)unlink(output);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_in_images),        cmocka_unit_test(folders_in_folders),
		cmocka_unit_test(bytes_that_are_no_text),  cmocka_unit_test(the_id_asked_for),
		cmocka_unit_test(other_forms_are_refused),
	};

	(void)setenv("XDG_CACHE_HOME", folder, 1);
	return cmocka_run_group_tests(tests, tree_make, folder_remove);
}
