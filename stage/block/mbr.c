/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The MBR has no standard of its own; UEFI 2.10, section 5.2.1 describes the four entries. Extended partitions as
 * every system has them: a chain of sectors, each with one logical partition (relative to that sector) and the next
 * link (relative to the extended partition). */
#include "partition.h"

#include <stdio.h>

struct entry {
	uint8_t type;
	uint32_t first, sectors;
};

static struct entry entry_at(const uint8_t *sector, unsigned i)
{
	const uint8_t *p = sector + MBR_ENTRIES_AT + i * MBR_ENTRY_BYTES;

	return (struct entry){ .type = p[4], .first = get32(p + 8), .sectors = get32(p + 12) };
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static enum chain_status add(const struct stage_byte_device *r, struct stage_partition_table *table, uint32_t index,
			     uint8_t type, uint64_t first, uint64_t sectors, struct chain_error *err)
{
	struct stage_partition p = { .index = index, .first = first, .sectors = sectors };

	if (sectors == 0 || first == 0 || sectors > partition_sectors(r) || first > partition_sectors(r) - sectors)
		return CHAIN_FAIL(err, MBR_BAD_PARTITION, .subject = r->subject,
				  .detail = "it does not lie on the disk", .index = index, .lba = first,
				  .count = sectors);
	snprintf(p.type, sizeof p.type, "0x%02x", type);
	snprintf(p.uuid, sizeof p.uuid, "%.8s-%02x", table->uuid, (unsigned)index);
	return partition_add(r, table, &p, err);
}

/* The links of a chain lie inside the extended partition and are looked at once each. */
static enum chain_status read_chain(const struct stage_byte_device *r, uint8_t *sector, const struct entry *extended,
				    struct stage_partition_table *table, struct chain_error *err)
{
	uint64_t seen[STAGE_MBR_CHAIN_LIMIT], at = extended->first;
	uint32_t index = 5;
	enum chain_status s;

	for (unsigned n = 0;; n++) {
		struct entry logical, next;
		if (n == STAGE_MBR_CHAIN_LIMIT)
			return CHAIN_FAIL(err, LIMIT, .subject = r->subject, .detail = "extended partitions",
					  .value = n + 1, .limit = STAGE_MBR_CHAIN_LIMIT);
		for (unsigned i = 0; i < n; i++) {
			if (seen[i] == at)
				return CHAIN_FAIL(err, MBR_BAD_CHAIN, .subject = r->subject,
						  .detail = "its chain loops", .lba = at);
		}
		seen[n] = at;
		s = partition_read(r, at, 1, sector, err);
		if (s)
			return s;
		if (get16(sector + MBR_SIGNATURE_AT) != 0xaa55)
			return CHAIN_FAIL(err, MBR_BAD_CHAIN, .subject = r->subject,
					  .detail = "a link has no signature", .lba = at);
		logical = entry_at(sector, 0);
		next = entry_at(sector, 1);
		if (logical.type && logical.sectors) {
			s = add(r, table, index++, logical.type, at + logical.first, logical.sectors, err);
			if (s)
				return s;
		}
		if (!is_extended(next.type) || next.sectors == 0)
			return CHAIN_OK;
		if (next.first == 0 || next.first >= extended->sectors)
			return CHAIN_FAIL(err, MBR_BAD_CHAIN, .subject = r->subject,
					  .detail = "a link points outside of it", .lba = next.first);
		at = (uint64_t)extended->first + next.first;
	}
}

enum chain_status mbr_read(const struct stage_byte_device *r, uint8_t *sector, struct stage_partition_table *table,
			   struct chain_error *err)
{
	struct entry entries[4];
	const struct entry *extended = NULL;
	enum chain_status s;

	snprintf(table->uuid, sizeof table->uuid, "%08x", (unsigned)get32(sector + MBR_DISK_ID_AT));
	for (unsigned i = 0; i < 4; i++) {
		entries[i] = entry_at(sector, i);
		if (!entries[i].type)
			continue;
		s = add(r, table, i + 1, entries[i].type, entries[i].first, entries[i].sectors, err);
		if (s)
			return s;
		if (is_extended(entries[i].type)) {
			if (extended)
				return CHAIN_FAIL(err, MBR_BAD_CHAIN, .subject = r->subject,
						  .detail = "there is a second one", .lba = entries[i].first);
			extended = &entries[i];
		}
	}
	if (!extended)
		return CHAIN_OK;
	s = read_chain(r, sector, extended, table, err);
	if (s == CHAIN_E_NO_MEMORY || !s)
		return s;
	/* The four entries are whole: the chain's trouble is reported beside them. */
	table->problem = *err;
	chain_error_clear(err);
	return CHAIN_OK;
}
