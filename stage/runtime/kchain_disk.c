/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Disks for authors of native kernels. */

#include "kchain_device.h"

#include <kchain.h>

struct kchain_disk {
	struct kchain_open open;
	struct stage_block *dev;
};

struct kchain_disk *kchain_disk_open(const char *name)
{
	struct kchain_disk *disk = kchain_device_open(name, false, stage_block_drivers, sizeof(*disk));
	struct chain_error err = { 0 };

	if (!disk || !disk->open.driver->open.block(disk->open.env, &disk->open.device, &disk->dev, &err))
		return disk;
	kchain_device_failed(&disk->open, &err);
	kchain_device_close(&disk->open);
	return NULL;
}

uint64_t kchain_disk_sectors(const struct kchain_disk *disk)
{
	return disk->dev->sectors;
}
uint32_t kchain_disk_sector_bytes(const struct kchain_disk *disk)
{
	return disk->dev->sector_bytes;
}

bool kchain_disk_read(struct kchain_disk *disk, uint64_t first, uint64_t count, void *buf)
{
	struct chain_error err = { 0 };

	return !disk->dev->ops->read(disk->dev, first, count, buf, &err) || kchain_device_failed(&disk->open, &err);
}

void kchain_disk_close(struct kchain_disk *disk)
{
	if (!disk)
		return;
	disk->dev->ops->close(disk->dev);
	kchain_device_close(&disk->open);
}
