/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a machine with one NVMe controller on the host, which behaves, or misbehaves as told.
 * Must not know: the driver's insides. */
#ifndef STAGE_TESTS_FAKE_NVME_H
#define STAGE_TESTS_FAKE_NVME_H

#include "fake_virtio.h"

#include "stage/nvme.h"

enum nvme_fault {
	NVME_GOOD,
	NVME_NEVER_READY,
	NVME_NEVER_STOPS,
	NVME_FAILS_TO_START, /* the fatal status */
	NVME_GONE,           /* reads as ones from the start */
	NVME_LARGE_PAGES,
	NVME_NO_COMMANDS, /* of disks */
	NVME_WIDE_DOORBELLS,
	NVME_REFUSES, /* each command of `opcode`, with a status */
	NVME_SILENT,  /* takes commands of `opcode`, answers none */
	NVME_DIES,    /* at a command of `opcode`: the fatal status */
	NVME_WRONG_ID,
	NVME_WRONG_QUEUE,
	NVME_WRONG_HEAD,
};

enum { NVME_FAKE_QUEUES = 2, NVME_STATUS = 0x281 };

struct fake_nvme {
	struct fake fake; /* first: the environment's context is both */
	enum nvme_fault fault;
	uint8_t opcode;
	uint32_t cc, aqa, version;
	uint64_t asq, acq;
	struct {
		uint64_t submit, complete;
		uint16_t tail, head, done; /* `done`: completions so far */
	} queues[NVME_FAKE_QUEUES];
	uint8_t controller[4096], space[4096]; /* as identified */
	uint32_t namespace;                    /* the first one that is listed; 0: none */
	unsigned reads;
	uint32_t longest; /* read, in sectors */
	bool wrote_elsewhere;
};

static inline bool nvme_is_on(const struct fake_nvme *n)
{
	return n->cc & NVME_CC_ENABLE && n->fault != NVME_NEVER_READY && n->fault != NVME_FAILS_TO_START;
}

static inline uint32_t nvme_register(struct fake_nvme *n, size_t offset)
{
	switch (offset) {
	case NVME_CAP:
		return 1u << NVME_CAP_TIMEOUT_SHIFT | (1 << 16) | 1; /* of two entries */
	case NVME_CAP + 4:
		return (n->fault == NVME_NO_COMMANDS ? 0u : NVME_CAP_HIGH_NVM) |
		       (n->fault == NVME_LARGE_PAGES ? 1u << NVME_CAP_HIGH_PAGE_LEAST_SHIFT : 0) |
		       (n->fault == NVME_WIDE_DOORBELLS ? 15u : 0);
	case NVME_VERSION:
		return n->version;
	case NVME_CC:
		return n->cc;
	case NVME_CSTS:
		return n->fault == NVME_FAILS_TO_START && n->cc & NVME_CC_ENABLE ? NVME_CSTS_FATAL :
		       n->fault == NVME_NEVER_STOPS || nvme_is_on(n)             ? NVME_CSTS_READY :
										   0;
	default:
		return 0;
	}
}

static inline uint32_t nvme_mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	struct fake_nvme *n = ctx;
	size_t offset;

	n->fake.accesses++;
	if (!fake_offset(&n->fake, at, &offset) || n->fault == NVME_GONE || width != 4)
		return UINT32_MAX;
	return nvme_register(n, offset);
}

/* The memory that a command's pages are, byte by byte; null: none of its own. */
static inline uint8_t *nvme_byte(const struct nvme_command *c, uint32_t at, uint32_t bytes)
{
	uint64_t page = c->prp[0] & ~UINT64_C(4095), offset = (c->prp[0] & 4095) + at, n = offset / 4096;

	if (n == 1 && (c->prp[0] & 4095) + bytes <= 8192)
		page = c->prp[1];
	else if (n)
		page = ((const uint64_t *)(uintptr_t)c->prp[1])[n - 1];
	return (uint8_t *)(uintptr_t)page + offset % 4096;
}

static inline uint16_t nvme_identify(struct fake_nvme *n, const struct nvme_command *c)
{
	uint8_t list[4096] = { 0 };
	const uint8_t *from = list;

	memcpy(list, &n->namespace, 4);
	if (c->word[0] == NVME_IDENTIFY_CONTROLLER)
		from = n->controller;
	else if (c->word[0] == NVME_IDENTIFY_NAMESPACE)
		from = n->space;
	for (uint32_t i = 0; i < 4096; i++)
		*nvme_byte(c, i, 4096) = from[i];
	return 0;
}

/* Sector n is full of the byte n. The size of sectors is the namespace's of this moment, which may have become another
 * than the driver was told. */
static inline uint16_t nvme_read(struct fake_nvme *n, const struct nvme_command *c)
{
	uint64_t lba = c->word[0] | (uint64_t)c->word[1] << 32, sectors;
	uint32_t count = (c->word[2] & 0xffff) + 1, shift = n->space[NVME_NAMESPACE_FORMAT_LIST + 2];

	memcpy(&sectors, n->space, 8);
	if (c->namespace != n->namespace || lba + count > sectors || shift > 12)
		return NVME_STATUS;
	n->reads++;
	n->longest = count > n->longest ? count : n->longest;
	for (uint32_t i = 0; i < count << shift; i++)
		*nvme_byte(c, i, count << shift) = (uint8_t)(lba + (i >> shift));
	return 0;
}

