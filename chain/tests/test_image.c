/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Images that were damaged: every byte, every length. And what is found in whole ones. */
#include "bake_fixture.h"
#include "fs/erofs_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static uint8_t stage[STAGE_FILE_BYTES];
static char long_text[20000], pipeline_text[] = "{\"kchain\": 1}";

static const char *format; /* of all images: null, the usual one, then each other */

/* `version`: earlier ones have the pipeline among the other files. */
static struct sink image_for(uint32_t version)
{
	struct fs_spec specs[] = {
		file_spec("/corpus/a", "alpha\n"),
		file_spec("/corpus/b", long_text),
		file_spec("/empty", ""),
		link_spec("/latest", "corpus/a"),
		link_spec("/dir", "/corpus"),
		link_spec("/loop", "loop"),
		link_spec("/deep", "dir/../corpus/./b"),
		link_spec("/out", "../../corpus/a"),
		link_spec("/nowhere", "missing"),
		pipeline_spec(pipeline_text),
	};
	struct sink sink = { 0 };
	struct chain_bake_result result;
	struct chain_bake_request request;

	specs[1].reserve_bytes = 8192;
	specs[9].in_metadata = version == CHAIN_IMAGE_VERSION;
	request = request_make(stage, specs, sizeof(specs) / sizeof(specs[0]), &sink);
	request.format = format;
	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	return sink;
}

static struct sink small_image(void)
{
	return image_for(CHAIN_IMAGE_VERSION);
}

static enum chain_status check(const uint8_t *bytes, uint64_t count, struct chain_error *err)
{
	struct chain_image image;
	const enum chain_status status = chain_image_open(&image, bytes, count, err);

	return status == CHAIN_OK ? chain_image_verify(&image, NULL, NULL, err) : status;
}

static void whole_image_is_accepted(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_error err = { 0 };

	assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_OK);
	assert_true(chain_image_is(sink.bytes, sink.count));
	free(sink.bytes);
}

static void every_flip_is_refused(void **state)
{
	(void)state;
	struct sink sink = small_image();
	unsigned bit = 0;

	for (uint64_t at = 0; at < sink.count; at++) {
		struct chain_error err = { 0 };

		bit = (bit + 5) % 8;
		sink.bytes[at] ^= (uint8_t)(1u << bit);
		assert_true(
			chain_image_is(sink.bytes, sink.count)); /* or it might be started as another kind of kernel */
		if (check(sink.bytes, sink.count, &err) == CHAIN_OK)
			fail_msg("byte %llu, bit %u: accepted", (unsigned long long)at, bit);
		assert_int_not_equal(err.status, CHAIN_OK);
		assert_string_not_equal(err.subject, "");
		sink.bytes[at] ^= (uint8_t)(1u << bit);
	}
	assert_int_equal(check(sink.bytes, sink.count, NULL), CHAIN_OK);
	free(sink.bytes);
}

static void every_length_is_refused(void **state)
{
	(void)state;
	struct sink sink = small_image();

	for (uint64_t count = 0; count < sink.count; count++) {
		uint8_t *cut = malloc(count + 1);

		assert_non_null(cut);
		memcpy(cut, sink.bytes, count);
		cut = realloc(cut, count ? count : 1); /* so that a sanitizer sees a byte too many being read */
		if (check(cut, count, NULL) == CHAIN_OK)
			fail_msg("accepted when cut to %llu", (unsigned long long)count);
		free(cut);
		if (count > 16384 && count + 5000 < sink.count)
			count += 96;
	}
	uint8_t *longer = calloc(1, sink.count + 1);
	struct chain_error err = { 0 };

	assert_non_null(longer);
	memcpy(longer, sink.bytes, sink.count);
	assert_int_equal(check(longer, sink.count + 1, &err), CHAIN_E_IMAGE_TRAILING);
	free(longer);
	free(sink.bytes);
}

static void random_flips_of_a_larger_one(void **state)
{
	(void)state;
	enum { FILES = 20, FLIPS = 2000 };
	static char paths[FILES][16];
	struct fs_spec specs[FILES];
	struct sink sink = { 0 };
	struct chain_bake_result result;
	uint64_t seed = 88172645463325252ull;

	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/d%zu/f%zu", i % 3, i);
		specs[i] = (struct fs_spec){
			.path = paths[i], .type = FS_REGULAR, .mode = 0644, .size_bytes = 10000 + i * 1234
		};
	}
	struct chain_bake_request request = request_make(stage, specs, FILES, &sink);
	request.format = format;

	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	for (int i = 0; i < FLIPS; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		const uint64_t at = seed % sink.count;
		const uint8_t flip = (uint8_t)(1u << (seed >> 60) % 8);
		struct chain_error err = { 0 };

		sink.bytes[at] ^= flip;
		if (check(sink.bytes, sink.count, &err) == CHAIN_OK)
			fail_msg("byte %llu: accepted", (unsigned long long)at);
		assert_string_not_equal(err.subject, "");
		sink.bytes[at] ^= flip;
	}
	free(sink.bytes);
}

