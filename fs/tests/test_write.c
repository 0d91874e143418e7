/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "support.h"

#include "chain/verity.h"
#include "fs/check.h"

#define FILE_OF(text)                                                                                                  \
	.type = FS_REGULAR, .mode = 0644, .size_bytes = sizeof(text) - 1, .cookie = (void *)(uintptr_t)(text)

static const struct fs_spec sample[] = {
	{ .path = "/", .type = FS_DIRECTORY, .mode = 0751, .uid = 3, .mtime = 1000, .mtime_ns = 7 },
	{ .path = "/hello", FILE_OF("hello, world\n"), .mtime = 1000, .mtime_ns = 7 },
	{ .path = "/empty", FILE_OF(""), .uid = 70000, .gid = 80000, .mtime = 5000000000, .mtime_ns = 999999999 },
	{ .path = "/a/b/c/deep", FILE_OF("deep down") },
	{ .path = "/a-b", FILE_OF("sorts between /a and /a/b") },
	{ .path = "/!early", FILE_OF("before the dots") },
	{ .path = "/.-x", FILE_OF("between the dots") },
	{ .path = "/link", .type = FS_SYMLINK, .mode = 0777, .target = "a/b/c/deep" },
	{ .path = "/same", .type = FS_SYMLINK, .mode = 0777, .target = "a/b/c/deep" },
	{ .path = "/a/up", .type = FS_SYMLINK, .mode = 0777, .target = "../../../hello" },
	{ .path = "/hard", .type = FS_REGULAR, .hard_link = "/hello" },
	{ .path = "/tty", .type = FS_CHAR_DEVICE, .mode = 0600, .rdev = 5 << 8 },
	{ .path = "/sda", .type = FS_BLOCK_DEVICE, .mode = 0660, .rdev = 8 << 8 | 1 },
	{ .path = "/fifo", .type = FS_FIFO, .mode = 04644 },
	{ .path = "/sock", .type = FS_SOCKET, .mode = 0777 },
};
enum { SAMPLE_COUNT = sizeof(sample) / sizeof(sample[0]) };

static void assert_bytes(const struct fs *fs, const char *path, const char *text)
{
	struct chain_error err = { 0 };
	struct fs_node node;
	const uint8_t *bytes;
	uint64_t count;
	char copy[256];

	assert_ok(fs_lookup(fs, path, true, &node, &err), &err);
	assert_ok(fs_file_bytes(fs, &node, &bytes, &count, &err), &err);
	assert_int_equal(count, strlen(text));
	assert_memory_equal(bytes, text, count);
	assert_int_equal((uint64_t)(bytes - fs->bytes) % FS_BLOCK_BYTES, 0);
	assert_ok(fs_read(fs, &node, 0, copy, count, &err), &err);
	assert_memory_equal(copy, text, count);
}

static struct fs_node node_at(const struct fs *fs, const char *path, bool follow_last)
{
	struct chain_error err = { 0 };
	struct fs_node node = { 0 };

	assert_ok(fs_lookup(fs, path, follow_last, &node, &err), &err);
	return node;
}

static void round_trip(void **state)
{
	struct image *image = image_of(sample, SAMPLE_COUNT);
	struct chain_error err = { 0 };
	struct fs fs;
	struct fs_node node;

	(void)state;
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_int_equal(fs.block_bytes, FS_BLOCK_BYTES);
	assert_bytes(&fs, "/hello", "hello, world\n");
	assert_bytes(&fs, "//hard", "hello, world\n");
	assert_bytes(&fs, "/a/b/c/deep", "deep down");
	assert_bytes(&fs, "/link", "deep down");
	assert_bytes(&fs, "/a/../a/up", "hello, world\n");
	assert_bytes(&fs, "/../..//./hello", "hello, world\n");
	assert_bytes(&fs, "/a-b", "sorts between /a and /a/b");
	assert_bytes(&fs, "/!early", "before the dots");
	assert_bytes(&fs, "/.-x", "between the dots");

	node = node_at(&fs, "/", true);
	assert_true(node.type == FS_DIRECTORY && node.mode == 0751 && node.uid == 3 && node.mtime == 1000 &&
		    node.mtime_ns == 7);
	assert_int_equal(node.nlink, 3);
	node = node_at(&fs, "/hello", true);
	assert_true(node.nlink == 2 && node.nid == node_at(&fs, "/hard", true).nid);
	node = node_at(&fs, "/empty", true);
	assert_true(node.size_bytes == 0 && node.uid == 70000 && node.gid == 80000 && node.mtime == 5000000000 &&
		    node.mtime_ns == 999999999);
	node = node_at(&fs, "/link", false);
	assert_true(node.type == FS_SYMLINK && node.data_offset < image->meta_bytes);
	node = node_at(&fs, "/sda", true);
	assert_true(node.type == FS_BLOCK_DEVICE && node.rdev == 0x801 && node.mode == 0660);
	assert_int_equal(node_at(&fs, "/tty", true).rdev, 0x500);
	assert_int_equal(node_at(&fs, "/fifo", true).mode, 04644);
	assert_int_equal(node_at(&fs, "/sock", true).type, FS_SOCKET);
	assert_int_equal(node_at(&fs, "/a", true).mode, 0755);
	image_free(image);
}

