/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Partition tables made by sfdisk and sgdisk, and the same ones damaged. */
#include "stage/block_partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISK_SECTORS = 32768, SECTOR = 512, DISK_BYTES = DISK_SECTORS * SECTOR };

struct disk {
	uint8_t *bytes;
	uint64_t sectors;
	unsigned reads;
};

static enum chain_status read_disk(const struct stage_byte_device *device, uint64_t offset, uint64_t count, void *buf,
				   struct chain_error *err)
{
	struct disk *disk = device->ctx;

	assert_true(count && count <= device->bytes && offset <= device->bytes - count); /* what `read` may count on */
	if (++disk->reads > 10000)
		return chain_fail_text(err, CHAIN_E_IO, "disk", "read too often");
	memcpy(buf, disk->bytes + offset, count);
	return CHAIN_OK;
}

/* What is in memory, as a baked file is: no disk, no driver. */
static struct stage_byte_device device_of(struct disk *disk)
{
	return (struct stage_byte_device){ .read = read_disk,
					   .subject = "disk",
					   .bytes = disk->sectors * SECTOR,
					   .sector_bytes = SECTOR,
					   .ctx = disk };
}

static void parse(struct disk *disk, struct stage_partition_table *out)
{
	struct stage_byte_device device = device_of(disk);

	disk->reads = 0;
	assert_int_equal(stage_partitions_read(&device, out, NULL), CHAIN_OK);
	assert_true(disk->reads <= 10000);
	for (size_t i = 0; i < out->count; i++) {
		assert_true(out->partitions[i].sectors > 0);
		assert_true(out->partitions[i].first <= disk->sectors - out->partitions[i].sectors);
	}
}

/* A disk partitioned by `sfdisk` from `script`; skipped where there is none. */
static struct disk make_disk(const char *script)
{
	char path[] = "/tmp/kchain-disk-XXXXXX", command[600];
	struct disk disk = { calloc(1, DISK_BYTES), DISK_SECTORS, 0 };
	int fd = mkstemp(path);
	bool made;

	assert_true(fd >= 0 && disk.bytes);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	snprintf(command, sizeof command,
		 "printf '%s' | PATH=$PATH:/sbin:/usr/sbin sfdisk -q --no-tell-kernel %s >/dev/null 2>&1", script,
		 path);
	made = system(command) == 0;
	assert_int_equal(pread(fd, disk.bytes, DISK_BYTES, 0), DISK_BYTES);
	close(fd);
	unlink(path);
	if (!made) {
		free(disk.bytes);
		skip();
	}
	return disk;
}

#define GPT_SCRIPT                                                                                                     \
	"label: gpt\\nlabel-id: 11111111-2222-3333-4444-555555555555\\n"                                               \
	"start=2048, size=2048, type=U, uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE, name=\"boot part\"\\n"              \
	"start=8192, size=1000, type=L, name=\"Gr\303\274\303\237e\"\\n"
#define MBR_SCRIPT                                                                                                     \
	"label: dos\\nlabel-id: 0x1234abcd\\nstart=2048, size=2048, type=83, bootable\\nstart=4096, size=20480, "      \
	"type=5\\n"                                                                                                    \
	"start=6144, size=2048, type=82\\nstart=10240, size=4096, type=83\\nstart=16384, size=1024, type=c\\n"

static void gpt_is_read(void **state)
{
	struct disk disk = make_disk(GPT_SCRIPT);
	struct stage_partition_table t;

	(void)state;
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_GPT);
	assert_int_equal(t.problem.status, CHAIN_OK);
	assert_string_equal(t.uuid, "11111111-2222-3333-4444-555555555555");
	assert_int_equal(t.count, 2);
	assert_int_equal(t.partitions[0].first, 2048);
	assert_int_equal(t.partitions[0].sectors, 2048);
	assert_string_equal(t.partitions[0].type, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
	assert_string_equal(t.partitions[0].uuid, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
	assert_string_equal(t.partitions[0].name, "boot part");
	assert_int_equal(t.partitions[1].index, 2);
	assert_string_equal(t.partitions[1].name, "Gr\303\274\303\237e");
	stage_partitions_free(&t);
	free(disk.bytes);
}

static void backup_stands_in(void **state)
{
	static const unsigned damage[] = { 512, 512 + 16, 512 + 24, 1024, 1024 + 128 + 40 };
	struct disk disk = make_disk(GPT_SCRIPT);
	struct stage_partition_table t;

	(void)state;
	for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
		disk.bytes[damage[i]] ^= 0x40;
		parse(&disk, &t);
		assert_int_equal(t.kind, STAGE_TABLE_GPT);
		assert_int_equal(t.problem.status, CHAIN_E_GPT_BACKUP_USED);
		assert_int_equal(t.count, 2);
		stage_partitions_free(&t);
		disk.bytes[damage[i]] ^= 0x40;
	}
	disk.bytes[DISK_BYTES - SECTOR] ^= 1; /* the backup alone: said, the table holds */
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_GPT);
	assert_int_equal(t.problem.status, CHAIN_E_GPT_BAD_HEADER);
	assert_int_equal(t.count, 2);
	stage_partitions_free(&t);
	disk.bytes[512] ^= 1; /* both */
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_BROKEN);
	assert_int_equal(t.problem.status, CHAIN_E_GPT_BAD_HEADER);
	assert_int_equal(t.count, 0);
	stage_partitions_free(&t);
	free(disk.bytes);
}

