/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Bad images: cut at each length, changed at each byte, and the cases in data/invalid with their exact statuses. */
#include "support.h"

#include "../check_areas.h"
#include "fs/check.h"

#include <dirent.h>

#define FILE_OF(text)                                                                                                  \
	.type = FS_REGULAR, .mode = 0644, .size_bytes = sizeof(text) - 1, .cookie = (void *)(uintptr_t)(text)

static const struct fs_xattr note = { "user.note", "a value", 7 };
static const struct fs_spec base_specs[] = {
	{ .path = "/", .type = FS_DIRECTORY, .mode = 0755 },
	{ .path = "/dir/file", FILE_OF("the file") },
	{ .path = "/dir/hard", .type = FS_REGULAR, .hard_link = "/dir/file" },
	{ .path = "/late", FILE_OF("extended"), .mtime = 9 },
	{ .path = "/link", .type = FS_SYMLINK, .mode = 0777, .target = "dir/file" },
	{ .path = "/loop", .type = FS_SYMLINK, .mode = 0777, .target = "loop" },
	{ .path = "/null", .type = FS_CHAR_DEVICE, .mode = 0666, .rdev = 0x103 },
	{ .path = "/noted", FILE_OF("with an attribute"), .xattrs = &note, .xattr_count = 1 },
};
static char many_names[60][256];

/* The base, with a directory of several blocks, "/many". */
static struct image *base_image(void)
{
	enum { FIXED = sizeof(base_specs) / sizeof(base_specs[0]), COUNT = FIXED + 60 };
	struct fs_spec specs[COUNT];

	memcpy(specs, base_specs, sizeof(base_specs));
	for (int i = 0; i < 60; i++) {
		snprintf(many_names[i], sizeof(many_names[i]), "/many/%02d-%0180d", i, i);
		specs[FIXED + i] = (struct fs_spec){ .path = many_names[i], .type = FS_REGULAR };
	}
	return image_of(specs, COUNT);
}

static struct fs_erofs_super *super_of(uint8_t *bytes)
{
	return (struct fs_erofs_super *)(bytes + FS_EROFS_SUPER_OFFSET);
}

static enum chain_status count_names(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	(void)err;
	assert_true(entry->name_bytes >= 1 && entry->name_bytes <= 255);
	assert_null(memchr(entry->name, 0, entry->name_bytes));
	assert_null(memchr(entry->name, '/', entry->name_bytes));
	++*(size_t *)ctx;
	return CHAIN_OK;
}

static void exercise_node(const struct fs *fs, const struct fs_node *node)
{
	const uint8_t *bytes;
	uint64_t count;
	size_t names = 0;
	uint8_t copy[64];

	if (fs_read_dir(fs, node, count_names, &names, NULL) == CHAIN_OK)
		assert_int_equal(node->type, FS_DIRECTORY);
	if (fs_file_bytes(fs, node, &bytes, &count, NULL) == CHAIN_OK) {
		assert_non_null(bytes);
		assert_true(bytes >= fs->bytes && count <= fs->bytes_count - (uint64_t)(bytes - fs->bytes));
		for (uint64_t i = 0; i < count; i += 97)
			assert_true(bytes[i] <= 0xff); /* readable, says the sanitizer */
	}
	count = node->size_bytes < sizeof(copy) ? node->size_bytes : sizeof(copy);
	if (fs_read(fs, node, node->size_bytes - count, copy, count, NULL) == CHAIN_OK)
		assert_true(node->type == FS_REGULAR || node->type == FS_SYMLINK);
}

/* Whatever can be done with an image. Nothing of it may crash, hang or read outside; what it says is not looked at. */
static enum chain_status exercise(const uint8_t *bytes, uint64_t count)
{
	static const char *const paths[] = { "/",
					     "/dir",
					     "/dir/file",
					     "/dir/hard",
					     "/late",
					     "/link",
					     "/loop",
					     "/null",
					     "/noted",
					     "/many/17-",
					     "/many/../dir/../link",
					     "/none" };
	struct chain_error err = { 0 };
	struct fs_check_report report;
	struct fs fs;
	enum chain_status status = fs_mount(&fs, bytes, count, &err);