/* The same nodes, added in any order, give the same bytes. */
static void order_does_not_matter(void **state)
{
	struct image *image = image_of(sample, SAMPLE_COUNT);
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct fs_spec shuffled[SAMPLE_COUNT];
		struct image *other;

		memcpy(shuffled, sample, sizeof(shuffled));
		for (size_t i = SAMPLE_COUNT - 1; i > 0; i--) {
			size_t j = next_random(&seed) % (i + 1);
			struct fs_spec kept = shuffled[i];

			shuffled[i] = shuffled[j];
			shuffled[j] = kept;
		}
		other = image_of(shuffled, SAMPLE_COUNT);
		assert_int_equal(other->bytes_count, image->bytes_count);
		assert_memory_equal(other->bytes, image->bytes, image->bytes_count);
		image_free(other);
	}
	image_free(image);
}

/* A byte of content changes the UUID; whether the writer hashed it or was told its digest makes no difference. */
static void uuid_follows_content(void **state)
{
	char text[] = "content";
	uint8_t sha[2][CHAIN_LOCATED_BYTES];
	struct fs_spec spec = { .path = "/f", .type = FS_REGULAR, .size_bytes = 7, .cookie = text };
	struct image *images[4];

	(void)state;
	chain_verity_of_located(text, 7, sha[0]);
	images[0] = image_of(&spec, 1);
	spec.digest = sha[0];
	images[1] = image_of(&spec, 1);
	text[3] ^= 1;
	chain_verity_of_located(text, 7, sha[1]);
	spec.digest = sha[1];
	images[2] = image_of(&spec, 1);
	spec.digest = NULL;
	images[3] = image_of(&spec, 1);
	for (int i = 0; i < 4; i++) {
		const uint8_t *uuid = images[i]->bytes + FS_EROFS_SUPER_OFFSET + offsetof(struct fs_erofs_super, uuid);

		assert_int_equal(uuid[6] >> 4, 8);
		assert_int_equal(uuid[8] >> 6, 2);
	}
	assert_memory_equal(images[0]->bytes, images[1]->bytes, images[0]->bytes_count);
	assert_memory_equal(images[2]->bytes, images[3]->bytes, images[2]->bytes_count);
	assert_memory_not_equal(images[0]->bytes + FS_EROFS_SUPER_OFFSET, images[2]->bytes + FS_EROFS_SUPER_OFFSET,
				128);
	for (int i = 0; i < 4; i++)
		image_free(images[i]);
}

static const struct fs_placed *placed_at(const struct fs_writer *writer, const char *path)
{
	size_t count;
	const struct fs_placed *placed = fs_writer_placed(writer, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(placed[i].spec->path, path) == 0)
			return &placed[i];
	fail_msg("%s is not listed", path);
	return NULL;
}

