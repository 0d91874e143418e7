/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a machine with one virtio device on the host, by PCI or virtio-mmio, which behaves, or misbehaves as told.
 * Must not know: the drivers' insides. */
#ifndef STAGE_TESTS_FAKE_VIRTIO_H
#define STAGE_TESTS_FAKE_VIRTIO_H

#include "stage/virtio.h"

#include <stdlib.h>
#include <string.h>

enum fake_fault {
	FAKE_GOOD,
	FAKE_NEVER_RESETS,
	FAKE_NO_VERSION_1,
	FAKE_REFUSES_FEATURES,
	FAKE_NO_QUEUES,
	FAKE_NOTIFY_OUTSIDE,
	FAKE_SILENT,       /* takes requests, answers none */
	FAKE_USED_INDEX,   /* claims more than was asked */
	FAKE_USED_ID,      /* an id out of range */
	FAKE_USED_ID_IDLE, /* an id that is not in flight */
	FAKE_USED_LENGTH,  /* more bytes than there was room for */
	FAKE_NO_STATUS,    /* completes, having written nothing */
	FAKE_IO_ERROR,
	FAKE_CUT, /* says that all is well, having written less than was asked for */
	FAKE_FAULTS
};

enum { FAKE_BAR = 0xfe000000, FAKE_BAR_BYTES = 0x4000, FAKE_NOTIFY = 0x3000, FAKE_CONFIG = 0x2000, FAKE_QUEUES = 2 };

struct fake;
/* What the device does with a chain: gets its segments, returns the bytes it wrote. */
typedef uint32_t fake_handler(struct fake *fake, unsigned queue, struct stage_virtio_segment *segments, unsigned count);

struct fake_queue {
	uint16_t size, enabled, done;
	uint64_t desc, avail, used;
};

struct fake {
	struct stage_device_env env;
	enum fake_fault fault;
	uint32_t mmio_type, mmio_version; /* 0: it is a PCI device */
	uint8_t pci[256];
	uint8_t bar[FAKE_BAR_BYTES]; /* config space of the device lies in it */
	uint8_t nowhere[16];         /* stands for all addresses at which nothing answers: they read as ones */
	uint64_t features, accepted;
	uint32_t feature_select, driver_select;
	uint8_t status;
	uint16_t queue_select;
	struct fake_queue queues[FAKE_QUEUES];
	fake_handler *handler;
	void *handler_ctx;
	uint64_t now_us;
	unsigned dma_live, accesses;
	uint32_t random;
};

static inline struct fake *fake_of(void *ctx)
{
	return ctx;
}

static inline uint32_t fake_pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	uint32_t v = 0xffffffff;

	fake_of(ctx)->accesses++;
	if (bdf == 3 << 3)
		memcpy(&v, fake_of(ctx)->pci + (offset & 0xff), width);
	return width == 4 ? v : v & ((1u << 8 * width) - 1);
}

static inline void fake_pci_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	if (bdf != 3 << 3)
		return;
	if (offset >= 0x10 && offset < 0x28) { /* the one register there is: 16 KiB */
		if (offset != 0x20)
			return;
		value = (value & ~(uint32_t)(FAKE_BAR_BYTES - 1));
	}
	memcpy(fake_of(ctx)->pci + offset, &value, width);
}

static inline bool fake_pci_present(void *ctx)
{
	return !fake_of(ctx)->mmio_type;
}

static inline bool fake_mmio_place(void *ctx, unsigned index, struct stage_mmio_place *out)
{
	*out = (struct stage_mmio_place){ FAKE_BAR, 0x200 };
	return fake_of(ctx)->mmio_type && index == 0;
}

static inline volatile void *fake_map(void *ctx, uint64_t phys, uint64_t bytes)
{
	if (phys < FAKE_BAR || bytes > FAKE_BAR_BYTES || phys - FAKE_BAR > FAKE_BAR_BYTES - bytes)
		return fake_of(ctx)->nowhere;
	return fake_of(ctx)->bar + (phys - FAKE_BAR);
}

static inline uint32_t fake_common_read(struct fake *f, uint32_t offset)
{
	const struct fake_queue *q = &f->queues[f->queue_select % FAKE_QUEUES];
	uint64_t features = f->fault == FAKE_NO_VERSION_1 ? f->features & ~VIRTIO_F_VERSION_1 : f->features;

	switch (offset) {
	case 4:
		return (uint32_t)(features >> 32 * (f->feature_select & 1));
	case 20:
		return f->fault == FAKE_NEVER_RESETS ? 0x4f : f->status;
	case 24:
		return f->queue_select < FAKE_QUEUES && f->fault != FAKE_NO_QUEUES ? q->size : 0;
	case 30:
		return f->fault == FAKE_NOTIFY_OUTSIDE ? 0xffff : f->queue_select;
	default:
		return 0;
	}
}