static void damage_names_its_place(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image image;

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	const struct chain_image_header h = image.header;
	const uint8_t *data =
		memmem(image.fs_bytes + image.fs_meta_bytes, image.fs_bytes_count - image.fs_meta_bytes, "alpha\n", 6);

	assert_non_null(data);
	const struct {
		uint64_t at;
		enum chain_status status;
		const char *subject;
	} cases[] = {
		{ 4000, CHAIN_E_IMAGE_DIGEST, "elf" },
		{ h.file_base + 0x700, CHAIN_E_IMAGE_DIGEST, "stage" },
		{ h.file_manifest + 30, CHAIN_E_IMAGE_DIGEST, "manifest" },
		{ h.file_manifest - 1, CHAIN_E_IMAGE_NOT_ZERO, "padding before the manifest" },
		{ h.file_fs - 1, CHAIN_E_IMAGE_NOT_ZERO, "padding before the filesystem" },
		{ h.file_fs + 1024, CHAIN_E_IMAGE_DIGEST, "fs-meta" },
		{ (uint64_t)(data - sink.bytes), CHAIN_E_IMAGE_DIGEST, "/corpus/a" },
		{ (uint64_t)(data - sink.bytes) + 6, CHAIN_E_IMAGE_NOT_ZERO, "filesystem padding" },
		{ sink.count - 1, CHAIN_E_IMAGE_DIGEST, "sections" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };

		sink.bytes[cases[i].at] ^= 4;
		assert_int_equal(check(sink.bytes, sink.count, &err), cases[i].status);
		assert_string_equal(err.subject, cases[i].subject);
		sink.bytes[cases[i].at] ^= 4;
	}
	free(sink.bytes);
}

static void files_and_links(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image image;
	const uint8_t *bytes;
	uint64_t count;
	struct chain_digest digest, wanted;

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	for (const char *path = "/corpus/a\0/latest\0/dir/a\0/out\0//corpus/./a\0"; *path; path += strlen(path) + 1) {
		assert_int_equal(chain_image_file(&image, path, &bytes, &count, &digest, NULL), CHAIN_OK);
		assert_int_equal(count, 6);
		assert_memory_equal(bytes, "alpha\n", 6);
	}
	chain_digest_of(CHAIN_DIGEST_FSVERITY, long_text, strlen(long_text), &wanted);
	assert_int_equal(chain_image_file(&image, "/deep", &bytes, &count, &digest, NULL), CHAIN_OK);
	assert_true(chain_digest_same(&digest, &wanted));
	assert_int_equal(chain_image_file(&image, "/empty", &bytes, &count, &digest, NULL), CHAIN_OK);
	assert_int_equal(count, 0);
	assert_int_equal(chain_image_file(&image, "/loop", &bytes, &count, &digest, NULL), CHAIN_E_MANIFEST_LOOP);
	for (const char *path = "/corpus\0/nowhere\0/corpus/c\0/\0"; *path; path += strlen(path) + 1)
		assert_int_equal(chain_image_file(&image, path, &bytes, &count, &digest, NULL),
				 CHAIN_E_MANIFEST_NO_ENTRY);
	free(sink.bytes);
}

/* With a note of what was checked, a file is hashed once, under whichever name; another's damage is still found. */
static void files_are_checked_once(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image_checked checked = { 0 };
	struct chain_image image;
	const uint8_t *a, *b, *again;
	uint64_t count;
	struct chain_digest digest, wanted;

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_file(&image, "/corpus/b", &b, &count, &digest, NULL), CHAIN_OK);
	image.checked = &checked;
	assert_int_equal(chain_image_file(&image, "/corpus/a", &a, &count, &digest, NULL), CHAIN_OK);
	chain_digest_of(CHAIN_DIGEST_FSVERITY, "alpha\n", 6, &wanted);
	((uint8_t *)(uintptr_t)a)[0] ^= 1;
	((uint8_t *)(uintptr_t)b)[0] ^= 1;
	for (const char *path = "/corpus/a\0/latest\0"; *path; path += strlen(path) + 1) {
		memset(&digest, 0, sizeof(digest));
		assert_int_equal(chain_image_file(&image, path, &again, &count, &digest, NULL), CHAIN_OK);
		assert_ptr_equal(again, a);
		assert_true(chain_digest_same(&digest, &wanted));
	}
	for (int i = 0; i < 2; i++) /* what failed is not noted */
		assert_int_equal(chain_image_file(&image, "/corpus/b", &b, &count, &digest, NULL),
				 CHAIN_E_IMAGE_DIGEST);
	image.checked = NULL;
	assert_int_equal(chain_image_file(&image, "/corpus/a", &a, &count, &digest, NULL), CHAIN_E_IMAGE_DIGEST);
	checked.all = true;
	image.checked = &checked;
	assert_int_equal(chain_image_file(&image, "/corpus/b", &b, &count, &digest, NULL), CHAIN_OK);
	free(sink.bytes);
}

