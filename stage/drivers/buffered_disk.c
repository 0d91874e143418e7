/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "buffered_disk.h"

#include "stage/bulk.h"

#include <string.h>

enum { SECTOR_BYTES_LEAST = 512 };

void buffered_disk_init(struct buffered_disk *disk, const struct stage_block_ops *ops, const char *driver,
			const struct stage_device *device)
{
	disk->dev.ops = ops;
	disk->dev.driver = driver;
	disk->dev.bus = device->bus;
	memcpy(disk->dev.place, device->place, sizeof(disk->dev.place));
}

enum chain_status buffered_disk_read(struct stage_block *dev, uint64_t lba, uint64_t count, void *buf,
				     struct chain_error *err)
{
	struct buffered_disk *disk = (struct buffered_disk *)dev;
	uint8_t *to = buf;
	if (dev->fault.status)
		return chain_fail_again(err, &dev->fault, NULL);
	if (count > dev->sectors || lba > dev->sectors - count)
		return CHAIN_FAIL(err, BLOCK_PAST_END, .subject = disk->subject, .lba = lba, .count = count,
				  .total = dev->sectors);
	uint32_t most = disk->most_bytes / dev->sector_bytes;
	while (count) {
		uint32_t now = count < most ? (uint32_t)count : most, bytes = now * dev->sector_bytes;
		enum chain_status status = disk->request(disk, lba, now, err);
		if (status)
			return status;
		stage_copy(to, disk->buffer, bytes);
		to += bytes;
		lba += now;
		count -= now;
	}
	return CHAIN_OK;
}

enum chain_status buffered_disk_size(struct buffered_disk *disk, uint64_t sectors, uint64_t sector_bytes, uint64_t most,
				     struct chain_error *err)
{
	if (sector_bytes < SECTOR_BYTES_LEAST || sector_bytes > BUFFERED_DISK_BYTES ||
	    sector_bytes & (sector_bytes - 1))
		return CHAIN_FAIL(err, BLOCK_GEOMETRY, .subject = disk->subject, .sector_bytes = sector_bytes);
	if (sectors > (uint64_t)INT64_MAX / sector_bytes) /* the handoff tells its bytes as a JSON integer */
		return CHAIN_FAIL(err, LIMIT, .subject = disk->subject, .detail = "sectors", .value = sectors,
				  .limit = (uint64_t)INT64_MAX / sector_bytes);
	disk->dev.sectors = sectors;
	disk->dev.sector_bytes = (uint32_t)sector_bytes;
	if (most < sector_bytes || most > BUFFERED_DISK_BYTES)
		most = BUFFERED_DISK_BYTES;
	disk->most_bytes = (uint32_t)(most & ~(sector_bytes - 1));
	return CHAIN_OK;
}

void buffered_disk_serial(struct buffered_disk *disk, const uint8_t *text)
{
	char *to = disk->dev.serial;
	unsigned i;
	for (i = 0; i < STAGE_BLOCK_SERIAL_BYTES && text[i]; i++)
		to[i] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '?';
	while (i > 0 && to[i - 1] == ' ')
		to[--i] = '\0';
}