	assert_int_equal(status, err.status);
	if (status != CHAIN_OK)
		return status;
	status = fs_check(&fs, &report, &err);
	assert_int_equal(status, err.status);
	for (size_t i = 0; i < 2 * sizeof(paths) / sizeof(paths[0]); i++) {
		struct fs_node node;

		if (fs_lookup(&fs, paths[i / 2], i % 2, &node, NULL) == CHAIN_OK)
			exercise_node(&fs, &node);
	}
	for (uint64_t nid = 0; nid < 128; nid++) {
		struct fs_node node;

		if (fs_node_read(&fs, nid, &node, NULL) == CHAIN_OK)
			exercise_node(&fs, &node);
	}
	return status;
}

static void base_is_sound(void **state)
{
	struct image *image = base_image();
	struct chain_error err = { 0 };
	struct fs_check_report report;
	struct fs fs;

	(void)state;
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_ok(fs_check(&fs, &report, &err), &err);
	assert_int_equal(report.inode_count, 69);
	assert_int_equal(report.directory_count, 3);
	assert_int_equal(report.file_count, 63);
	assert_int_equal(report.link_count, 2);
	assert_int_equal(report.device_count, 1);
	assert_int_equal(report.entry_count, 69);
	assert_int_equal(report.file_bytes, 8 + 8 + 17);
	assert_int_equal(exercise(image->bytes, image->bytes_count), CHAIN_OK);
	image_free(image);
}

/* Cut at each length, in memory of just that size. */
static void truncation_sweep(void **state)
{
	struct image *image = base_image();

	(void)state;
	for (uint64_t count = 0; count < image->bytes_count; count++) {
		/* Copying all of it each time would be quadratic: only the superblock's block is looked at. */
		uint8_t *cut = malloc(count ? count : 1);
		struct chain_error err = { 0 };
		struct fs fs;

		assert_non_null(cut);
		memcpy(cut, image->bytes, count < FS_BLOCK_BYTES ? count : FS_BLOCK_BYTES);
		assert_status(fs_mount(&fs, cut, count, &err), CHAIN_E_TRUNCATED);
		free(cut);
	}
	image_free(image);
}

/* The same where the superblock agrees with the cut, so that what it leads to is missing. */
static void fewer_blocks_sweep(void **state)
{
	struct image *image = base_image();

	(void)state;
	for (uint32_t blocks = (uint32_t)(image->bytes_count / FS_BLOCK_BYTES) - 1; blocks > 0; blocks--) {
		uint8_t *cut = malloc(blocks * FS_BLOCK_BYTES);

		assert_non_null(cut);
		memcpy(cut, image->bytes, blocks * FS_BLOCK_BYTES);
		super_of(cut)->block_count = blocks;
		super_of(cut)->feature_compat = 0;
		assert_int_not_equal(exercise(cut, blocks * FS_BLOCK_BYTES), CHAIN_OK);
		free(cut);
	}
	image_free(image);
}

static void flip_sweep(uint32_t feature_compat)
{
	static const uint8_t masks[] = { 0xff, 0x01, 0x80 };
	struct image *image = base_image();

	super_of(image->bytes)->feature_compat = feature_compat;
	for (uint64_t at = 0; at < image->bytes_count; at++) {
		bool covered = feature_compat && at >= FS_EROFS_SUPER_OFFSET && at < FS_BLOCK_BYTES;

		if (at >= image->meta_bytes && at % 512)
			continue; /* contents of files: nothing to read wrongly */
		/* One change does for the padding. */
		for (size_t i = 0; i < (image->bytes[at] ? sizeof(masks) : 1); i++) {
			enum chain_status status;

			image->bytes[at] ^= masks[i];
			status = exercise(image->bytes, image->bytes_count);
			image->bytes[at] ^= masks[i];
			/* Without the feature bit itself, the checksum is not looked at. */
			if (covered && at != FS_EROFS_SUPER_OFFSET + offsetof(struct fs_erofs_super, feature_compat))
				assert_int_not_equal(status, CHAIN_OK);
		}
	}
	image_free(image);
}