/* The manifest's own walk and search agree, in the order it promises. */
static void manifest_walk_and_find(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image image;
	struct chain_manifest_entry entry, found;
	uint64_t cursor = 0, files = 0, links = 0, parts = 0;
	char path[CHAIN_IMAGE_PATH_BYTES], before[CHAIN_IMAGE_PATH_BYTES] = "";

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	while (chain_manifest_next(&image, &cursor, &entry)) {
		memcpy(path, entry.path, entry.path_bytes);
		path[entry.path_bytes] = '\0';
		parts += entry.kind == CHAIN_MANIFEST_PART;
		files += entry.kind == CHAIN_MANIFEST_FILE;
		links += entry.kind == CHAIN_MANIFEST_LINK;
		if (entry.kind == CHAIN_MANIFEST_PART)
			continue;
		assert_true(strcmp(before, path) < 0);
		strcpy(before, path);
		assert_int_equal(chain_manifest_find(&image, path, &found, NULL), CHAIN_OK);
		assert_ptr_equal(found.path, entry.path);
	}
	assert_int_equal(parts, 4);
	assert_int_equal(files, 4);
	assert_int_equal(links, 6);
	assert_int_equal(chain_manifest_find(&image, "/corpus", &found, NULL), CHAIN_E_MANIFEST_NO_ENTRY);
	assert_int_equal(chain_manifest_find(&image, "/zzz", &found, NULL), CHAIN_E_MANIFEST_NO_ENTRY);
	assert_int_equal(chain_manifest_find(&image, "", &found, NULL), CHAIN_E_MANIFEST_NO_ENTRY);
	free(sink.bytes);
}

/* Loaded to memory as a boot loader does it. */
static void loaded_image(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image file, loaded;
	const uint8_t *bytes;
	uint64_t count;

	assert_int_equal(chain_image_open(&file, sink.bytes, sink.count, NULL), CHAIN_OK);
	const struct chain_image_header h = file.header;
	uint8_t *memory = calloc(1, h.fs_offset + h.fs_memory_bytes);

	assert_non_null(memory);
	memcpy(memory + h.manifest_offset, sink.bytes + h.file_manifest, h.manifest_bytes);
	memcpy(memory + h.fs_offset, sink.bytes + h.file_fs, h.fs_bytes);
	assert_int_equal(chain_image_open_loaded(&loaded, memory, &h, NULL), CHAIN_OK);
	assert_int_equal(chain_image_verify(&loaded, NULL, NULL, NULL), CHAIN_OK);
	for (uint64_t i = 0; i < h.fs_bytes; i += 61) {
		memory[h.fs_offset + i] ^= 8;
		if (chain_image_open_loaded(&loaded, memory, &h, NULL) == CHAIN_OK)
			assert_int_not_equal(chain_image_verify(&loaded, NULL, NULL, NULL), CHAIN_OK);
		memory[h.fs_offset + i] ^= 8;
	}
	assert_int_equal(chain_image_open_loaded(&loaded, memory, &h, NULL), CHAIN_OK);
	assert_int_equal(chain_image_file(&loaded, "/latest", &bytes, &count, NULL, NULL), CHAIN_OK);
	free(memory);
	free(sink.bytes);
}

/* Replaces text of the manifest by text of the same length and gives the image the id that fits. */
static void manifest_forge(struct sink *sink, const char *from, const char *to)
{
	struct chain_image_header h;
	uint64_t at = 4096;

	while (memcmp(sink->bytes + at, CHAIN_IMAGE_MAGIC, 8) != 0)
		at += CHAIN_IMAGE_HEADER_ALIGN;
	memcpy(&h, sink->bytes + at, sizeof(h));
	uint8_t *text = sink->bytes + h.file_manifest, *place = memmem(text, h.manifest_bytes, from, strlen(from));

	assert_non_null(place);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(place, to, strlen(to));
	chain_sha256_of(text, h.manifest_bytes, h.id);
	memcpy(sink->bytes + at, &h, sizeof(h));
}