static inline void fake_half(uint64_t *to, bool high, uint32_t v)
{
	*to = high ? (*to & 0xffffffff) | (uint64_t)v << 32 : (*to & 0xffffffff00000000) | v;
}

static inline void fake_common_write(struct fake *f, uint32_t offset, uint32_t v)
{
	struct fake_queue *q = &f->queues[f->queue_select % FAKE_QUEUES];

	switch (offset) {
	case 0:
		f->feature_select = v;
		break;
	case 8:
		f->driver_select = v;
		break;
	case 12:
		fake_half(&f->accepted, f->driver_select & 1, v);
		break;
	case 20:
		f->status = (uint8_t)v;
		if (f->fault == FAKE_REFUSES_FEATURES)
			f->status &= (uint8_t)~8;
		for (unsigned i = 0; !v && i < FAKE_QUEUES; i++)
			f->queues[i].enabled = f->queues[i].done = 0;
		break;
	case 22:
		f->queue_select = (uint16_t)v;
		break;
	case 24:
		q->size = (uint16_t)v;
		break;
	case 28:
		q->enabled = (uint16_t)v;
		break;
	case 32:
	case 36:
		fake_half(&q->desc, offset == 36, v);
		break;
	case 40:
	case 44:
		fake_half(&q->avail, offset == 44, v);
		break;
	case 48:
	case 52:
		fake_half(&q->used, offset == 52, v);
		break;
	default:
		break;
	}
}

static inline uint16_t *fake_ring(uint64_t phys)
{
	return (uint16_t *)(uintptr_t)phys;
}

/* Completes one request of queue `index` that the driver has made; false: there is none. */
static inline bool fake_complete(struct fake *f, unsigned index)
{
	struct fake_queue *q = &f->queues[index];
	struct {
		uint64_t phys;
		uint32_t bytes;
		uint16_t flags, next;
	} *desc = (void *)(uintptr_t)q->desc;
	struct stage_virtio_segment segments[8];
	struct {
		uint32_t id, bytes;
	} * used;
	unsigned count = 0;
	uint32_t room = 0, written;
	uint16_t head, at;

	if (!q->enabled || fake_ring(q->avail)[1] == q->done)
		return false;
	head = at = fake_ring(q->avail)[2 + q->done % q->size];
	for (;; at = desc[at].next) {
		segments[count++] = (struct stage_virtio_segment){ desc[at].phys, desc[at].bytes, desc[at].flags & 2 };
		room += desc[at].flags & 2 ? desc[at].bytes : 0;
		if (!(desc[at].flags & 1) || count == 8)
			break;
	}
	written = f->fault == FAKE_NO_STATUS ? 0 : f->handler(f, index, segments, count);
	written -= f->fault == FAKE_CUT ? 2 : 0;
	used = (void *)(uintptr_t)(q->used + 4);
	used[q->done % q->size].id = f->fault == FAKE_USED_ID      ? 0x10000u * q->size + 7 :
				     f->fault == FAKE_USED_ID_IDLE ? head + 3u :
								     head;
	used[q->done % q->size].bytes = f->fault == FAKE_USED_LENGTH ? room + 1 : written;
	q->done++;
	fake_ring(q->used)[1] = (uint16_t)(q->done + (f->fault == FAKE_USED_INDEX ? 1000 : 0));
	return true;
}

/* What virtio-mmio has, by virtio-pci's offsets (1.1, sections 4.1.4.3 and 4.2.2); 0xff: nothing like it. */
static inline uint32_t fake_common_offset(size_t offset)
{
	static const uint8_t same[][2] = { { 0x10, 4 },  { 0x14, 0 },  { 0x20, 12 }, { 0x24, 8 },  { 0x30, 22 },
					   { 0x34, 24 }, { 0x38, 24 }, { 0x44, 28 }, { 0x70, 20 }, { 0x80, 32 },
					   { 0x84, 36 }, { 0x90, 40 }, { 0x94, 44 }, { 0xa0, 48 }, { 0xa4, 52 } };

	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		if (same[i][0] == offset)
			return same[i][1];
	return 0xff;
}

static inline uint32_t fake_mmio_register(struct fake *f, size_t offset)
{
	switch (offset) {
	case 0x00:
		return 0x74726976;
	case 0x04:
		return f->mmio_version;
	case 0x08:
		return f->mmio_type;
	case 0x44:
		return f->queues[f->queue_select % FAKE_QUEUES].enabled;
	default:
		return fake_common_read(f, fake_common_offset(offset));
	}
}

