/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what drivers share whose disk is read through one buffer of theirs, one request at a time.
 * Must not know: the device. */
#ifndef STAGE_BUFFERED_DISK_H
#define STAGE_BUFFERED_DISK_H

#include "stage/block.h"

enum { BUFFERED_DISK_BYTES = 64 * 1024, BUFFERED_DISK_MS = 10000 /* what a request may take */ };

struct buffered_disk {
	struct stage_block dev; /* first: the interface's pointer is ours */
	const char *subject;    /* of errors; borrowed */
	const uint8_t *buffer;  /* BUFFERED_DISK_BYTES */
	uint32_t most_bytes;    /* of one request; a multiple of the sector's */
	/* Reads `sectors` into the start of the buffer; all of them are on the disk and fit most_bytes. */
	enum chain_status (*request)(struct buffered_disk *disk, uint64_t lba, uint32_t sectors,
				     struct chain_error *err);
};

/* Fills in what is known before the device has said anything: the driver's name and `device`, its place. */
void buffered_disk_init(struct buffered_disk *disk, const struct stage_block_ops *ops, const char *driver,
			const struct stage_device *device);
/* For stage_block_ops.read. */
enum chain_status buffered_disk_read(struct stage_block *dev, uint64_t lba, uint64_t count, void *buf,
				     struct chain_error *err);
/* Takes what the device says of its size, `sectors` being that number for a size of a sector (a power of two from 512
 * to BUFFERED_DISK_BYTES, else CHAIN_E_BLOCK_GEOMETRY), and `most` bytes as the most of one request; less than a sector
 * is no limit. CHAIN_E_LIMIT: its bytes are no 63-bit number. */
enum chain_status buffered_disk_size(struct buffered_disk *disk, uint64_t sectors, uint64_t sector_bytes, uint64_t most,
				     struct chain_error *err);
/* Takes a serial number of STAGE_BLOCK_SERIAL_BYTES that ends early at a zero byte; blanks at its end do not count. */
void buffered_disk_serial(struct buffered_disk *disk, const uint8_t *text);

#endif
