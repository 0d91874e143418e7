/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Labels of file systems, and which partition of a disk a source means: on a disk of fake sectors of several sizes, and
 * on bytes in memory. */
#include "stage/block_choose.h"
#include "stage/block_json.h"
#include "stage/block_label.h"
#include "stage/block_partition.h"

#include "../../fs/tests/support.h"
#include "fs/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 40 << 20 };

static uint8_t *bytes;

static int begin(void **state)
{
	(void)state;
	bytes = calloc(1, BYTES);
	return !bytes;
}

static int end(void **state)
{
	(void)state;
	free(bytes);
	return 0;
}

/* --- devices --- */

static enum chain_status read_memory(const struct stage_byte_device *device, uint64_t offset, uint64_t count,
				     void *into, struct chain_error *err)
{
	(void)err;
	assert_true(count && count <= device->bytes && offset <= device->bytes - count);
	memcpy(into, (const uint8_t *)device->ctx + offset, count);
	return CHAIN_OK;
}

static struct stage_byte_device memory(uint64_t count)
{
	return (struct stage_byte_device){
		.read = read_memory, .subject = "file", .bytes = count, .sector_bytes = 512, .ctx = bytes
	};
}

static uint64_t fails_from; /* sector; reads from it on fail */

static enum chain_status read_sectors(struct stage_block *dev, uint64_t lba, uint64_t count, void *buf,
				      struct chain_error *err)
{
	assert_true(count && count <= dev->sectors && lba <= dev->sectors - count);
	if (lba + count > fails_from)
		return CHAIN_FAIL(err, BLOCK_REQUEST, .subject = dev->place, .detail = "fails", .lba = lba,
				  .count = count);
	memcpy(buf, bytes + lba * dev->sector_bytes, count * dev->sector_bytes);
	return CHAIN_OK;
}

static const struct stage_bus bus = { .name = "pci" };

static struct stage_block make_disk(uint32_t sector_bytes, uint64_t count)
{
	static const struct stage_block_ops ops = { .read = read_sectors };
	fails_from = UINT64_MAX;
	return (struct stage_block){ .ops = &ops,
				     .driver = "fake",
				     .bus = &bus,
				     .place = "0000:00:01.0",
				     .sectors = count / sector_bytes,
				     .sector_bytes = sector_bytes };
}

/* Every piece of a disk, of a part of it, and of a part of that, whatever the size of its sectors. */
static void any_piece_is_read(void **state)
{
	static const uint64_t edges[] = { 0, 1, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 8192, 12287, 12288 };
	enum { EDGES = sizeof(edges) / sizeof(edges[0]), WHOLE = 16384 };
	static uint8_t into[WHOLE], sector[4096];
	(void)state;
	for (size_t i = 0; i < WHOLE; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	for (uint32_t size = 512; size <= 4096; size *= 2) {
		struct stage_block disk = make_disk(size, WHOLE);
		struct stage_byte_device whole, part, inner;
		struct chain_error err = { 0 };
		stage_byte_device_disk(&disk, sector, &whole);
		stage_byte_device_part(&whole, 1000, WHOLE - 2000, &part);
		stage_byte_device_part(&part, 24, WHOLE - 4000, &inner);
		const struct stage_byte_device *all[] = { &whole, &part, &inner };
		for (size_t d = 0, base = 0; d < 3; base += d == 0 ? 1000 : 24, d++)
			for (size_t i = 0; i < EDGES; i++)
				for (size_t j = 0; j < EDGES; j++) {
					uint64_t at = edges[i], count = edges[j];
					bool inside = at + count <= all[d]->bytes;
					chain_error_clear(&err);
					assert_int_equal(stage_byte_device_read(all[d], at, count, into, &err),
							 inside ? CHAIN_OK : CHAIN_E_BLOCK_PAST_END);
					if (inside)
						assert_memory_equal(into, bytes + base + at, count);
				}
		assert_int_equal(stage_byte_device_read(&inner, UINT64_MAX, 2, into, NULL), CHAIN_E_BLOCK_PAST_END);
		fails_from = 3;
		assert_int_equal(stage_byte_device_read(&whole, 3 * size - 1, 2, into, NULL), CHAIN_E_BLOCK_REQUEST);
		assert_int_equal(stage_byte_device_read(&part, 0, 1, into, NULL), CHAIN_OK);
	}
	memset(bytes, 0, WHOLE);
}

/* --- labels --- */

static void expect_label(uint64_t count, const char *wanted)
{
	struct stage_byte_device device = memory(count);
	char label[STAGE_LABEL_BYTES] = "?";
	stage_label_read(&device, label);
	assert_string_equal(label, wanted);
}

/* What the programs that make them write. */
static void labels_of_real_file_systems(void **state)
{
	static const struct {
		const char *command, *label;
	} rows[] = {
		{ "truncate -s 8M F && mke2fs -q -t ext2 -L 'root fs' F", "root fs" },
		{ "truncate -s 8M F && mke2fs -q -t ext4 -L 1234567890123456 F", "1234567890123456" },
		{ "truncate -s 8M F && mke2fs -q -t ext4 F", "" },
		{ "truncate -s 4M F && mformat -i F -T 8192 -h 16 -s 32 -v BOOT ::", "BOOT" },
		{ "truncate -s 32M F && mformat -i F -T 65536 -h 16 -s 32 -v LONGERNAME1 ::", "LONGERNAME1" },
		{ "truncate -s 40M F && mformat -i F -F -T 81920 -h 16 -s 32 -v BIG ::", "BIG" },
		{ "truncate -s 4M F && mformat -i F -T 8192 -h 16 -s 32 ::", "" },
		{ "mkdir F.d && xorriso -as mkisofs -quiet -V CD_LABEL -o F F.d", "CD_LABEL" },
		{ "mkdir F.d && mkfs.erofs F F.d", "" },
	};
	char path[] = "/tmp/kchain-label-XXXXXX", command[400];
	int skipped = 0;
	(void)state;
	assert_true(mkdtemp(path));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(command, sizeof(command),
			 "cd %s && rm -rf F F.d && PATH=$PATH:/sbin:/usr/sbin && { %s; } >/dev/null 2>&1", path,
			 rows[i].command);
		bool made = system(command) == 0;
		snprintf(command, sizeof(command), "%s/F", path);
		FILE *file = made ? fopen(command, "r") : NULL;
		size_t count = file ? fread(bytes, 1, BYTES, file) : 0;
		if (file)
			fclose(file);
		if (count)
			expect_label(count, rows[i].label);
		skipped += !count;
		memset(bytes, 0, count);
	}
	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
	if (skipped)
		skip();
}

