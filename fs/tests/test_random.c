/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Random trees: what the reader finds in the image is what the list of nodes said, every name and every byte; and
 * fsck.erofs agrees. Then the writer's limits of time: many nodes. */
#include "support.h"

#include "chain/verity.h"
#include "fs/check.h"

enum { NODES_MAX = 120, CONTENT_BYTES = 20000, CONTENTS = 6 };

struct model {
	struct fs_spec specs[NODES_MAX];
	char paths[NODES_MAX][600];
	size_t count;
};
static uint8_t contents[CONTENTS][CONTENT_BYTES];
static uint8_t digests[CONTENTS][CHAIN_LOCATED_BYTES];

static int fill_contents(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int i = 0; i < CONTENTS; i++) {
		for (int j = 0; j < CONTENT_BYTES; j++)
			contents[i][j] = (uint8_t)next_random(&seed);
		chain_verity_of_located(contents[i], CONTENT_BYTES, digests[i]);
	}
	return 0;
}

/* Bytes that sort around '.', '/' and the end of a name. */
static void random_name(char *out, uint64_t *seed)
{
	static const char alphabet[] = "ab.-0!\xc3~";
	size_t bytes = next_random(seed) % 40 == 0 ? 200 : 1 + next_random(seed) % 3;

	for (size_t i = 0; i < bytes; i++)
		out[i] = alphabet[next_random(seed) % (sizeof(alphabet) - 1)];
	out[bytes] = 0;
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		out[0] = 'd';
}

static const struct fs_spec *find(const struct model *model, const char *path)
{
	for (size_t i = 0; i < model->count; i++)
		if (strcmp(model->specs[i].path, path) == 0)
			return &model->specs[i];
	return NULL;
}

static void random_file(struct fs_spec *spec, uint64_t *seed)
{
	size_t content = next_random(seed) % CONTENTS;
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 20000 };

	spec->size_bytes = sizes[next_random(seed) % 7];
	spec->cookie = contents[content];
	if (spec->size_bytes == CONTENT_BYTES && next_random(seed) % 2)
		spec->digest = digests[content];
	if (next_random(seed) % 6 == 0) {
		spec->in_metadata = true;
		return;
	}
	if (next_random(seed) % 8 == 0)
		spec->align_bytes = 4096u << next_random(seed) % 6;
	if (next_random(seed) % 8 == 0)
		spec->reserve_bytes = next_random(seed) % 10000;
}

/* A child of the root or of an earlier directory. */
static void add_random(struct model *model, uint64_t *seed)
{
	struct fs_spec *spec = &model->specs[model->count];
	char *path = model->paths[model->count], name[256];
	const struct fs_spec *up = model->count ? &model->specs[next_random(seed) % model->count] : NULL;

	random_name(name, seed);
	while (up && (up->type != FS_DIRECTORY || strlen(up->path) > 300))
		up = up == model->specs ? NULL : up - 1;
	snprintf(path, sizeof(model->paths[0]), "%s/%s", up ? up->path : "", name);
	if (find(model, path))
		return;
	*spec = (struct fs_spec){ .path = path,
				  .type = (enum fs_type)(1 + next_random(seed) % 7),
				  .mode = next_random(seed) % 010000,
				  .uid = next_random(seed) % 3 ? 0 : (uint32_t)next_random(seed),
				  .gid = (uint32_t)next_random(seed) % 9,
				  .mtime = next_random(seed) % 3 ? 0 : next_random(seed) % (1ull << 40) };
	if (next_random(seed) % 3 == 0)
		spec->type = FS_DIRECTORY;
	if (spec->type == FS_REGULAR)
		random_file(spec, seed);
	if (spec->type == FS_SYMLINK)
		spec->target = model->count ? model->paths[next_random(seed) % model->count] : "nowhere";
	if (spec->type == FS_CHAR_DEVICE || spec->type == FS_BLOCK_DEVICE)
		spec->rdev = (uint32_t)next_random(seed);
	if (spec->type != FS_DIRECTORY && up && up != model->specs && next_random(seed) % 4 == 0)
		for (size_t i = 0; i < model->count; i++)
			if (model->specs[i].type == spec->type && !model->specs[i].hard_link)
				spec->hard_link = model->specs[i].path;
	model->count++;
}

