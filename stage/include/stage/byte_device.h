/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: bytes of a known size that are read by offset, whatever they lie on: a disk, a part of one, a file. What reads
 * partition tables and file systems reads them through this.
 * Must not know: what the bytes are. */
#ifndef STAGE_BYTE_DEVICE_H
#define STAGE_BYTE_DEVICE_H

#include "stage/block.h"

struct stage_byte_device {
	/* Reads [offset, offset + bytes), which is inside of the device and not empty. */
	enum chain_status (*read)(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes, void *into,
				  struct chain_error *err);
	const char *subject; /* of errors; borrowed */
	uint64_t bytes;
	uint32_t sector_bytes; /* what a partition table on it counts in: a power of two from 512 to 65536 */
	void *ctx;             /* of `read`; borrowed */
	uint64_t base;         /* of a part: where on the whole it begins */
	uint8_t *sector;       /* of a disk: one sector's room, the caller's */
};

/* Reads [offset, offset + bytes). CHAIN_E_BLOCK_PAST_END where that is not all inside, and what the device says. */
enum chain_status stage_byte_device_read(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes,
					 void *into, struct chain_error *err) CHAIN_MUST_CHECK;

/* A whole disk. Borrows it, and `sector`, one sector's room for what begins or ends within one. */
void stage_byte_device_disk(struct stage_block *disk, uint8_t *sector, struct stage_byte_device *out);
/* [base, base + bytes) of another device, which has it; borrowed. */
void stage_byte_device_part(const struct stage_byte_device *whole, uint64_t base, uint64_t bytes,
			    struct stage_byte_device *out);

#endif