static void put(uint64_t at, const char *text)
{
	memcpy(bytes + at, text, strlen(text));
}

static void make_ext(const char *label)
{
	put(1024 + 56, "\x53\xef");
	memset(bytes + 1024 + 120, 0, 16);
	put(1024 + 120, label);
}

/* A file system that ends early, one that is two, and texts that are none. */
static void labels_of_hostile_bytes(void **state)
{
	(void)state;
	make_ext("label");
	for (uint64_t count = 0; count < 4096; count++)
		expect_label(count, count < 1536 ? "" : "label");
	put(1024, "\xe2\xe1\xf5\xe0"); /* and EROFS */
	expect_label(BYTES, "");
	memset(bytes + 1024, 0, 4);
	static const struct {
		const char *text, *label;
	} rows[] = { { "", "" },
		     { "  ", "" },
		     { " a  ", " a" },
		     { "0123456789abcdefgh", "0123456789abcdef" },
		     { "\xc3\xa9", "\xc3\xa9" },
		     { "\xc3", "" },
		     { "a\x1b[2J", "" },
		     { "a\nb", "" },
		     { "\xc2\x85", "" },
		     { "NO NAME", "NO NAME" } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_ext(rows[i].text);
		expect_label(BYTES, rows[i].label);
	}
	memset(bytes, 0, 4096);
	put(38, "\x29");
	put(43, "NO NAME    FAT16   ");
	expect_label(BYTES, "");
	put(43, "NO NAMES   ");
	expect_label(BYTES, "NO NAMES");
	put(66, "\x29"); /* and FAT32 */
	put(71, "OTHER      FAT32   ");
	expect_label(BYTES, "");
	memset(bytes, 0, 4096);
	put(32768, "\1CD001\1");
	put(32768 + 40, "CD                              ");
	expect_label(BYTES, "CD");
	expect_label(32768 + 511, "");
	memset(bytes + 32768, 0, 512);
}

