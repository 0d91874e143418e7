/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a disk with a partition table. Byte 0 chooses the sector size, how many sectors there
 * are beyond the input's (they read as zeroes), which read fails, and whether checksums of GPT are made right first:
 * hardly anything would pass them. */
#include "../../chain/tests/fuzz.h"
#include "../block/partition.h"

enum { SIZE_SHIFTS = 3, MORE = 4, FIX_CHECKSUMS = 8, FAIL = 16, READS_MAX = 20000 };

struct disk {
	uint8_t *bytes;
	uint64_t count, sectors, reads, fail_at;
	uint32_t sector_bytes;
};

static enum chain_status read_disk(void *ctx, uint64_t lba, uint64_t count, void *buf, struct chain_error *err)
{
	struct disk *disk = ctx;
	FUZZ_HOLDS(count && count <= disk->sectors && lba <= disk->sectors - count); /* the reader's promise */
	FUZZ_HOLDS(++disk->reads < READS_MAX);
	if (disk->reads == disk->fail_at)
		return CHAIN_FAIL(err, BLOCK_REQUEST, .subject = "disk", .detail = "the device reports an I/O error",
				  .lba = lba, .count = count);
	uint64_t bytes = count * disk->sector_bytes, at = lba * disk->sector_bytes, there = 0;
	if (at < disk->count)
		there = disk->count - at < bytes ? disk->count - at : bytes;
	if (there)
		memcpy(buf, disk->bytes + at, there);
	memset((uint8_t *)buf + there, 0, bytes - there);
	return CHAIN_OK;
}

static void put(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* As a partitioning program would, where the header's own numbers allow it. */
static void fix_checksums(struct disk *disk, uint64_t lba)
{
	uint64_t at = lba * disk->sector_bytes;
	if (at > disk->count || disk->count - at < disk->sector_bytes)
		return;
	uint8_t *header = disk->bytes + at;
	uint64_t entries = get64(header + 72), bytes = (uint64_t)get32(header + 80) * get32(header + 84);
	if (entries < disk->count / disk->sector_bytes && bytes <= disk->count - entries * disk->sector_bytes)
		put(header + 88, gpt_crc32(disk->bytes + entries * disk->sector_bytes, bytes));
	put(header + 16, 0);
	if (get32(header + 12) <= disk->sector_bytes)
		put(header + 16, gpt_crc32(header, get32(header + 12)));
}

static void check_table(const struct disk *disk, const struct stage_partition_table *table)
{
	char text[2048];
	FUZZ_HOLDS(table->count <= STAGE_PARTITION_LIMIT);
	FUZZ_HOLDS(table->kind != STAGE_TABLE_BROKEN || table->problem.status);
	FUZZ_HOLDS(table->kind != STAGE_TABLE_NONE || (!table->count && !table->problem.status));
	if (table->problem.status)
		FUZZ_HOLDS(chain_error_format(&table->problem, text, sizeof(text)) < sizeof(text));
	for (size_t i = 0; i < table->count; i++) {
		const struct stage_partition *p = &table->partitions[i];
		FUZZ_HOLDS(p->index && p->sectors && p->first && p->sectors <= disk->sectors &&
			   p->first <= disk->sectors - p->sectors);
		FUZZ_HOLDS(strlen(p->type) < sizeof(p->type) && strlen(p->uuid) < sizeof(p->uuid) &&
			   strlen(p->name) < sizeof(p->name));
		for (size_t j = 0; table->kind == STAGE_TABLE_GPT && j < i; j++)
			FUZZ_HOLDS(p->first >= table->partitions[j].first + table->partitions[j].sectors ||
				   table->partitions[j].first >= p->first + p->sectors);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t sizes[] = { 512, 4096, 1024, 65536 };
	static const uint64_t more[] = { 0, UINT64_C(1) << 40 };
	struct stage_partition_table table;
	struct chain_error err = { 0 };

	if (size < 1)
		return 0;
	struct disk disk = { .bytes = malloc(size),
			     .count = size - 1,
			     .sector_bytes = sizes[data[0] & SIZE_SHIFTS],
			     .fail_at = data[0] & FAIL ? data[0] >> 5 : 0 };
	FUZZ_HOLDS(disk.bytes);
	memcpy(disk.bytes, data + 1, size - 1);
	disk.sectors = disk.count / disk.sector_bytes + more[!!(data[0] & MORE)];
	if (data[0] & FIX_CHECKSUMS) {
		fix_checksums(&disk, 1);
		if (disk.sectors > 2)
			fix_checksums(&disk, disk.sectors - 1);
	}
	struct stage_sector_reader reader = { read_disk, &disk, "disk", disk.sectors, disk.sector_bytes };
	if (!fuzz_status(stage_partitions_read(&reader, &table, &err), &err)) {
		check_table(&disk, &table);
		(void)stage_table_kind_name(table.kind);
		stage_partitions_free(&table);
	}
	free(disk.bytes);
	return 0;
}
