/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "partition.h"

#include <stdlib.h>

enum chain_status partition_add(const struct stage_byte_device *r, struct stage_partition_table *table,
				const struct stage_partition *partition, struct chain_error *err)
{
	struct stage_partition *grown;

	if (table->count == STAGE_PARTITION_LIMIT)
		return CHAIN_FAIL(err, LIMIT, .subject = r->subject, .detail = "partitions", .value = table->count + 1,
				  .limit = STAGE_PARTITION_LIMIT);
	if ((table->count & (table->count - 1)) == 0) { /* full at every power of two */
		size_t room = table->count ? table->count * 2 : 1;
		grown = realloc(table->partitions, room * sizeof *grown);
		if (!grown)
			return chain_fail_no_memory(err, r->subject, room * sizeof *grown);
		table->partitions = grown;
	}
	table->partitions[table->count++] = *partition;
	return CHAIN_OK;
}

static bool is_protective(const uint8_t *sector)
{
	for (unsigned i = 0; i < 4; i++) {
		if (sector[MBR_ENTRIES_AT + i * MBR_ENTRY_BYTES + 4] == MBR_TYPE_PROTECTIVE)
			return true;
	}
	return false;
}

/* A file system's boot sector ends in the same two bytes. Its boot code lies where the entries would, and one of these
 * names is in it. */
static bool is_file_system(const uint8_t *sector)
{
	for (unsigned i = 0; i < 4; i++) {
		if (sector[MBR_ENTRIES_AT + i * MBR_ENTRY_BYTES] & 0x7f)
			return true;
	}
	return !memcmp(sector + 54, "FAT", 3) || !memcmp(sector + 82, "FAT", 3) || !memcmp(sector + 3, "NTFS", 4) ||
	       !memcmp(sector + 3, "EXFAT", 5);
}

static bool has_entries(const uint8_t *sector)
{
	static const uint8_t zero[4 * MBR_ENTRY_BYTES];

	return memcmp(sector + MBR_ENTRIES_AT, zero, sizeof zero) != 0 || get32(sector + MBR_DISK_ID_AT) != 0;
}

static enum chain_status read_kind(const struct stage_byte_device *r, uint8_t *sector,
				   struct stage_partition_table *table, struct chain_error *err)
{
	enum chain_status s = partition_sectors(r) ? partition_read(r, 0, 1, sector, err) : CHAIN_OK;

	if (s || !partition_sectors(r))
		return s;
	if (get16(sector + MBR_SIGNATURE_AT) != 0xaa55)
		return CHAIN_OK;
	if (is_protective(sector)) {
		table->kind = STAGE_TABLE_GPT;
		return gpt_read(r, sector, table, err);
	}
	if (is_file_system(sector) || !has_entries(sector))
		return CHAIN_OK;
	table->kind = STAGE_TABLE_MBR;
	return mbr_read(r, sector, table, err);
}

enum chain_status stage_partitions_read(const struct stage_byte_device *device, struct stage_partition_table *out,
					struct chain_error *err)
{
	uint8_t *sector = malloc(device->sector_bytes);
	struct chain_error finding = { 0 };
	enum chain_status s;

	*out = (struct stage_partition_table){ .kind = STAGE_TABLE_NONE };
	if (!sector)
		return chain_fail_no_memory(err, device->subject, device->sector_bytes);
	s = read_kind(device, sector, out, &finding);
	free(sector);
	if (s == CHAIN_E_NO_MEMORY) {
		stage_partitions_free(out);
		return chain_fail_again(err, &finding, NULL);
	}
	if (s) {
		out->kind = STAGE_TABLE_BROKEN;
		out->problem = finding;
	}
	return CHAIN_OK;
}

void stage_partitions_free(struct stage_partition_table *table)
{
	free(table->partitions);
	*table = (struct stage_partition_table){ .kind = STAGE_TABLE_NONE };
}

const char *stage_table_kind_name(enum stage_table_kind kind)
{
	static const char *const names[] = { "none", "mbr", "gpt", "broken" };

	return names[kind];
}
