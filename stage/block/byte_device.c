/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/byte_device.h"

#include <string.h>

/* A piece that is not a whole number of sectors: at most up to the end of its sector. */
static enum chain_status read_part(const struct stage_byte_device *device, uint64_t at, uint64_t bytes, uint8_t *into,
				   uint64_t *out_done, struct chain_error *err)
{
	uint64_t size = device->disk->sector_bytes, inside = at % size;
	*out_done = bytes < size - inside ? bytes : size - inside;
	enum chain_status status = device->disk->ops->read(device->disk, at / size, 1, device->sector, err);
	if (!status)
		memcpy(into, device->sector + inside, *out_done);
	return status;
}

enum chain_status stage_byte_device_read(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes,
					 void *into, struct chain_error *err)
{
	struct stage_block *disk = device->disk;
	uint8_t *to = into;
	if (bytes > device->bytes || offset > device->bytes - bytes)
		return CHAIN_FAIL(err, BLOCK_PAST_END, .subject = disk->place, .lba = offset, .count = bytes,
				  .total = device->bytes);
	uint64_t at = device->base + offset;
	while (bytes) {
		uint64_t done = bytes - bytes % disk->sector_bytes;
		enum chain_status status =
			at % disk->sector_bytes || !done ?
				read_part(device, at, bytes, to, &done, err) :
				disk->ops->read(disk, at / disk->sector_bytes, done / disk->sector_bytes, to, err);
		if (status)
			return status;
		at += done;
		to += done;
		bytes -= done;
	}
	return CHAIN_OK;
}