static void mbr_is_read(void **state)
{
	static const struct {
		unsigned index, first, sectors;
		const char *type, *uuid;
	} want[] = {
		{ 1, 2048, 2048, "0x83", "1234abcd-01" },  { 2, 4096, 20480, "0x05", "1234abcd-02" },
		{ 5, 6144, 2048, "0x82", "1234abcd-05" },  { 6, 10240, 4096, "0x83", "1234abcd-06" },
		{ 7, 16384, 1024, "0x0c", "1234abcd-07" },
	};
	struct disk disk = make_disk(MBR_SCRIPT);
	struct stage_partition_table t;

	(void)state;
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_MBR);
	assert_int_equal(t.problem.status, CHAIN_OK);
	assert_string_equal(t.uuid, "1234abcd");
	assert_int_equal(t.count, 5);
	for (size_t i = 0; i < t.count; i++) {
		assert_int_equal(t.partitions[i].index, want[i].index);
		assert_int_equal(t.partitions[i].first, want[i].first);
		assert_int_equal(t.partitions[i].sectors, want[i].sectors);
		assert_string_equal(t.partitions[i].type, want[i].type);
		assert_string_equal(t.partitions[i].uuid, want[i].uuid);
	}
	stage_partitions_free(&t);
	free(disk.bytes);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void extended_chain_is_bounded(void **state)
{
	struct disk disk = make_disk(MBR_SCRIPT);
	struct stage_partition_table t;
	uint8_t *first = disk.bytes + 4096 * SECTOR, *next = first + 446 + 16;
	uint32_t at = (uint32_t)next[8] | (uint32_t)next[9] << 8 | (uint32_t)next[10] << 16;
	uint8_t *second = disk.bytes + (4096 + at) * SECTOR + 446 + 16;

	(void)state;
	put32(second + 8, at); /* the second link points to itself */
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_MBR);
	assert_int_equal(t.problem.status, CHAIN_E_MBR_BAD_CHAIN);
	assert_true(t.count >= 4);
	stage_partitions_free(&t);
	put32(second + 8, 0xfffffff0);
	parse(&disk, &t);
	assert_int_equal(t.problem.status, CHAIN_E_MBR_BAD_CHAIN);
	stage_partitions_free(&t);
	put32(disk.bytes + 446 + 8, 0xffffff00); /* partition 1 beyond the disk */
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_BROKEN);
	assert_int_equal(t.problem.status, CHAIN_E_MBR_BAD_PARTITION);
	stage_partitions_free(&t);
	free(disk.bytes);
}

static void no_table_is_none(void **state)
{
	struct disk disk = { calloc(1, DISK_BYTES), DISK_SECTORS, 0 };
	struct stage_partition_table t;

	(void)state;
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_NONE);
	disk.bytes[510] = 0x55;
	disk.bytes[511] = 0xaa;
	memcpy(disk.bytes + 54, "FAT16   ", 8);
	disk.bytes[440] = 1;
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_NONE);
	disk.sectors = 0;
	parse(&disk, &t);
	assert_int_equal(t.kind, STAGE_TABLE_NONE);
	free(disk.bytes);
}

/* A disk that ends early, and one flipped byte anywhere in the tables: always an answer within bounds. */
static void sweep(const char *script, bool whole_is_gpt)
{
	struct disk disk = make_disk(script);
	struct stage_partition_table t;

	for (uint64_t sectors = 0; sectors < 80; sectors++) {
		struct disk cut = { disk.bytes, sectors, 0 };
		parse(&cut, &t);
		if (whole_is_gpt && sectors)
			assert_int_equal(t.kind, STAGE_TABLE_BROKEN);
		stage_partitions_free(&t);
	}
	for (size_t at = 0; at < DISK_BYTES; at++) {
		if (at == 34 * SECTOR) /* what lies between the tables belongs to nobody */
			at = whole_is_gpt ? DISK_BYTES - 33 * SECTOR : 4096 * SECTOR;
		if (!whole_is_gpt && at == 4097 * SECTOR)
			break;
		if (disk.bytes[at] == 0 && at % 7)
			continue;
		disk.bytes[at] ^= (uint8_t)(1u << at % 8);
		parse(&disk, &t);
		if (whole_is_gpt && at >= SECTOR) {
			assert_int_equal(t.kind, STAGE_TABLE_GPT);
			assert_int_equal(t.count, 2);
		}
		stage_partitions_free(&t);
		disk.bytes[at] ^= (uint8_t)(1u << at % 8);
	}
	free(disk.bytes);
}

static void gpt_sweeps(void **state)
{
	(void)state;
	sweep(GPT_SCRIPT, true);
}

static void mbr_sweeps(void **state)
{
	(void)state;
	sweep(MBR_SCRIPT, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt_is_read),      cmocka_unit_test(backup_stands_in),
		cmocka_unit_test(mbr_is_read),      cmocka_unit_test(extended_chain_is_bounded),
		cmocka_unit_test(no_table_is_none), cmocka_unit_test(gpt_sweeps),
		cmocka_unit_test(mbr_sweeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
