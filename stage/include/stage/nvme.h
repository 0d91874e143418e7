/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what of NVM Express is on the wire: registers, commands, completions and identify data (NVM Express Base
 * Specification 1.4). All of it little-endian. Must not know: how it is driven. */
#ifndef STAGE_NVME_H
#define STAGE_NVME_H

#include <assert.h>
#include <stdint.h>

/* 1.4, section 3.1 */
enum {
	NVME_CAP = 0x00, /* 64 bits, as NVME_ASQ and NVME_ACQ */
	NVME_VERSION = 0x08,
	NVME_MASK_INTERRUPTS = 0x0c,
	NVME_CC = 0x14,
	NVME_CSTS = 0x1c,
	NVME_AQA = 0x24,
	NVME_ASQ = 0x28,
	NVME_ACQ = 0x30,
	NVME_DOORBELLS = 0x1000,
};
/* Of the capabilities' halves. */
enum { NVME_CAP_TIMEOUT_SHIFT = 24, NVME_CAP_TIMEOUT_MS = 500 };
enum { NVME_CAP_HIGH_STRIDE = 0xf, NVME_CAP_HIGH_NVM = 1 << 5, NVME_CAP_HIGH_PAGE_LEAST_SHIFT = 16 };
/* Entries of 64 and 16 bytes, pages of 4 KiB. */
enum { NVME_CC_ENABLE = 1, NVME_CC_ENTRIES = 6 << 16 | 4 << 20 };
enum { NVME_CSTS_READY = 1, NVME_CSTS_FATAL = 2 };

enum { NVME_ADMIN_CREATE_SQ = 1, NVME_ADMIN_CREATE_CQ = 5, NVME_ADMIN_IDENTIFY = 6, NVME_READ = 2 };
enum { NVME_QUEUE_CONTIGUOUS = 1 };

/* 4.2 */
struct nvme_command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace, reserved[4];
	uint64_t prp[2];
	uint32_t word[6]; /* 10 to 15 */
};
static_assert(sizeof(struct nvme_command) == 64, "NVMe command");

/* 4.6 */
struct nvme_completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status; /* the lowest bit of the status is the phase */
};
static_assert(sizeof(struct nvme_completion) == 16, "NVMe completion");

/* 5.15: what is asked for, and where in those 4 KiB things are. */
enum { NVME_IDENTIFY_NAMESPACE = 0, NVME_IDENTIFY_CONTROLLER = 1, NVME_IDENTIFY_NAMESPACES = 2 };
enum { NVME_CONTROLLER_SERIAL = 4, NVME_CONTROLLER_TRANSFER_MOST = 77 };
enum {
	NVME_NAMESPACE_SECTORS = 0,
	NVME_NAMESPACE_FORMATS = 25,
	NVME_NAMESPACE_FORMAT = 26,
	NVME_NAMESPACE_ATTRIBUTES = 99, /* bit 0: write protected */
	NVME_NAMESPACE_FORMAT_LIST =
		128 /* of 32 bits each: bytes of metadata, then the sector's size as a power of 2 */
};

#endif