/* Offset in the device's registers; false: nothing is there. */
static inline bool fake_offset(const struct fake *f, const volatile void *at, size_t *out)
{
	uintptr_t bar = (uintptr_t)f->bar, virt = (uintptr_t)at;

	*out = virt - bar;
	return virt >= bar && virt < bar + FAKE_BAR_BYTES;
}

static inline uint32_t fake_mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	struct fake *f = ctx;
	size_t offset;
	uint32_t v = 0;

	f->accesses++;
	if (!fake_offset(f, at, &offset))
		return 0xffffffff >> (32 - 8 * width);
	if (f->mmio_type && offset >= 0x100)
		offset += FAKE_CONFIG - 0x100;
	else if (f->mmio_type)
		return fake_mmio_register(f, offset);
	if (offset < FAKE_CONFIG)
		return fake_common_read(f, (uint32_t)offset);
	memcpy(&v, f->bar + offset, width);
	return v;
}

static inline void fake_mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	struct fake *f = ctx;
	size_t offset;

	(void)width;
	if (!fake_offset(f, at, &offset))
		return;
	if (f->mmio_type)
		offset = offset == 0x50 ? FAKE_NOTIFY : fake_common_offset(offset);
	if (offset < FAKE_CONFIG)
		fake_common_write(f, (uint32_t)offset, value);
	else if (offset >= FAKE_NOTIFY && f->fault != FAKE_SILENT && value < FAKE_QUEUES && f->handler)
		while (!(value == 0 && f->handler_ctx) &&
		       fake_complete(f, value)) /* with a ctx: queue 0 waits to be filled */
			;
}

static inline void *fake_dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	size_t whole = (bytes + 4095) & ~(size_t)4095;
	void *p = aligned_alloc(4096, whole);

	memset(p, 0, whole);
	*out_phys = (uintptr_t)p;
	fake_of(ctx)->dma_live++;
	return p;
}

static inline void fake_dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	(void)phys;
	(void)bytes;
	fake_of(ctx)->dma_live--;
	free(virt);
}

static inline uint64_t fake_now_us(void *ctx)
{
	return fake_of(ctx)->now_us;
}
static inline void fake_idle(void *ctx)
{
	fake_of(ctx)->now_us += 1000;
}
static inline uint32_t fake_random(void *ctx)
{
	return fake_of(ctx)->random = fake_of(ctx)->random * 1664525 + 1013904223;
}

static inline void fake_capability(struct fake *f, unsigned at, unsigned next, uint8_t type, uint32_t offset,
				   uint32_t bytes)
{
	f->pci[at] = 9;
	f->pci[at + 1] = (uint8_t)next;
	f->pci[at + 2] = 20;
	f->pci[at + 3] = type;
	f->pci[at + 4] = 4;
	memcpy(f->pci + at + 8, &offset, 4);
	memcpy(f->pci + at + 12, &bytes, 4);
}

static inline void fake_init(struct fake *f, uint16_t device, enum fake_fault fault, uint64_t features,
			     fake_handler *handler)
{
	static const struct stage_device_env env = {
		NULL,        fake_pci_read,  fake_pci_write,  fake_pci_present, fake_mmio_place,
		fake_map,    fake_mmio_read, fake_mmio_write, fake_dma_alloc,   fake_dma_free,
		fake_now_us, fake_idle,      fake_random,
	};
	uint32_t bar = FAKE_BAR, multiplier = 4;

	memset(f, 0, sizeof *f);
	f->env = env;
	f->env.ctx = f;
	f->fault = fault;
	f->features = features | VIRTIO_F_VERSION_1;
	f->handler = handler;
	f->queues[0].size = f->queues[1].size = 256;
	f->pci[0] = 0xf4;
	f->pci[1] = 0x1a;
	memcpy(f->pci + 2, &device, 2);
	f->pci[6] = 0x10;
	f->pci[0x34] = 0x40;
	memcpy(f->pci + 0x20, &bar, 4);
	fake_capability(f, 0x40, 0x60, 1, 0, 0x1000);
	fake_capability(f, 0x60, 0x80, 4, FAKE_CONFIG, 0x1000);
	fake_capability(f, 0x80, 0, 2, FAKE_NOTIFY, 0x1000);
	memcpy(f->pci + 0x90, &multiplier, 4);
}

/* The same device by virtio-mmio, on a machine without PCI. */
static inline void fake_use_mmio(struct fake *f, uint32_t type)
{
	f->mmio_type = type;
	f->mmio_version = 2;
}

#endif
