/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a disk with a partition table, and file systems in its partitions, each of which is
 * asked for by all that it may be called. Byte 0 chooses the sector size, how many sectors there
 * are beyond the input's (they read as zeroes), which read fails, and whether checksums of GPT are made right first:
 * hardly anything would pass them. */
#include "../../chain/tests/fuzz.h"
#include "../block/partition.h"
#include "stage/block_choose.h"
#include "stage/block_json.h"
#include "stage/block_label.h"

enum { SIZE_SHIFTS = 3, MORE = 4, FIX_CHECKSUMS = 8, FAIL = 16, READS_MAX = 40000, ASKED_MAX = 4 };

struct disk {
	struct stage_block dev; /* first */
	uint8_t *bytes;
	uint64_t count, reads, fail_at;
};

static enum chain_status read_disk(struct stage_block *dev, uint64_t lba, uint64_t count, void *buf,
				   struct chain_error *err)
{
	struct disk *disk = (struct disk *)dev;
	FUZZ_HOLDS(count && count <= dev->sectors && lba <= dev->sectors - count); /* the tables' promise */
	FUZZ_HOLDS(++disk->reads < READS_MAX);
	if (disk->reads == disk->fail_at)
		return CHAIN_FAIL(err, BLOCK_REQUEST, .subject = "disk", .detail = "the device reports an I/O error",
				  .lba = lba, .count = count);
	uint64_t bytes = count * dev->sector_bytes, at = lba * dev->sector_bytes, there = 0;
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
	uint64_t at = lba * disk->dev.sector_bytes;
	if (at > disk->count || disk->count - at < disk->dev.sector_bytes)
		return;
	uint8_t *header = disk->bytes + at;
	uint64_t entries = get64(header + 72), bytes = (uint64_t)get32(header + 80) * get32(header + 84);
	if (entries < disk->count / disk->dev.sector_bytes && bytes <= disk->count - entries * disk->dev.sector_bytes)
		put(header + 88, gpt_crc32(disk->bytes + entries * disk->dev.sector_bytes, bytes));
	put(header + 16, 0);
	if (get32(header + 12) <= disk->dev.sector_bytes)
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
		FUZZ_HOLDS(p->index && p->sectors && p->first && p->sectors <= disk->dev.sectors &&
			   p->first <= disk->dev.sectors - p->sectors);
		FUZZ_HOLDS(strlen(p->type) < sizeof(p->type) && strlen(p->uuid) < sizeof(p->uuid) &&
			   strlen(p->name) < sizeof(p->name));
		for (size_t j = 0; table->kind == STAGE_TABLE_GPT && j < i; j++)
			FUZZ_HOLDS(p->first >= table->partitions[j].first + table->partitions[j].sectors ||
				   table->partitions[j].first >= p->first + p->sectors);
	}
}

static const char *text_of(const json_t *partition, const char *key)
{
	const char *text = json_string_value(json_object_get(partition, key));
	return text ? text : "";
}

/* By `key`, or by whatever it may be: it is this partition, or another is called so, too. */
static void ask(const json_t *entry, const struct stage_byte_device *whole, const json_t *partition, const char *key,
		const char *name)
{
	struct chain_error err = { 0 };
	struct chain_block_source wanted;
	struct stage_byte_device part;
	char source[256];
	snprintf(source, sizeof(source), "disk/%s%s", key, name);
	if (!name[0] || strchr(name, '@') || !chain_block_source_parse(source, &wanted))
		return;
	enum chain_status status =
		fuzz_status(stage_partition_choose(entry, whole, &wanted, "block:disk", &part, &err), &err);
	FUZZ_HOLDS(!status || status == CHAIN_E_SOURCE_AMBIGUOUS || (!key[0] && strchr(name, '=')));
	if (!status && key[0])
		FUZZ_HOLDS(part.base ==
			   (uint64_t)json_integer_value(json_object_get(partition, "start_lba")) * whole->sector_bytes);
	if (!status)
		FUZZ_HOLDS(part.bytes <= whole->bytes && part.base <= whole->bytes - part.bytes);
}

static void ask_for_all(struct disk *disk)
{
	struct chain_error err = { 0 };
	struct stage_byte_device whole, part;
	char label[STAGE_LABEL_BYTES], index[24];
	json_t *entry = NULL, *each;
	size_t i;
	uint8_t *sector = malloc(disk->dev.sector_bytes);
	FUZZ_HOLDS(sector);
	stage_byte_device_disk(&disk->dev, sector, &whole);
	stage_label_read(&whole, label);
	FUZZ_HOLDS(strlen(label) < sizeof(label) && chain_is_utf8(label));
	disk->fail_at = 0; /* else a label may be there at one time, and not at another */
	if (!fuzz_status(stage_block_describe(&disk->dev, &entry, &err), &err)) {
		json_array_foreach (json_object_get(entry, "partitions"), i, each) {
			if (i == ASKED_MAX)
				break;
			snprintf(index, sizeof(index), "%lld",
				 (long long)json_integer_value(json_object_get(each, "index")));
			stage_byte_device_part(
				&whole,
				(uint64_t)json_integer_value(json_object_get(each, "start_lba")) * whole.sector_bytes,
				(uint64_t)json_integer_value(json_object_get(each, "sectors")) * whole.sector_bytes,
				&part);
			stage_label_read(&part, label);
			disk->reads = 0;
			ask(entry, &whole, each, "index=", index);
			ask(entry, &whole, each, "uuid=", text_of(each, "uuid"));
			ask(entry, &whole, each, "name=", text_of(each, "name"));
			ask(entry, &whole, each, "label=", label);
			ask(entry, &whole, each, "", index);
			ask(entry, &whole, each, "", label);
			ask(entry, &whole, each, "", text_of(each, "name"));
		}
	}
	json_decref(entry);
	free(sector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t sizes[] = { 512, 4096, 1024, 65536 };
	static const uint64_t more[] = { 0, UINT64_C(1) << 40 };
	struct stage_partition_table table;
	struct chain_error err = { 0 };

	if (size < 1)
		return 0;
	static const struct stage_block_ops ops = { .read = read_disk };
	static const struct stage_bus bus = { .name = "pci" };
	struct disk disk = { .dev = { .ops = &ops,
				      .driver = "fake",
				      .bus = &bus,
				      .place = "disk",
				      .sector_bytes = sizes[data[0] & SIZE_SHIFTS] },
			     .bytes = malloc(size),
			     .count = size - 1,
			     .fail_at = data[0] & FAIL ? data[0] >> 5 : 0 };
	FUZZ_HOLDS(disk.bytes);
	memcpy(disk.bytes, data + 1, size - 1);
	disk.dev.sectors = disk.count / disk.dev.sector_bytes + more[!!(data[0] & MORE)];
	if (data[0] & FIX_CHECKSUMS) {
		fix_checksums(&disk, 1);
		if (disk.dev.sectors > 2)
			fix_checksums(&disk, disk.dev.sectors - 1);
	}
	uint8_t *sector = malloc(disk.dev.sector_bytes);
	FUZZ_HOLDS(sector);
	struct stage_byte_device device;
	stage_byte_device_disk(&disk.dev, sector, &device);
	if (!fuzz_status(stage_partitions_read(&device, &table, &err), &err)) {
		check_table(&disk, &table);
		stage_partitions_free(&table);
	}
	free(sector);
	ask_for_all(&disk);
	free(disk.bytes);
	return 0;
}