static void compare_node(const struct fs *fs, const struct model *model, const struct fs_spec *spec)
{
	const struct fs_spec *inode = spec->hard_link ? find(model, spec->hard_link) : spec;
	struct chain_error err = { 0 };
	struct fs_node node;
	const uint8_t *bytes;
	uint64_t count;

	assert_ok(fs_lookup(fs, spec->path, false, &node, &err), &err);
	assert_int_equal(node.type, spec->type);
	assert_int_equal(node.mode, inode->mode);
	assert_int_equal(node.uid, inode->uid);
	assert_int_equal(node.gid, inode->gid);
	assert_int_equal(node.mtime, inode->mtime);
	if (spec->type == FS_CHAR_DEVICE || spec->type == FS_BLOCK_DEVICE)
		assert_int_equal(node.rdev, inode->rdev);
	if (spec->type == FS_SYMLINK) {
		assert_ok(fs_file_bytes(fs, &node, &bytes, &count, &err), &err);
		assert_int_equal(count, strlen(inode->target));
		assert_memory_equal(bytes, inode->target, count);
	}
	if (spec->type == FS_REGULAR) {
		assert_ok(fs_file_bytes(fs, &node, &bytes, &count, &err), &err);
		assert_int_equal(count, inode->size_bytes);
		assert_memory_equal(bytes, inode->cookie, count);
		if (inode->align_bytes && count)
			assert_int_equal((uint64_t)(bytes - fs->bytes) % inode->align_bytes, 0);
	}
}

/* No two files' bytes overlap, reserved room included, unless they are shared; what is to lie in the metadata does. */
static void compare_places(const struct fs_writer *writer)
{
	size_t count;
	const struct fs_placed *placed = fs_writer_placed(writer, &count);

	for (size_t i = 0; i < count; i++) {
		const struct fs_placed *a = &placed[i];
		uint64_t a_end = a->data_offset + a->size_bytes + a->spec->reserve_bytes;

		if (a->shared || a->spec->type != FS_REGULAR || a_end == a->data_offset)
			continue;
		if (a->spec->in_metadata)
			assert_true(a_end <= fs_writer_meta_bytes(writer));
		else
			assert_true(a->data_offset >= fs_writer_meta_bytes(writer) &&
				    a_end <= fs_writer_image_bytes(writer));
		for (size_t j = 0; j < i; j++) {
			const struct fs_placed *b = &placed[j];
			uint64_t b_end = b->data_offset + b->size_bytes + b->spec->reserve_bytes;

			if (!b->shared && b->spec->type == FS_REGULAR && b_end != b->data_offset)
				assert_true(a_end <= b->data_offset || b_end <= a->data_offset);
		}
	}
}

static void run_model(uint64_t seed, struct image **out_image)
{
	static struct model model;
	struct fs_writer *writer;
	struct chain_error err = { 0 };
	struct fs_check_report report;
	struct image *image;
	struct fs fs;
	enum chain_status status;
	size_t tries = 1 + next_random(&seed) % (NODES_MAX - 1);

	model.count = 0;
	while (tries--)
		add_random(&model, &seed);
	writer = writer_of(model.specs, model.count);
	image = image_make(writer, &status, &err);
	assert_ok(status, &err);
	compare_places(writer);
	fs_writer_free(writer);
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_ok(fs_check(&fs, &report, &err), &err);
	assert_int_equal(report.entry_count, model.count); /* every parent was added: nothing more and nothing less */
	for (size_t i = 0; i < model.count; i++)
		compare_node(&fs, &model, &model.specs[i]);
	*out_image = image;
}

static void random_trees(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct image *image;

		run_model(seed * 0x9e3779b97f4a7c15, &image);
		image_free(image);
	}
}

static void random_trees_by_fsck(void **state)
{
	char scratch[256], path[300];

	(void)state;
	if (tool_missing("fsck.erofs"))
		skip();
	make_scratch(scratch);
	snprintf(path, sizeof(path), "%s/random.img", scratch);
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct image *image;

		run_model(seed * 0x9e3779b97f4a7c15, &image);
		write_file(path, image->bytes, image->bytes_count);
		image_free(image);
		assert_int_equal(run("fsck.erofs --extract '%s' >/dev/null 2>&1", path), 0);
	}
	assert_int_equal(run("rm -rf '%s'", scratch), 0);
}