static void places(void **state)
{
	static uint8_t big[10000];
	uint8_t sha[CHAIN_LOCATED_BYTES];
	struct fs_spec specs[] = {
		{ .path = "/b/one", .type = FS_REGULAR, .size_bytes = sizeof(big), .cookie = big, .digest = sha },
		{ .path = "/b-",
		  .type = FS_REGULAR,
		  .size_bytes = sizeof(big),
		  .cookie = big,
		  .digest = sha,
		  .align_bytes = 65536 },
		{ .path = "/kept",
		  .type = FS_REGULAR,
		  .size_bytes = sizeof(big),
		  .cookie = big,
		  .digest = sha,
		  .reserve_bytes = 2 * 1024 * 1024 },
		{ .path = "/unknown", .type = FS_REGULAR, .size_bytes = sizeof(big), .cookie = big },
		{ .path = "/zz", .type = FS_REGULAR, .size_bytes = 1, .cookie = big, .align_bytes = 2 * 1024 * 1024 },
		{ .path = "/hard", .type = FS_REGULAR, .hard_link = "/b-" },
		{ .path = "/room", .type = FS_REGULAR, .reserve_bytes = 1 },
		{ .path = "/link", .type = FS_SYMLINK, .target = "zz" },
	};
	enum { COUNT = sizeof(specs) / sizeof(specs[0]) };
	struct chain_error err = { 0 };
	struct fs_writer *writer;
	struct image *image;
	const struct fs_placed *placed;
	size_t count;
	enum chain_status status;

	(void)state;
	memset(big, 0x5a, sizeof(big));
	chain_verity_of_located(big, sizeof(big), sha);
	writer = writer_of(specs, COUNT);
	image = image_make(writer, &status, &err);
	assert_ok(status, &err);
	placed = fs_writer_placed(writer, &count);
	assert_int_equal(count, COUNT);
	for (size_t i = 1; i < count; i++)
		assert_true(strcmp(placed[i - 1].spec->path, placed[i].spec->path) < 0);
	assert_string_equal(placed[0].spec->path, "/b-"); /* bytewise, not in tree order */
	assert_int_equal(placed_at(writer, "/b/one")->data_offset, placed_at(writer, "/b-")->data_offset);
	assert_int_equal(placed_at(writer, "/b/one")->data_offset % 65536, 0);
	assert_true(placed_at(writer, "/b-")->shared != placed_at(writer, "/b/one")->shared);
	assert_true(placed_at(writer, "/hard")->shared);
	assert_int_equal(placed_at(writer, "/hard")->nid, placed_at(writer, "/b-")->nid);
	assert_int_equal(placed_at(writer, "/hard")->size_bytes, sizeof(big));
	assert_false(placed_at(writer, "/kept")->shared);
	assert_false(placed_at(writer, "/unknown")->shared);
	assert_true(placed_at(writer, "/unknown")->data_offset >=
		    placed_at(writer, "/kept")->data_offset + sizeof(big) + 2 * 1024 * 1024);
	assert_int_equal(placed_at(writer, "/zz")->data_offset % (2 * 1024 * 1024), 0);
	assert_true(placed_at(writer, "/room")->data_offset != 0);
	assert_int_equal(image->bytes[placed_at(writer, "/kept")->data_offset + sizeof(big)], 0);
	for (size_t i = 0; i < count; i++) {
		uint8_t got[CHAIN_LOCATED_BYTES];

		const bool link = placed[i].spec->type == FS_SYMLINK;

		(link ? chain_sha256_of : chain_verity_of_located)(image->bytes + placed[i].data_offset,
								   placed[i].size_bytes, got);
		assert_memory_equal(placed[i].digest, got, link ? CHAIN_SHA256_BYTES : CHAIN_LOCATED_BYTES);
	}
	assert_true(placed_at(writer, "/link")->data_offset < fs_writer_meta_bytes(writer));
	assert_true(placed_at(writer, "/unknown")->data_offset >= fs_writer_meta_bytes(writer));
	image_free(image);
	fs_writer_free(writer);
}

static void attributes(void **state)
{
	struct fs_xattr two[] = { { "user.note", "value", 5 }, { "security.capability", "\1\0\0\2", 4 } };
	struct fs_xattr swapped[] = { two[1], two[0] };
	struct fs_xattr bad[] = { { "nothing.known", "", 0 } }, twice[] = { two[0], two[0] };
	struct fs_spec spec = { .path = "/f", FILE_OF("text"), .xattrs = two, .xattr_count = 2 };
	struct image *image = image_of(&spec, 1), *other;
	struct chain_error err = { 0 };
	struct fs_writer *writer;
	struct fs fs;

	(void)state;
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_bytes(&fs, "/f", "text");
	spec.xattrs = swapped;
	other = image_of(&spec, 1);
	assert_memory_equal(other->bytes, image->bytes, image->bytes_count);
	image_free(other);
	image_free(image);
	assert_ok(fs_writer_new(&writer, &err), &err);
	spec.xattrs = bad;
	spec.xattr_count = 1;
	assert_status(fs_writer_add(writer, &spec, &err), CHAIN_E_FS_BAD_SPEC);
	spec.xattrs = twice;
	spec.xattr_count = 2;
	assert_status(fs_writer_add(writer, &spec, &err), CHAIN_E_FS_BAD_SPEC);
	fs_writer_free(writer);
}