/* Every bit of what a label is known by counts. */
static void marks_are_whole(void **state)
{
	(void)state;
	make_ext("label");
	for (unsigned bit = 0; bit < 16; bit++) {
		bytes[1024 + 56 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		expect_label(4096, "");
		bytes[1024 + 56 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	expect_label(4096, "label");
	memset(bytes, 0, 4096);
}

/* --- which partition --- */

enum { MIB = 1 << 20 };

/* Partitions of 1 MiB each, from 1 MiB on, as a disk's inventory lists them. */
static const struct {
	const char *name, *uuid, *label;
} PARTITIONS[] = {
	{ "boot", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "boot" }, /* twice, but one partition */
	{ "root", "00000000-0000-0000-0000-000000000002", "data" },
	{ "root", "00000000-0000-0000-0000-000000000003", "" },
	{ "1", "00000000-0000-0000-0000-000000000003", "swap" },
	{ "data", "00000000-0000-0000-0000-000000000005", "swap" },
	{ "", "00000000-0000-0000-0000-000000000006", "3" },
	{ "name=odd", "00000000-0000-0000-0000-000000000007", "" },
};
enum { PARTITIONS_COUNT = sizeof(PARTITIONS) / sizeof(PARTITIONS[0]) };

static json_t *make_entry(void)
{
	json_t *list = json_array();
	for (size_t i = 0; i < PARTITIONS_COUNT; i++) {
		json_t *one =
			json_pack("{s:I,s:s,s:I,s:I}", "index", (json_int_t)i + 1, "uuid", PARTITIONS[i].uuid,
				  "start_lba", (json_int_t)(i + 1) * (MIB / 512), "sectors", (json_int_t)(MIB / 512));
		if (PARTITIONS[i].name[0])
			json_object_set_new(one, "name", json_string(PARTITIONS[i].name));
		json_array_append_new(list, one);
		if (PARTITIONS[i].label[0]) {
			put((i + 1) * MIB + 1024 + 56, "\x53\xef");
			put((i + 1) * MIB + 1024 + 120, PARTITIONS[i].label);
		}
	}
	json_array_append_new(
		list, json_pack("{s:i,s:s,s:i,s:i}", "index", 8, "name", "behind", "start_lba", 81919, "sectors", 2));
	json_array_append_new(
		list, json_pack("{s:i,s:s,s:i,s:i}", "index", 9, "name", "negative", "start_lba", -1, "sectors", -1));
	return json_pack("{s:o}", "partitions", list);
}

static void the_partition_that_is_meant(void **state)
{
	static const struct {
		const char *source;
		enum chain_status status;
		uint64_t first, second; /* where it is ambiguous, both; else the one */
	} rows[] = {
		{ "boot", CHAIN_OK, 1, 0 },
		{ "2", CHAIN_OK, 2, 0 },
		{ "AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee", CHAIN_OK, 1, 0 },
		{ "1", CHAIN_E_SOURCE_AMBIGUOUS, 1, 4 },    /* a number and a name */
		{ "root", CHAIN_E_SOURCE_AMBIGUOUS, 2, 3 }, /* two names */
		{ "data", CHAIN_E_SOURCE_AMBIGUOUS, 2, 5 }, /* a label and a name */
		{ "swap", CHAIN_E_SOURCE_AMBIGUOUS, 4, 5 }, /* two labels */
		{ "3", CHAIN_E_SOURCE_AMBIGUOUS, 3, 6 },    /* a number and a label */
		{ "00000000-0000-0000-0000-000000000003", CHAIN_E_SOURCE_AMBIGUOUS, 3, 4 },
		{ "index=1", CHAIN_OK, 1, 0 },
		{ "name=1", CHAIN_OK, 4, 0 },
		{ "index=3", CHAIN_OK, 3, 0 },
		{ "label=3", CHAIN_OK, 6, 0 },
		{ "label=data", CHAIN_OK, 2, 0 },
		{ "name=data", CHAIN_OK, 5, 0 },
		{ "name=name=odd", CHAIN_OK, 7, 0 },
		{ "uuid=00000000-0000-0000-0000-00000000000", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "uuid=00000000-0000-0000-0000-000000000005", CHAIN_OK, 5, 0 },
		{ "uuid=00000000-0000-0000-0000-000000000003", CHAIN_E_SOURCE_AMBIGUOUS, 3, 4 },
		{ "name=root", CHAIN_E_SOURCE_AMBIGUOUS, 2, 3 },
		{ "label=swap", CHAIN_E_SOURCE_AMBIGUOUS, 4, 5 },
		{ "index=01", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "index=10", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "name=odd", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "label=root", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "behind", CHAIN_E_SOURCE_DEVICE, 0, 0 },
		{ "BOOT", CHAIN_E_SOURCE_DEVICE, 0, 0 }, /* names and labels have a case */
	};
	struct stage_block disk = make_disk(512, BYTES);
	uint8_t sector[512];
	struct stage_byte_device whole;
	json_t *entry = make_entry();
	(void)state;
	stage_byte_device_disk(&disk, sector, &whole);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_block_source wanted;
		struct stage_byte_device part = { .bytes = 0 };
		struct chain_error err = { 0 };
		char rest[160];
		snprintf(rest, sizeof(rest), "disk/%s", rows[i].source);
		assert_true(chain_block_source_parse(rest, &wanted));
		enum chain_status status = stage_partition_choose(entry, &whole, &wanted, rest, &part, &err);
		if (status != rows[i].status)
			fail_msg("%s: %s", rest, chain_status_slug(status));
		if (!status)
			assert_true(part.base == rows[i].first * MIB && part.bytes == MIB);
		if (status == CHAIN_E_SOURCE_AMBIGUOUS)
			assert_true(err.number[0] == rows[i].first && err.number[1] == rows[i].second);
	}
	json_decref(entry);
	memset(bytes, 0, (PARTITIONS_COUNT + 2) * MIB);
}

/* A partition whose label can't be read has none; what is asked for by number is not asked for its label. */
static void labels_that_cannot_be_read(void **state)
{
	struct stage_block disk = make_disk(4096, BYTES);
	uint8_t sector[4096];
	struct stage_byte_device whole, part;
	struct chain_block_source wanted;
	json_t *entry = make_entry();
	(void)state;
	stage_byte_device_disk(&disk, sector, &whole);
	whole.sector_bytes = 512; /* as the entry counts */
	fails_from = 2 * MIB / 4096;
	assert_true(chain_block_source_parse("disk/label=boot", &wanted));
	assert_int_equal(stage_partition_choose(entry, &whole, &wanted, "s", &part, NULL), CHAIN_OK);
	assert_true(chain_block_source_parse("disk/label=data", &wanted));
	assert_int_equal(stage_partition_choose(entry, &whole, &wanted, "s", &part, NULL), CHAIN_E_SOURCE_DEVICE);
	fails_from = 0;
	assert_true(chain_block_source_parse("disk/index=5", &wanted));
	assert_int_equal(stage_partition_choose(entry, &whole, &wanted, "s", &part, NULL), CHAIN_OK);
	json_decref(entry);
	memset(bytes, 0, (PARTITIONS_COUNT + 2) * MIB);
}

/* --- a baked file --- */

/* A disk that is a file of the baked filesystem, read where that lies: its table, its partition, what is in it. */
static void a_baked_file_is_a_device(void **state)
{
	enum { FIRST = 8, SECTORS = 24, DISK = (FIRST + SECTORS) * 512 };
	static uint8_t disk[DISK];
	const struct fs_spec spec = {
		.path = "/disk", .type = FS_REGULAR, .mode = 0644, .size_bytes = DISK, .cookie = disk
	};
	const uint8_t entry[] = { 0, 0, 0, 0, 0x83, 0, 0, 0, FIRST, 0, 0, 0, SECTORS, 0, 0, 0 };
	struct stage_partition_table table;
	struct stage_byte_device part;
	struct fs fs;
	struct fs_node node;
	struct chain_error err = { 0 };
	char label[STAGE_LABEL_BYTES];
	(void)state;
	memcpy(disk + 446, entry, sizeof(entry));
	memcpy(disk + 510, "\x55\xaa", 2);
	memcpy(disk + FIRST * 512 + 1024 + 56, "\x53\xef", 2);
	memcpy(disk + FIRST * 512 + 1024 + 120, "baked", 5);
	struct image *image = image_of(&spec, 1);
	assert_int_equal(fs_mount(&fs, image->bytes, image->bytes_count, &err), CHAIN_OK);
	assert_int_equal(fs_lookup(&fs, "/disk", true, &node, &err), CHAIN_OK);
	const struct stage_byte_device whole = { .read = read_memory,
						 .subject = "fs:/disk",
						 .bytes = node.size_bytes,
						 .sector_bytes = 512,
						 .ctx = image->bytes + node.data_offset };
	assert_int_equal(stage_partitions_read(&whole, &table, &err), CHAIN_OK);
	assert_true(table.kind == STAGE_TABLE_MBR && table.count == 1 && !table.problem.status);
	assert_true(table.partitions[0].first == FIRST && table.partitions[0].sectors == SECTORS);
	stage_byte_device_part(&whole, FIRST * 512, SECTORS * 512, &part);
	stage_label_read(&part, label);
	assert_string_equal(label, "baked");
	stage_partitions_free(&table);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_piece_is_read),           cmocka_unit_test(labels_of_real_file_systems),
		cmocka_unit_test(labels_of_hostile_bytes),     cmocka_unit_test(marks_are_whole),
		cmocka_unit_test(the_partition_that_is_meant), cmocka_unit_test(labels_that_cannot_be_read),
		cmocka_unit_test(a_baked_file_is_a_device),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