/* Whoever makes an image can give it any manifest and an id that fits: form and sense are checked all the same. */
static void forged_manifests(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		enum chain_status status;
	} cases[] = {
		{ "kchain-manifest 4", "kchain-manifest 1", CHAIN_E_MANIFEST_MALFORMED },
		{ "kchain-manifest 4", "kchain-manifest 2", CHAIN_E_MANIFEST_MALFORMED },
		{ "kchain-manifest 4", "kchain-manifest 3", CHAIN_E_MANIFEST_MALFORMED },
		{ "kchain-manifest 4", "kchain-manifest 5", CHAIN_E_MANIFEST_MALFORMED },
		{ "part elf ", "part fle ", CHAIN_E_MANIFEST_MALFORMED },
		{ "part stage", "port stage", CHAIN_E_MANIFEST_MALFORMED },
		{ " 0 4096\n", " 1 4096\n", CHAIN_E_IMAGE_BAD_HEADER },
		{ " 0 4096\n", " 00 096\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 0 4096\n", " 0 4095\n", CHAIN_E_IMAGE_BAD_HEADER },
		{ " 0 4096\n", " 0 4000\n", CHAIN_E_IMAGE_BAD_HEADER },
		{ " 0 4096\n", " 0 9999\n", CHAIN_E_MANIFEST_MALFORMED }, /* without a locator */
		{ " 6 /corpus/a\n", " 6 corpus//a\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 /corpus/z\n", CHAIN_E_MANIFEST_MALFORMED }, /* out of order */
		{ " 6 /corpus/a\n", " 6 /corpus/b\n", CHAIN_E_MANIFEST_MALFORMED }, /* twice */
		{ " 6 /corpus/a\n", " 6 /corpus/\t\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 7 /corpus/a\n", CHAIN_E_MANIFEST_SIZE },
		{ " 6 /corpus/a\n", " 6 /corpus/A\n", CHAIN_E_FS_NOT_FOUND },
		{ " 6 /corpus/a\n", "  6/corpus/a\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 8 /latest\n", " 8 /latesu\n", CHAIN_E_FS_NOT_FOUND },
		{ " 0 /empty\n", " 0 /dir/a\n", CHAIN_E_MANIFEST_KIND }, /* behind a link */
		{ " 6 /corpus/a\n", " 6 /corp\xc2\x9b/a\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 //orpus/a\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 /./rpus/a\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 /corpu/..\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 /corpus/.\n", CHAIN_E_MANIFEST_MALFORMED },
		{ " 6 /corpus/a\n", " 6 /corpusa/\n", CHAIN_E_MANIFEST_MALFORMED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sink sink = small_image();
		struct chain_error err = { 0 };

		manifest_forge(&sink, cases[i].from, cases[i].to);
		const enum chain_status status = check(sink.bytes, sink.count, &err);

		if (status != cases[i].status)
			fail_msg("case %zu (%s): %s", i, cases[i].to, chain_status_slug(status));
		free(sink.bytes);
	}
}

/* Each character of a locator by one that is no digit of its own: there is one way to write it. What it says is not
 * looked at while the digest is right. */
static void locators_have_one_form(void **state)
{
	(void)state;
	struct sink sink = small_image();
	struct chain_image image;
	struct chain_manifest_entry entry;
	char before[2 * CHAIN_LOCATOR_BYTES + sizeof("  /corpus/b")], after[sizeof(before)];

	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_manifest_find(&image, "/corpus/b", &entry, NULL), CHAIN_OK);
	before[0] = ' ';
	chain_hex_of(entry.locator, sizeof(entry.locator), before + 1);
	strcat(before, " /corpus/b");
	for (const char *wrong = "AFGg/ \n:`"; *wrong; wrong++) {
		for (size_t i = 1; i <= 2 * CHAIN_LOCATOR_BYTES; i++) {
			strcpy(after, before);
			after[i] = *wrong;
			manifest_forge(&sink, before, after);
			assert_int_equal(check(sink.bytes, sink.count, NULL), CHAIN_E_MANIFEST_MALFORMED);
			manifest_forge(&sink, after, before);
		}
	}
	strcpy(after, before);
	after[1] = before[1] == '0' ? '1' : '0';
	manifest_forge(&sink, before, after);
	assert_int_equal(check(sink.bytes, sink.count, NULL), CHAIN_OK);
	free(sink.bytes);
}