/* One spec that fs_writer_add refuses. */
static void refuse(struct fs_spec spec, enum chain_status wanted)
{
	struct chain_error err = { 0 };
	struct fs_writer *writer;

	assert_ok(fs_writer_new(&writer, &err), &err);
	assert_status(fs_writer_add(writer, &spec, &err), wanted);
	fs_writer_free(writer);
}

static void refused_specs(void **state)
{
	static char long_name[300], long_path[5000], long_target[4200];

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[0] = '/';
	for (size_t i = 0; i < sizeof(long_path) - 1; i++)
		long_path[i] = i % 2 ? 'p' : '/';
	long_path[sizeof(long_path) - 2] = 'p';
	memset(long_target, 't', sizeof(long_target) - 1);
	refuse((struct fs_spec){ .path = "relative", .type = FS_REGULAR }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = "", .type = FS_REGULAR }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = "/a//b", .type = FS_REGULAR }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = "/a/", .type = FS_DIRECTORY }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = "/a/../b", .type = FS_REGULAR }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = "/.", .type = FS_DIRECTORY }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = long_name, .type = FS_REGULAR }, CHAIN_E_FS_BAD_PATH);
	refuse((struct fs_spec){ .path = long_path, .type = FS_REGULAR }, CHAIN_E_LIMIT);
	refuse((struct fs_spec){ .path = "/", .type = FS_REGULAR }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a" }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .mode = 0100644 }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .mtime_ns = 1000000000 }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .align_bytes = 512 }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .align_bytes = 12288 }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .in_metadata = true, .align_bytes = 4096 },
	       CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .in_metadata = true, .reserve_bytes = 1 },
	       CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_REGULAR, .target = "b" }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_SYMLINK }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_SYMLINK, .target = "" }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_SYMLINK, .target = long_target }, CHAIN_E_FS_BAD_SPEC);
	refuse((struct fs_spec){ .path = "/a", .type = FS_DIRECTORY, .hard_link = "/b" }, CHAIN_E_FS_BAD_SPEC);
}

static void refuse_layout(const struct fs_spec *specs, size_t count, enum chain_status wanted)
{
	struct chain_error err = { 0 };
	struct fs_writer *writer = writer_of(specs, count);

	assert_status(fs_writer_layout(writer, &err), wanted);
	assert_int_equal(err.status, wanted);
	assert_status(fs_writer_emit(writer, source_from_cookie, sink_to_image, NULL, NULL, NULL),
		      CHAIN_E_FS_WRITER_ORDER);
	fs_writer_free(writer);
}

static void refused_trees(void **state)
{
	const struct fs_spec twice[] = { { .path = "/a/b", .type = FS_REGULAR },
					 { .path = "/a/b", .type = FS_DIRECTORY } };
	const struct fs_spec below[] = { { .path = "/a", .type = FS_REGULAR },
					 { .path = "/a/b/c", .type = FS_REGULAR } };
	const struct fs_spec roots[] = { { .path = "/", .type = FS_DIRECTORY }, { .path = "/", .type = FS_DIRECTORY } };
	const struct fs_spec lost[] = { { .path = "/a", .type = FS_REGULAR, .hard_link = "/b" } };
	const struct fs_spec to_dir[] = { { .path = "/a", .type = FS_REGULAR, .hard_link = "/b" },
					  { .path = "/b/c", .type = FS_FIFO } };
	const struct fs_spec chain[] = { { .path = "/a", .type = FS_REGULAR, .hard_link = "/b" },
					 { .path = "/b", .type = FS_REGULAR, .hard_link = "/a" } };
	const struct fs_spec other[] = { { .path = "/a", .type = FS_SYMLINK, .hard_link = "/b" },
					 { .path = "/b", .type = FS_REGULAR } };
	const struct fs_spec made[] = { { .path = "/a", .type = FS_REGULAR, .hard_link = "/c" },
					{ .path = "/c/d", .type = FS_REGULAR } };
	const struct fs_spec huge[] = { { .path = "/a", .type = FS_REGULAR, .size_bytes = UINT64_MAX } };
	const struct fs_spec sum[] = {
		{ .path = "/a", .type = FS_REGULAR, .size_bytes = 1, .reserve_bytes = UINT64_MAX }
	};
	const struct fs_spec far[] = {
		{ .path = "/a", .type = FS_REGULAR, .size_bytes = 1, .align_bytes = 1ull << 63 }
	};

	(void)state;
	refuse_layout(twice, 2, CHAIN_E_FS_DUPLICATE);
	refuse_layout(below, 2, CHAIN_E_FS_NOT_DIRECTORY);
	refuse_layout(roots, 2, CHAIN_E_FS_DUPLICATE);
	refuse_layout(lost, 1, CHAIN_E_FS_BAD_HARD_LINK);
	refuse_layout(to_dir, 2, CHAIN_E_FS_BAD_HARD_LINK);
	refuse_layout(chain, 2, CHAIN_E_FS_BAD_HARD_LINK);
	refuse_layout(other, 2, CHAIN_E_FS_BAD_HARD_LINK);
	refuse_layout(made, 2, CHAIN_E_FS_BAD_HARD_LINK);
	refuse_layout(huge, 1, CHAIN_E_LIMIT);
	refuse_layout(sum, 1, CHAIN_E_LIMIT);
	refuse_layout(far, 1, CHAIN_E_LIMIT);
}

