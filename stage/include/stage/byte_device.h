/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a disk, or a stretch of one, as bytes: any offset and length, whatever its sectors.
 * Must not know: what the bytes are. */
#ifndef STAGE_BYTE_DEVICE_H
#define STAGE_BYTE_DEVICE_H

#include "stage/block.h"

struct stage_byte_device {
	struct stage_block *disk;
	uint64_t base, bytes; /* on the disk; base + bytes does not overflow */
	uint8_t *sector;      /* one sector's room, the owner's, for what begins or ends within one */
};

/* Reads [offset, offset + bytes) of the device. CHAIN_E_BLOCK_PAST_END where that is not all inside, and what the disk
 * says. */
enum chain_status stage_byte_device_read(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes,
					 void *into, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