static void flip_sweep_checksummed(void **state)
{
	(void)state;
	flip_sweep(FS_EROFS_COMPAT_CHECKSUM | FS_EROFS_COMPAT_MTIME);
}

static void flip_sweep_unchecked(void **state)
{
	(void)state;
	flip_sweep(0);
}

/* Several random bytes at once, in the metadata. */
static void random_damage(void **state)
{
	struct image *image = base_image();
	uint8_t *kept = malloc(image->bytes_count);
	uint64_t seed = 42;

	(void)state;
	assert_non_null(kept);
	super_of(image->bytes)->feature_compat = 0;
	memcpy(kept, image->bytes, image->bytes_count);
	for (int round = 0; round < 2500; round++) {
		for (int i = 0; i < 6; i++) {
			uint64_t range = i % 2 ? image->meta_bytes - FS_EROFS_SUPER_OFFSET : 1024;

			image->bytes[FS_EROFS_SUPER_OFFSET + next_random(&seed) % range] = (uint8_t)next_random(&seed);
		}
		(void)exercise(image->bytes, image->bytes_count);
		memcpy(image->bytes, kept, image->meta_bytes);
	}
	free(kept);
	image_free(image);
}

/* A case: lines of "set PLACE OFFSET WIDTH VALUE" (place: super, or inode, data or tail and a path), "checksum keep"
 * (it is made right otherwise), and one of "mount", "check", "lookup PATH", "bytes PATH", "list PATH". */
struct test_case {
	struct image *image;
	bool keep_checksum;
};

static void apply_set(struct test_case *test, const char *place, const char *path, uint64_t offset, size_t width,
		      uint64_t value)
{
	struct chain_error err = { 0 };
	struct fs_node node;
	struct image *fresh = base_image(); /* places are those of the sound image */
	struct fs fs;

	assert_ok(fs_mount(&fs, fresh->bytes, fresh->bytes_count, &err), &err);
	if (strcmp(place, "super") == 0) {
		offset += FS_EROFS_SUPER_OFFSET;
	} else {
		assert_ok(fs_lookup(&fs, path, false, &node, &err), &err);
		offset += strcmp(place, "inode") == 0 ? node.nid * FS_EROFS_SLOT_BYTES : node.data_offset;
	}
	image_free(fresh);
	assert_true(width <= 8 && offset + width <= test->image->bytes_count);
	memcpy(test->image->bytes + offset, &value, width);
}

static enum chain_status perform(const struct fs *fs, const char *verb, const char *path, struct chain_error *err)
{
	struct fs_node node = { 0 };
	const uint8_t *bytes;
	uint64_t count;
	size_t names = 0;
	enum chain_status status;

	if (strcmp(verb, "check") == 0)
		return fs_check(fs, NULL, err);
	status = fs_lookup(fs, path, true, &node, err);
	if (status == CHAIN_OK && strcmp(verb, "bytes") == 0)
		status = fs_file_bytes(fs, &node, &bytes, &count, err);
	if (status == CHAIN_OK && strcmp(verb, "list") == 0)
		status = fs_read_dir(fs, &node, count_names, &names, err);
	return status;
}

static enum chain_status run_case(const char *script, struct chain_error *err)
{
	struct test_case test = { .image = base_image() };
	enum chain_status status = CHAIN_OK;
	const char *line = script;
	struct fs fs;

	for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char verb[16] = "", place[16] = "", path[256] = "";
		unsigned long long offset, width, value;