static enum chain_status failing_source(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
					struct chain_error *err)
{
	(void)ctx;
	(void)offset;
	memset(buf, 0, count);
	return chain_fail_text(err, CHAIN_E_IO, spec->path, "on purpose");
}

/* A failing source or sink ends it, and no superblock is out. */
static enum chain_status counting_sink(void *ctx, uint64_t offset, const void *buf, size_t count,
				       struct chain_error *err)
{
	int *left = ctx;

	(void)buf;
	(void)count;
	if (--*left >= 0)
		return CHAIN_OK;
	assert_true(offset != 0 || *left == -1);
	return chain_fail_text(err, CHAIN_E_IO, "sink", "on purpose");
}

static void failures_pass_through(void **state)
{
	struct chain_error err = { 0 };
	struct fs_writer *writer = writer_of(sample, SAMPLE_COUNT);
	int left = 100;

	(void)state;
	assert_status(fs_writer_emit(writer, source_from_cookie, counting_sink, NULL, &left, &err),
		      CHAIN_E_FS_WRITER_ORDER);
	chain_error_clear(&err);
	assert_ok(fs_writer_layout(writer, &err), &err);
	assert_status(fs_writer_layout(writer, NULL), CHAIN_E_FS_WRITER_ORDER);
	assert_status(fs_writer_add(writer, &sample[0], NULL), CHAIN_E_FS_WRITER_ORDER);
	assert_status(fs_writer_emit(writer, failing_source, counting_sink, NULL, &left, &err), CHAIN_E_IO);
	for (int calls = 0; calls < 2; calls++) {
		left = calls;
		chain_error_clear(&err);
		assert_status(fs_writer_emit(writer, source_from_cookie, counting_sink, NULL, &left, &err), CHAIN_E_IO);
	}
	fs_writer_free(writer);
}

static void empty_tree(void **state)
{
	struct image *image = image_of(NULL, 0);
	struct chain_error err = { 0 };
	struct fs fs;

	(void)state;
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_int_equal(image->bytes_count, FS_BLOCK_BYTES);
	assert_int_equal(image->meta_bytes, FS_BLOCK_BYTES);
	assert_int_equal(fs.inode_count, 1);
	image_free(image);
}

/* Around the sizes where a directory's or link's end stops fitting its inode's block: the whole of it is found,
 * whichever way. */
