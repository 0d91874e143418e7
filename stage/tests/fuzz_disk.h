/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the fuzz targets of disks do with a disk that was opened, and what holds for it whatever the device says.
 * */
#ifndef STAGE_TESTS_FUZZ_DISK_H
#define STAGE_TESTS_FUZZ_DISK_H

#include "../../chain/tests/fuzz.h"
#include "fuzz_device.h"
#include "stage/block.h"
#include "stage/block_json.h"

#include <stdlib.h>
#include <string.h>

enum { FUZZ_DISK_READS = 6 };

/* The input says what is read; fewer than `most` sectors at a time. */
static inline void fuzz_disk_use(struct stage_block *dev, struct fuzz_input *input, unsigned most)
{
	struct chain_error err = { 0 };
	json_t *entry = NULL;
	FUZZ_HOLDS(dev->sector_bytes >= 512 && dev->sector_bytes <= 65536 &&
		   !(dev->sector_bytes & (dev->sector_bytes - 1)));
	FUZZ_HOLDS(strlen(dev->serial) <= STAGE_BLOCK_SERIAL_BYTES);
	for (int i = 0; i < FUZZ_DISK_READS; i++) {
		uint64_t lba = fuzz_next(input), count = fuzz_next(input) % most;
		uint8_t *buf = malloc(count * dev->sector_bytes + 1);
		FUZZ_HOLDS(buf);
		chain_error_clear(&err);
		if (!fuzz_status(dev->ops->read(dev, lba, count, buf, &err), &err))
			FUZZ_HOLDS(count <= dev->sectors && lba <= dev->sectors - count);
		free(buf);
	}
	chain_error_clear(&err);
	if (!fuzz_status(stage_block_describe(dev, &entry, &err), &err))
		FUZZ_HOLDS(json_integer_value(json_object_get(entry, "bytes")) >= 0);
	json_decref(entry);
}

#endif