static inline uint16_t nvme_carry_out(struct fake_nvme *n, unsigned queue, const struct nvme_command *c)
{
	if (n->fault == NVME_REFUSES && c->opcode == n->opcode)
		return NVME_STATUS;
	if (queue)
		return c->opcode == NVME_READ ? nvme_read(n, c) : NVME_STATUS;
	if (c->opcode == NVME_ADMIN_IDENTIFY)
		return nvme_identify(n, c);
	if ((c->word[0] & 0xffff) != 1 || !(c->word[1] & NVME_QUEUE_CONTIGUOUS) || c->prp[0] & 4095)
		return NVME_STATUS;
	if (c->opcode == NVME_ADMIN_CREATE_CQ)
		n->queues[1].complete = c->prp[0];
	else if (c->opcode == NVME_ADMIN_CREATE_SQ && n->queues[1].complete && c->word[1] >> 16 == 1)
		n->queues[1].submit = c->prp[0];
	else
		return NVME_STATUS;
	return 0;
}

/* One command; false: there is none, or it stays without an answer. */
static inline bool nvme_complete(struct fake_nvme *n, unsigned queue)
{
	struct nvme_completion *done;
	const struct nvme_command *c;
	bool concerned;

	if (!nvme_is_on(n) || !n->queues[queue].submit || n->queues[queue].head == n->queues[queue].tail)
		return false;
	c = (const struct nvme_command *)(uintptr_t)n->queues[queue].submit + n->queues[queue].head;
	concerned = c->opcode == n->opcode;
	if (n->fault == NVME_DIES && concerned)
		n->fault = NVME_GONE;
	if ((n->fault == NVME_SILENT && concerned) || n->fault == NVME_GONE)
		return false;
	n->queues[queue].head ^= 1;
	done = (struct nvme_completion *)(uintptr_t)n->queues[queue].complete + (n->queues[queue].done & 1);
	done->id = (uint16_t)(c->id + (n->fault == NVME_WRONG_ID && concerned));
	done->queue = (uint16_t)(queue + (n->fault == NVME_WRONG_QUEUE && concerned));
	done->head = (uint16_t)(n->queues[queue].head + (n->fault == NVME_WRONG_HEAD && concerned ? 7 : 0));
	done->status = (uint16_t)(nvme_carry_out(n, queue, c) << 1 | !(n->queues[queue].done & 2));
	n->queues[queue].done++;
	return true;
}

static inline void nvme_set_enabled(struct fake_nvme *n, uint32_t cc)
{
	n->cc = cc;
	memset(n->queues, 0, sizeof(n->queues));
	n->queues[0].submit = n->asq;
	n->queues[0].complete = n->acq;
}

static inline void nvme_mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	struct fake_nvme *n = ctx;
	size_t offset;

	if (!fake_offset(&n->fake, at, &offset) || width != 4) {
		n->wrote_elsewhere = true;
		return;
	}
	if (offset == NVME_CC)
		nvme_set_enabled(n, value);
	else if (offset == NVME_AQA)
		n->aqa = value;
	else if (offset == NVME_ASQ || offset == NVME_ASQ + 4)
		fake_half(&n->asq, offset != NVME_ASQ, value);
	else if (offset == NVME_ACQ || offset == NVME_ACQ + 4)
		fake_half(&n->acq, offset != NVME_ACQ, value);
	else if (offset >= NVME_DOORBELLS && offset < NVME_DOORBELLS + 8 * NVME_FAKE_QUEUES && !(offset & 4)) {
		n->queues[(offset - NVME_DOORBELLS) / 8].tail = (uint16_t)(value & 1);
		while (nvme_complete(n, (unsigned)(offset - NVME_DOORBELLS) / 8))
			;
	}
}

static inline void nvme_pci_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	struct fake *f = ctx;

	if (bdf != 3 << 3 || (offset > 0x10 && offset < 0x28))
		return;
	if (offset == 0x10)
		value &= ~(uint32_t)(FAKE_BAR_BYTES - 1);
	memcpy(f->pci + offset, &value, width);
}

static inline void fake_nvme_init(struct fake_nvme *n, enum nvme_fault fault, uint64_t sectors, unsigned shift)
{
	static const uint8_t class_code[] = { 0x02, 0x08, 0x01 };
	uint32_t bar = FAKE_BAR;

	fake_init(&n->fake, 0x0010, FAKE_GOOD, 0, NULL);
	memset((uint8_t *)n + sizeof(n->fake), 0, sizeof(*n) - sizeof(n->fake));
	memset(n->fake.pci, 0, sizeof(n->fake.pci));
	memcpy(n->fake.pci, "\x36\x1b\x10\x00", 4);
	memcpy(n->fake.pci + 9, class_code, sizeof(class_code));
	memcpy(n->fake.pci + 0x10, &bar, 4);
	n->fault = fault;
	n->version = 0x00010400;
	n->namespace = 1;
	memcpy(n->controller + NVME_CONTROLLER_SERIAL, "DATA01              ", 20);
	memcpy(n->space, &sectors, 8);
	n->space[NVME_NAMESPACE_FORMAT_LIST + 2] = (uint8_t)shift;
	n->fake.env.mmio_read = nvme_mmio_read;
	n->fake.env.mmio_write = nvme_mmio_write;
	n->fake.env.pci_write = nvme_pci_write;
}

#endif