static void ends_of_blocks(void **state)
{
	enum { FILES = 60, NAME = 200 };
	static char names[FILES][NAME + 8], target[4096];
	struct fs_spec specs[FILES + 1];

	(void)state;
	for (size_t last = 1; last < NAME; last += 7) {
		struct chain_error err = { 0 };
		struct fs_check_report report = { 0 };
		struct image *image;
		struct fs fs;

		for (size_t i = 0; i < FILES; i++) {
			memset(names[i], 'a' + (int)(i % 26), sizeof(names[i]));
			snprintf(names[i], 8, "/d/%03zu", i);
			names[i][6] = 'x';
			names[i][6 + (i % 3 ? last : NAME / 2)] = 0;
			specs[i] = (struct fs_spec){ .path = names[i], .type = FS_REGULAR };
		}
		memset(target, 't', sizeof(target));
		target[4095 - last] = 0;
		specs[FILES] = (struct fs_spec){ .path = "/l", .type = FS_SYMLINK, .target = target };
		image = image_of(specs, FILES + 1);
		assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
		assert_ok(fs_check(&fs, &report, &err), &err);
		assert_int_equal(report.entry_count, FILES + 2);
		for (size_t i = 0; i < FILES; i++)
			(void)node_at(&fs, names[i], true);
		struct fs_node link = node_at(&fs, "/l", false);
		char found[4096] = "";

		assert_ok(fs_read(&fs, &link, 0, found, link.size_bytes, &err), &err);
		assert_string_equal(found, target);
		image_free(image);
	}
}

/* Files in the metadata, of sizes around those where they stop fitting behind their inodes: all of each is there in one
 * piece, whether its digest was known before or not, and files with the same bytes stay where files are. */
static void files_in_the_metadata(void **state)
{
	enum { LARGEST = 3 * 1024 * 1024 };
	static const size_t sizes[] = { 0,    1,    100,  2800, 3900, 4031, 4032, 4033,        4063,
					4064, 4065, 4095, 4096, 4097, 8192, 9000, 1024 * 1024, LARGEST };
	uint8_t *text = malloc(LARGEST);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < LARGEST; i++)
		text[i] = (uint8_t)(i * 7 + i / 4096);
	for (size_t i = 0; i < 4 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = sizes[i / 4];
		uint8_t digest[CHAIN_LOCATED_BYTES];
		struct fs_spec specs[] = {
			{ .path = "/in/it",
			  .type = FS_REGULAR,
			  .size_bytes = bytes,
			  .cookie = text,
			  .in_metadata = true },
			{ .path = "/as-it", .type = FS_REGULAR, .size_bytes = bytes, .cookie = text, .digest = digest },
		};
		struct chain_error err = { 0 };
		struct fs_writer *writer;
		struct image *image;
		enum chain_status status;
		struct fs fs;
		const uint8_t *found;
		uint64_t count;

		chain_verity_of_located(text, bytes, digest);
		specs[0].digest = i % 2 ? digest : NULL;
		specs[0].uid = i % 4 > 1 ? 100000 : 0; /* a larger inode */
		writer = writer_of(specs, 2);
		image = image_make(writer, &status, &err);
		assert_ok(status, &err);
		assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
		assert_ok(fs_check(&fs, NULL, &err), &err);
		for (size_t f = 0; f < 2; f++) {
			struct fs_node node = node_at(&fs, specs[f].path, true);
			const struct fs_placed *placed = placed_at(writer, specs[f].path);

			assert_ok(fs_file_bytes(&fs, &node, &found, &count, &err), &err);
			assert_int_equal(count, bytes);
			assert_memory_equal(found, text, count);
			assert_memory_equal(placed->digest, digest, sizeof(digest));
			assert_true(!bytes || placed->data_offset == (uint64_t)(found - fs.bytes));
			assert_true(!bytes || (node.data_offset + bytes <= image->meta_bytes) == (f == 0));
		}
		image_free(image);
		fs_writer_free(writer);
	}
	free(text);
}

/* A source that fails in one of them ends it, wherever the file lies. */
static void failing_files_in_the_metadata(void **state)
{
	(void)state;
	for (uint64_t bytes = 1; bytes < 100000; bytes *= 7) {
		struct fs_spec spec = { .path = "/f", .type = FS_REGULAR, .size_bytes = bytes, .in_metadata = true };
		struct chain_error err = { 0 };
		struct fs_writer *writer = writer_of(&spec, 1);
		int left = 100;

		assert_ok(fs_writer_layout(writer, &err), &err);
		assert_status(fs_writer_emit(writer, failing_source, counting_sink, NULL, &left, &err), CHAIN_E_IO);
		fs_writer_free(writer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(uuid_follows_content),
		cmocka_unit_test(places),
		cmocka_unit_test(attributes),
		cmocka_unit_test(refused_specs),
		cmocka_unit_test(refused_trees),
		cmocka_unit_test(failures_pass_through),
		cmocka_unit_test(empty_tree),
		cmocka_unit_test(ends_of_blocks),
		cmocka_unit_test(files_in_the_metadata),
		cmocka_unit_test(failing_files_in_the_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
