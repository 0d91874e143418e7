/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the two table readers share. */
#ifndef STAGE_BLOCK_PARTITION_PRIVATE_H
#define STAGE_BLOCK_PARTITION_PRIVATE_H

#include "stage/block_partition.h"

#include <string.h>

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}
static inline uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline uint64_t partition_sectors(const struct stage_byte_device *r)
{
	return r->bytes / r->sector_bytes;
}
/* `count` sectors at `lba`, which a disk of 64-bit bytes may not have. */
static inline enum chain_status partition_read(const struct stage_byte_device *r, uint64_t lba, uint64_t count,
					       void *buf, struct chain_error *err)
{
	uint64_t sectors = partition_sectors(r);
	if (count > sectors || lba > sectors - count)
		return CHAIN_FAIL(err, BLOCK_PAST_END, .subject = r->subject, .lba = lba, .count = count,
				  .total = sectors);
	return stage_byte_device_read(r, lba * r->sector_bytes, count * r->sector_bytes, buf, err);
}

/* Appends; CHAIN_E_LIMIT beyond STAGE_PARTITION_LIMIT. */
enum chain_status partition_add(const struct stage_byte_device *r, struct stage_partition_table *table,
				const struct stage_partition *partition, struct chain_error *err);

/* Each reads its table into `table`; a failure other than CHAIN_E_NO_MEMORY is a finding. `sector` is a buffer of one
 * sector that holds sector 0. */
enum chain_status mbr_read(const struct stage_byte_device *r, uint8_t *sector, struct stage_partition_table *table,
			   struct chain_error *err);
enum chain_status gpt_read(const struct stage_byte_device *r, uint8_t *sector, struct stage_partition_table *table,
			   struct chain_error *err);

/* UEFI 2.10, section 5.3.2: the checksum of headers and entries. */
uint32_t gpt_crc32(const uint8_t *p, size_t bytes);

enum {
	MBR_ENTRIES_AT = 446,
	MBR_ENTRY_BYTES = 16,
	MBR_SIGNATURE_AT = 510,
	MBR_DISK_ID_AT = 440,
	MBR_TYPE_PROTECTIVE = 0xee
};

#endif
