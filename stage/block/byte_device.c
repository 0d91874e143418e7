/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/byte_device.h"

#include <string.h>

enum chain_status stage_byte_device_read(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes,
					 void *into, struct chain_error *err)
{
	if (bytes > device->bytes || offset > device->bytes - bytes)
		return CHAIN_FAIL(err, BLOCK_PAST_END, .subject = device->subject, .lba = offset, .count = bytes,
				  .total = device->bytes);
	return bytes ? device->read(device, offset, bytes, into, err) : CHAIN_OK;
}

/* A piece that is not a whole number of sectors: at most up to the end of its sector. */
static enum chain_status read_within(const struct stage_byte_device *device, uint64_t at, uint64_t bytes, uint8_t *into,
				     uint64_t *out_done, struct chain_error *err)
{
	struct stage_block *disk = device->ctx;
	uint64_t size = disk->sector_bytes, inside = at % size;
	*out_done = bytes < size - inside ? bytes : size - inside;
	enum chain_status status = disk->ops->read(disk, at / size, 1, device->sector, err);
	if (!status)
		memcpy(into, device->sector + inside, *out_done);
	return status;
}

static enum chain_status read_disk(const struct stage_byte_device *device, uint64_t at, uint64_t bytes, void *into,
				   struct chain_error *err)
{
	struct stage_block *disk = device->ctx;
	uint8_t *to = into;
	while (bytes) {
		uint64_t done = bytes - bytes % disk->sector_bytes;
		enum chain_status status =
			at % disk->sector_bytes || !done ?
				read_within(device, at, bytes, to, &done, err) :
				disk->ops->read(disk, at / disk->sector_bytes, done / disk->sector_bytes, to, err);
		if (status)
			return status;
		at += done;
		to += done;
		bytes -= done;
	}
	return CHAIN_OK;
}

void stage_byte_device_disk(struct stage_block *disk, uint8_t *sector, struct stage_byte_device *out)
{
	*out = (struct stage_byte_device){ .read = read_disk,
					   .subject = disk->place,
					   .bytes = disk->sectors * disk->sector_bytes, /* 63 bits: the driver's word */
					   .sector_bytes = disk->sector_bytes,
					   .ctx = disk,
					   .sector = sector };
}

static enum chain_status read_of_whole(const struct stage_byte_device *device, uint64_t offset, uint64_t bytes,
				       void *into, struct chain_error *err)
{
	return stage_byte_device_read(device->ctx, device->base + offset, bytes, into, err);
}

void stage_byte_device_part(const struct stage_byte_device *whole, uint64_t base, uint64_t bytes,
			    struct stage_byte_device *out)
{
	*out = (struct stage_byte_device){ .read = read_of_whole,
					   .subject = whole->subject,
					   .bytes = bytes,
					   .sector_bytes = whole->sector_bytes,
					   .ctx = (void *)(uintptr_t)whole,
					   .base = base };
}