/* Gives a file another place in the filesystem, and metadata, manifest and id that fit. */
static void place_forge(struct sink *sink, const char *path, uint32_t block)
{
	struct fs_erofs_super super;
	struct fs_erofs_compact inode;
	struct chain_image image;
	struct fs_node node;
	char before[CHAIN_SHA256_HEX + 1], after[CHAIN_SHA256_HEX + 1];
	uint8_t digest[32];

	assert_int_equal(chain_image_open(&image, sink->bytes, sink->count, NULL), CHAIN_OK);
	assert_int_equal(fs_lookup(&image.fs, path, false, &node, NULL), CHAIN_OK);
	uint8_t *fs = sink->bytes + image.header.file_fs;

	chain_verity_of(fs, image.fs_meta_bytes, digest);
	chain_sha256_to_hex(digest, before);
	memcpy(&super, fs + FS_EROFS_SUPER_OFFSET, sizeof(super));
	super.feature_compat &= ~(uint32_t)FS_EROFS_COMPAT_CHECKSUM;
	memcpy(fs + FS_EROFS_SUPER_OFFSET, &super, sizeof(super));
	memcpy(&inode, fs + node.nid * FS_EROFS_SLOT_BYTES, sizeof(inode));
	memset(fs + node.data_offset, 0, node.size_bytes);
	inode.start_block = block;
	memcpy(fs + node.nid * FS_EROFS_SLOT_BYTES, &inode, sizeof(inode));
	chain_verity_of(fs, image.fs_meta_bytes, digest);
	chain_sha256_to_hex(digest, after);
	manifest_forge(sink, before, after);
}

/* The bytes that a line of the manifest is about. */
static const uint8_t *bytes_of(const struct chain_image *image, const struct chain_manifest_entry *entry)
{
	const uint8_t *bytes = image->bytes + entry->offset;
	char path[64];
	struct fs_node node;
	uint64_t count;

	if (entry->kind == CHAIN_MANIFEST_PART)
		return bytes;
	(void)snprintf(path, sizeof(path), "%.*s", (int)entry->path_bytes, entry->path);
	assert_int_equal(fs_lookup(&image->fs, path, false, &node, NULL), CHAIN_OK);
	assert_int_equal(fs_file_bytes(&image->fs, &node, &bytes, &count, NULL), CHAIN_OK);
	return bytes;
}

/* The manifest as an earlier version wrote it: before the third without locators, and in the first with SHA-256
 * everywhere. */
static size_t old_manifest(const struct chain_image *image, uint32_t version, char *out, size_t size)
{
	struct chain_manifest_entry entry;
	uint64_t cursor = 0;
	size_t used = (size_t)snprintf(out, size, "kchain-manifest %u\n", version);

	while (chain_manifest_next(image, &cursor, &entry)) {
		const bool part = entry.kind == CHAIN_MANIFEST_PART, link = entry.kind == CHAIN_MANIFEST_LINK;
		const int path_bytes = (int)entry.path_bytes;
		const bool located = version >= 3 && !link && entry.bytes > CHAIN_VERITY_BLOCK_BYTES;
		char hex[CHAIN_SHA256_HEX + 1], locator[2 * CHAIN_LOCATOR_BYTES + 2] = "";
		uint8_t digest[CHAIN_LOCATED_BYTES];

		if (link)
			memcpy(digest, entry.digest.bytes, CHAIN_SHA256_BYTES);
		else
			(version == 1 ? chain_sha256_of : chain_verity_of_located)(bytes_of(image, &entry), entry.bytes,
										   digest);
		chain_sha256_to_hex(digest, hex);
		if (located) {
			locator[0] = ' ';
			chain_hex_of(digest + CHAIN_SHA256_BYTES, CHAIN_LOCATOR_BYTES, locator + 1);
		}
		if (part)
			used += (size_t)snprintf(out + used, size - used, "part %.*s %s %llu %llu%s\n", path_bytes,
						 entry.path, hex, (unsigned long long)entry.offset,
						 (unsigned long long)entry.bytes, locator);
		else
			used += (size_t)snprintf(out + used, size - used, "%s %s %llu%s %.*s\n", link ? "link" : "file",
						 hex, (unsigned long long)entry.bytes, locator, path_bytes, entry.path);
		assert_true(used < size);
	}
	return used;
}

/* As `bake` of an earlier version would have written it. */
static void make_version(struct sink *sink, uint32_t version)
{
	struct chain_image_header header;
	struct chain_image image;
	char text[8192];

	assert_int_equal(chain_image_open(&image, sink->bytes, sink->count, NULL), CHAIN_OK);
	header = image.header;
	header.version = version;
	memset(header.id, 0, sizeof(header.id));
	header.manifest_bytes = old_manifest(&image, version, text, sizeof(text));
	assert_true(header.manifest_bytes <= image.manifest_bytes);
	memcpy(sink->bytes + image.header_at, &header, sizeof(header));
	assert_int_equal(old_manifest(&image, version, text, sizeof(text)), header.manifest_bytes);
	chain_sha256_of(text, header.manifest_bytes, header.id);
	memcpy(sink->bytes + image.header_at, &header, sizeof(header));
	memset(sink->bytes + header.file_manifest, 0, image.manifest_bytes);
	memcpy(sink->bytes + header.file_manifest, text, header.manifest_bytes);
}