/* A hundred thousand nodes, most of them in one directory. Quadratic anything would take hours here. */
static void many_nodes(void **state)
{
	enum { MANY = 100000 };
	struct fs_spec *specs = calloc(MANY, sizeof(*specs));
	char(*paths)[32] = calloc(MANY, sizeof(*paths));
	struct chain_error err = { 0 };
	struct image *image;
	struct fs fs;

	(void)state;
	assert_true(specs && paths);
	for (int i = 0; i < MANY; i++) {
		snprintf(paths[i], sizeof(paths[i]), i % 3 ? "/one/%d" : "/by/%d/%d", i % 3 ? i : i % 1000, i);
		specs[i] = (struct fs_spec){ .path = paths[i],
					     .type = i % 5 ? FS_REGULAR : FS_SYMLINK,
					     .target = i % 5 ? NULL : "same" };
	}
	image = image_of(specs, MANY);
	assert_ok(fs_mount(&fs, image->bytes, image->bytes_count, &err), &err);
	assert_ok(fs_check(&fs, NULL, &err), &err);
	for (int i = 0; i < MANY; i++) {
		struct fs_node node;

		assert_ok(fs_lookup(&fs, paths[i], false, &node, &err), &err);
		assert_int_equal(node.type, specs[i].type);
	}
	assert_true(fs.root_nid < 65536);
	image_free(image);
	free(paths);
	free(specs);
}

struct totals {
	uint64_t sunk;
	uint8_t last;
};

static enum chain_status pattern_source(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
					struct chain_error *err)
{
	(void)ctx;
	(void)spec;
	(void)err;
	memset(buf, (int)(offset >> 20), count);
	return CHAIN_OK;
}

static enum chain_status counting_sink(void *ctx, uint64_t offset, const void *buf, size_t count,
				       struct chain_error *err)
{
	struct totals *totals = ctx;

	(void)err;
	(void)offset;
	assert_true(count > 0 && count <= 1024 * 1024);
	totals->sunk += count;
	totals->last = *(const uint8_t *)buf;
	return CHAIN_OK;
}

/* Sizes beyond 32 bits are laid out without being held; a file of 64 MiB goes through a megabyte of memory. */
static void large_files(void **state)
{
	uint8_t sha[CHAIN_LOCATED_BYTES] = { 1 };
	struct fs_spec specs[] = {
		{ .path = "/a", .type = FS_REGULAR, .size_bytes = 5ull << 30, .digest = sha },
		{ .path = "/b", .type = FS_REGULAR, .size_bytes = (5ull << 30) + 1, .align_bytes = 2 << 20 },
	};
	struct chain_error err = { 0 };
	struct fs_writer *writer = writer_of(specs, 2);
	struct totals totals = { 0 };
	const struct fs_placed *placed;
	size_t count;

	(void)state;
	assert_ok(fs_writer_layout(writer, &err), &err);
	placed = fs_writer_placed(writer, &count);
	assert_int_equal(count, 2);
	assert_int_equal(placed[1].data_offset % (2 << 20), 0);
	assert_true(placed[1].data_offset >= placed[0].data_offset + (5ull << 30));
	assert_true(fs_writer_image_bytes(writer) > 10ull << 30);
	fs_writer_free(writer);

	specs[0].size_bytes = specs[1].size_bytes = 64 << 20;
	writer = writer_of(specs, 2);
	assert_ok(fs_writer_layout(writer, &err), &err);
	assert_ok(fs_writer_emit(writer, pattern_source, counting_sink, NULL, &totals, &err), &err);
	assert_int_equal(totals.sunk, (128 << 20) + fs_writer_meta_bytes(writer));
	fs_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_trees),
		cmocka_unit_test(random_trees_by_fsck),
		cmocka_unit_test(many_nodes),
		cmocka_unit_test(large_files),
	};

	return cmocka_run_group_tests(tests, fill_contents, NULL);
}
