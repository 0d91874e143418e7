/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the interface between disk drivers and their users: reading whole sectors.
 * Must not know: partitions, file systems, or any driver. */
#ifndef STAGE_BLOCK_H
#define STAGE_BLOCK_H

#include "stage/device.h"

enum { STAGE_BLOCK_SERIAL_BYTES = 20 };

struct stage_block;

struct stage_block_ops {
	/* Reads `count` sectors at `lba`. CHAIN_E_BLOCK_PAST_END, CHAIN_E_BLOCK_REQUEST, CHAIN_E_BLOCK_TIMEOUT; after a
	 * timeout the device is stopped and every further read fails at once. */
	enum chain_status (*read)(struct stage_block *dev, uint64_t lba, uint64_t count, void *buf,
				  struct chain_error *err);
	void (*close)(struct stage_block *dev);
};

struct stage_block {
	const struct stage_block_ops *ops;
	struct stage_block *next;
	const char *driver; /* "virtio-blk" */
	const struct stage_bus *bus;
	char place[STAGE_PLACE_BYTES]; /* on its bus */
	uint64_t sectors;
	uint32_t sector_bytes;
	bool read_only;
	char serial[STAGE_BLOCK_SERIAL_BYTES + 1]; /* printable ASCII; "" when it has none */
	struct chain_error fault;                  /* CHAIN_OK while it works */
	bool taken; /* an entry of the pipeline has it: one that asks for any disk takes another */
};

#endif