static void earlier_versions_are_read(void **state)
{
	(void)state;
	for (uint32_t version = 1; version < CHAIN_IMAGE_VERSION; version++) {
		const enum chain_digest_kind kind = version == 1 ? CHAIN_DIGEST_SHA256 : CHAIN_DIGEST_FSVERITY;
		struct sink sink = image_for(version);
		const uint8_t *bytes;
		uint64_t count;
		struct chain_digest digest, wanted;
		struct chain_image image;
		struct chain_error err = { 0 };

		make_version(&sink, version);
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_OK);
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(chain_image_file(&image, "/latest", &bytes, &count, &digest, NULL), CHAIN_OK);
		chain_digest_of(kind, "alpha\n", 6, &wanted);
		assert_true(chain_digest_same(&digest, &wanted));
		assert_int_equal(chain_image_file(&image, "/corpus/b", &bytes, &count, &digest, NULL), CHAIN_OK);
		for (uint64_t at = 0; at < sink.count; at += 13) {
			sink.bytes[at] ^= 4;
			if (check(sink.bytes, sink.count, NULL) == CHAIN_OK)
				fail_msg("byte %llu: accepted", (unsigned long long)at);
			sink.bytes[at] ^= 4;
		}
		sink.bytes[bytes - sink.bytes + 5000] ^= 4; /* where no place is known, none is reported */
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_E_IMAGE_DIGEST);
		assert_string_equal(err.subject, "/corpus/b");
		assert_true((strstr(err.detail, "; block 2 of 5 is damaged") != NULL) == (version >= 3));
		free(sink.bytes);
	}
}

/* The header's version and the manifest's are one; and a version that nobody knows is refused by name. */
static void other_versions_are_refused(void **state)
{
	(void)state;
	for (uint32_t version = 0; version < CHAIN_IMAGE_VERSION + 3; version++) {
		struct sink sink = small_image();
		struct chain_image image;
		struct chain_error err = { 0 };
		const bool known = version >= 1 && version < CHAIN_IMAGE_VERSION;

		if (version == CHAIN_IMAGE_VERSION) {
			free(sink.bytes);
			continue;
		}
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		memcpy(sink.bytes + image.header_at + offsetof(struct chain_image_header, version), &version,
		       sizeof(version));
		assert_int_equal(check(sink.bytes, sink.count, &err),
				 known ? CHAIN_E_MANIFEST_MALFORMED : CHAIN_E_IMAGE_VERSION);
		assert_int_equal(err.number[0], known ? 1 : version);
		free(sink.bytes);
	}
}

/* Small files are hashed together and large ones alone: each that is damaged is named, whatever is around it. */
static void files_of_all_sizes(void **state)
{
	(void)state;
	enum { FILES = 37, LARGEST = 40000 };
	static const size_t sizes[] = { 1, 4095, 4096, 0, 4097, 17, 8192, 3000, 12289, 100, 200, 300, 400, 500 };
	static char paths[FILES][16], text[LARGEST + FILES];
	struct fs_spec specs[FILES];
	struct sink sink = { 0 };
	struct chain_bake_result result;
	struct chain_image image;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + (i * i + i / 100) % 26);
	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/f%02zu", i);
		specs[i] = file_spec(paths[i], text + i);
		specs[i].size_bytes = i == 20 ? LARGEST : sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
	}
	struct chain_bake_request request = request_make(stage, specs, FILES, &sink);

	assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
	assert_int_equal(check(sink.bytes, sink.count, NULL), CHAIN_OK);
	assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
	for (size_t i = 0; i < FILES; i++) {
		struct chain_error err = { 0 };
		struct fs_node node;
		const uint8_t *bytes;
		uint64_t count;

		assert_int_equal(fs_lookup(&image.fs, paths[i], false, &node, NULL), CHAIN_OK);
		assert_int_equal(fs_file_bytes(&image.fs, &node, &bytes, &count, NULL), CHAIN_OK);
		if (count == 0)
			continue;
		uint8_t *byte = sink.bytes + (bytes - sink.bytes) + (i % 2 ? count - 1 : 0);

		*byte ^= 1;
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_E_IMAGE_DIGEST);
		assert_string_equal(err.subject, paths[i]);
		*byte ^= 1;
	}
	free(sink.bytes);
}