		if (sscanf(line, "set super %llu %llu %lli", &offset, &width, (long long *)&value) == 3) {
			apply_set(&test, "super", "", offset, width, value);
		} else if (sscanf(line, "set %15s %255s %llu %llu %lli", place, path, &offset, &width,
				  (long long *)&value) == 5) {
			apply_set(&test, place, path, offset, width, value);
		} else if (strncmp(line, "checksum keep\n", 14) == 0) {
			test.keep_checksum = true;
		} else {
			assert_true(sscanf(line, "%15s %255s", verb, path) >= 1);
			if (!test.keep_checksum)
				super_of(test.image->bytes)->feature_compat &= ~(uint32_t)FS_EROFS_COMPAT_CHECKSUM;
			status = fs_mount(&fs, test.image->bytes, test.image->bytes_count, err);
			if (strcmp(verb, "mount") != 0) {
				assert_ok(status, err);
				status = perform(&fs, verb, path, err);
			}
		}
	}
	image_free(test.image);
	return status;
}

#define CASES "fs/tests/data/invalid"

static void malformed_cases(void **state)
{
	struct dirent **list;
	int count = scandir(CASES, &list, NULL, alphasort), run = 0;

	(void)state;
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		char path[512];
		struct chain_error err = { 0 };
		uint8_t *script, *expect;
		size_t bytes;
		enum chain_status status;

		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), CASES "/%s/input", list[i]->d_name);
			script = load_file(path, &bytes);
			snprintf(path, sizeof(path), CASES "/%s/expect", list[i]->d_name);
			expect = load_file(path, &bytes);
			expect[strcspn((char *)expect, "\n")] = 0;
			status = run_case((char *)script, &err);
			if (strcmp(chain_status_slug(status), (char *)expect) != 0)
				fail_msg("%s: %s instead of %s", list[i]->d_name, chain_status_slug(status),
					 (char *)expect);
			assert_int_equal(err.status, status);
			free(script);
			free(expect);
			run++;
		}
		free(list[i]);
	}
	free(list);
	assert_true(run >= 30);
}

/* Random areas against a map of their bytes: metadata must be alone, data may lie on data. */
static void areas_against_a_map(void **state)
{
	enum { FROM = 2048, BYTES = 400, AREAS_MAX = 3 };
	uint64_t seed = 7;
	unsigned overlaps = 0;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		uint8_t data[BYTES] = { 0 }, meta[BYTES] = { 0 };
		struct fs fs = { .block_bytes = 64 };
		struct fs_areas areas = { 0 };
		bool wanted = false;
		enum chain_status status;

		for (uint64_t i = 0, count = 1 + next_random(&seed) % AREAS_MAX; i < count; i++) {
			struct fs_inode_place place = { .offset = FROM + next_random(&seed) % 300,
							.inode_bytes = (uint32_t)(next_random(&seed) % 30) };
			struct fs_node node = { .nid = i,
						.type = next_random(&seed) % 3 ? FS_REGULAR : FS_DIRECTORY,
						.size_bytes = next_random(&seed) % 40,
						.data_offset = FROM + next_random(&seed) % 300 };
			uint8_t *map = node.type == FS_REGULAR ? data : meta;

			assert_int_equal(fs_areas_add_node(&areas, &fs, &node, &place, NULL), CHAIN_OK);
			for (uint64_t at = place.offset - FROM; at < place.offset - FROM + place.inode_bytes; at++)
				wanted |= meta[at]++ || data[at];
			for (uint64_t at = node.data_offset - FROM; at < node.data_offset - FROM + node.size_bytes;
			     at++)
				wanted |= meta[at] || (map[at]++ && map == meta) || (map == meta && data[at]);
		}
		status = fs_areas_check(&areas, NULL);
		assert_int_equal(status, wanted ? CHAIN_E_FS_OVERLAP : CHAIN_OK);
		overlaps += wanted;
		fs_areas_free(&areas);
	}
	assert_in_range(overlaps, 400, 3600); /* both ways were tried */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_is_sound),        cmocka_unit_test(truncation_sweep),
		cmocka_unit_test(fewer_blocks_sweep),   cmocka_unit_test(flip_sweep_checksummed),
		cmocka_unit_test(flip_sweep_unchecked), cmocka_unit_test(random_damage),
		cmocka_unit_test(malformed_cases),      cmocka_unit_test(areas_against_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