/* A thousand names for nearly the same bytes would be hashed a thousand times: one is refused. */
static void files_that_overlap_are_refused(void **state)
{
	(void)state;
	static const struct {
		int block; /* counted from that of /corpus/b, whose five blocks lie behind the one of /corpus/a */
		enum chain_status status;
		const char *subject, *detail;
	} cases[] = {
		{ 0, CHAIN_E_IMAGE_OVERLAP, "/corpus/b", "another file" },
		{ 1, CHAIN_E_IMAGE_OVERLAP, "/corpus/a", "another file" },
		{ 4, CHAIN_E_IMAGE_OVERLAP, "/corpus/a", "another file" },
		{ 5, CHAIN_E_IMAGE_DIGEST, "/corpus/a", "" }, /* behind it */
		{ -2, CHAIN_E_IMAGE_OVERLAP, "/corpus/a", "the filesystem's metadata" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sink sink = small_image();
		struct chain_error err = { 0 };
		struct chain_image image;
		struct fs_node node;

		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(fs_lookup(&image.fs, "/corpus/b", false, &node, NULL), CHAIN_OK);
		place_forge(&sink, "/corpus/a", (uint32_t)((int64_t)(node.data_offset / 4096) + cases[i].block));
		const enum chain_status status = check(sink.bytes, sink.count, &err);

		if (status != cases[i].status)
			fail_msg("case %zu: %s, %s", i, chain_status_slug(status), err.subject);
		assert_string_equal(err.subject, cases[i].subject);
		assert_int_equal(strncmp(err.detail, cases[i].detail, strlen(cases[i].detail)), 0);
		free(sink.bytes);
	}
}

/* The pipeline of any size lies in the metadata and is believed with it: damage is that of fs-meta. Its line is still
 * held against its bytes when everything is. */
static void the_pipeline_lies_in_the_metadata(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 90, 3000, 3500, 3900, 4000, 4095, 4096, 4097, 8192, 19999 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fs_spec specs[] = { file_spec("/a", pipeline_text), pipeline_spec(long_text) };
		struct sink sink = { 0 };
		struct chain_bake_result result;
		struct chain_image image;
		struct chain_error err = { 0 };
		struct chain_manifest_entry entry;
		char before[CHAIN_SHA256_HEX + 1], after[CHAIN_SHA256_HEX + 1];
		const uint8_t *bytes;
		uint64_t count;

		specs[1].size_bytes = sizes[i];
		struct chain_bake_request request = request_make(stage, specs, 2, &sink);

		request.format = format;
		assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_OK);
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(chain_image_file(&image, CHAIN_FS_PIPELINE, &bytes, &count, NULL, NULL), CHAIN_OK);
		assert_int_equal(count, sizes[i]);
		assert_memory_equal(bytes, long_text, count);
		assert_true((uint64_t)(bytes - image.fs_bytes) + count <= image.fs_meta_bytes);
		for (uint64_t at = 0; at < count; at += 1 + count / 50) {
			uint8_t *byte = sink.bytes + (bytes - sink.bytes) + at;

			*byte ^= 8;
			assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_E_IMAGE_DIGEST);
			assert_string_equal(err.subject, "fs-meta");
			*byte ^= 8;
		}
		assert_int_equal(chain_manifest_find(&image, CHAIN_FS_PIPELINE, &entry, NULL), CHAIN_OK);
		chain_sha256_to_hex(entry.digest.bytes, before);
		memcpy(after, before, sizeof(after));
		after[5] = after[5] == '0' ? '1' : '0';
		manifest_forge(&sink, before, after);
		chain_error_clear(&err);
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_E_IMAGE_DIGEST);
		assert_string_equal(err.subject, CHAIN_FS_PIPELINE);
		free(sink.bytes);
	}
}

/* What the manifest says of any other file is told to kernels, so it is held against its bytes wherever they lie. */
static void no_other_file_lies_in_the_metadata(void **state)
{
	(void)state;
	for (size_t bytes = 10; bytes < 10000; bytes += 9000) {
		struct fs_spec specs[] = { file_spec("/a", long_text), file_spec(CHAIN_FS_PIPELINE, long_text) };
		struct sink sink = { 0 };
		struct chain_bake_result result;
		struct chain_image image;
		struct chain_error err = { 0 };
		char before[CHAIN_SHA256_HEX + 1], after[CHAIN_SHA256_HEX + 1];
		const uint8_t *found;
		uint64_t count;
		struct chain_digest digest;

		specs[0].size_bytes = bytes;
		specs[0].in_metadata = true;
		struct chain_bake_request request = request_make(stage, specs, 2, &sink);

		assert_int_equal(chain_bake(&request, &result, NULL), CHAIN_OK);
		assert_int_equal(check(sink.bytes, sink.count, &err), CHAIN_E_IMAGE_OVERLAP);
		assert_string_equal(err.subject, "/a");
		assert_string_equal(err.detail, "the filesystem's metadata");
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(chain_image_file(&image, "/a", &found, &count, &digest, NULL), CHAIN_OK);
		chain_sha256_to_hex(digest.bytes, before);
		memcpy(after, before, sizeof(after));
		after[5] = after[5] == '0' ? '1' : '0';
		manifest_forge(&sink, before, after);
		assert_int_equal(chain_image_open(&image, sink.bytes, sink.count, NULL), CHAIN_OK);
		assert_int_equal(chain_image_file(&image, "/a", &found, &count, &digest, NULL), CHAIN_E_IMAGE_DIGEST);
		/* the pipeline that lies with the files, as an earlier version had it */
		assert_int_equal(chain_image_file(&image, CHAIN_FS_PIPELINE, &found, &count, &digest, NULL), CHAIN_OK);
		sink.bytes[found - sink.bytes] ^= 1;
		assert_int_equal(chain_image_file(&image, CHAIN_FS_PIPELINE, &found, &count, &digest, NULL),
				 CHAIN_E_IMAGE_DIGEST);
		free(sink.bytes);
	}
}

static void probe(void **state)
{
	(void)state;
	struct sink sink = small_image();
	enum chain_kernel_kind kind;
	static uint8_t bz[0x300] = { [0x202] = 'H', 'd', 'r', 'S' };
	static uint8_t mb[64] = { 0x02, 0xb0, 0xad, 0x1b, 0, 0, 1, 0, 0xfe, 0x4f, 0x51, 0xe4 };
	static uint8_t arm[128] = "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1";
	const struct {
		const void *bytes;
		uint64_t count;
		const char *said;
	} others[] = {
		{ "", 0, "empty" },
		{ "#!/bin/sh\n", 10, "script" },
		{ "\x1f\x8b\x08\0", 4, "gzip" },
		{ "MZ\0\0", 4, "PE" },
		{ bz, sizeof(bz), "bzImage" },
		{ "hello\n", 6, "text" },
		{ "\xfd\x37zXZ\0\0\0", 8, "xz" },
		{ "\x28\xb5\x2f\xfd\0", 5, "zstd" },
		{ "\1\2\3", 3, "no kind" },
	};

	assert_int_equal(chain_kernel_probe(sink.bytes, sink.count, "x", &kind, NULL), CHAIN_OK);
	assert_int_equal(kind, CHAIN_KERNEL_IMAGE);
	assert_int_equal(chain_kernel_probe(mb, sizeof(mb), "x", &kind, NULL), CHAIN_OK);
	assert_string_equal(chain_kernel_kind_name(kind), "multiboot1");
	assert_string_equal(chain_kernel_kind_name(kind), "multiboot1");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct chain_error err = { 0 };

		assert_int_equal(chain_kernel_probe(others[i].bytes, others[i].count, "x", &kind, &err),
				 CHAIN_E_NOT_A_KERNEL);
		assert_non_null(strstr(err.detail, others[i].said));
		assert_string_equal(err.subject, "x");
	}
	arm[52] = 64;
	arm[54] = 56;
	assert_int_equal(chain_kernel_probe(arm, sizeof(arm), "x", &kind, NULL), CHAIN_E_ELF_BAD_MACHINE);
	free(sink.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_image_is_accepted),
		cmocka_unit_test(every_flip_is_refused),
		cmocka_unit_test(every_length_is_refused),
		cmocka_unit_test(random_flips_of_a_larger_one),
		cmocka_unit_test(damage_names_its_place),
		cmocka_unit_test(files_and_links),
		cmocka_unit_test(files_are_checked_once),
		cmocka_unit_test(manifest_walk_and_find),
		cmocka_unit_test(loaded_image),
		cmocka_unit_test(forged_manifests),
		cmocka_unit_test(locators_have_one_form),
		cmocka_unit_test(earlier_versions_are_read),
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(files_of_all_sizes),
		cmocka_unit_test(files_that_overlap_are_refused),
		cmocka_unit_test(the_pipeline_lies_in_the_metadata),
		cmocka_unit_test(no_other_file_lies_in_the_metadata),
		cmocka_unit_test(probe),
	};

	stage_make(stage);
	for (size_t i = 0; i < sizeof(long_text) - 1; i++)
		long_text[i] = (char)('a' + i % 23);
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	stage_add_note(stage);
	format = "pvh";
	return failed + cmocka_run_group_tests_name("in the form for PVH", tests, NULL, NULL);
}
