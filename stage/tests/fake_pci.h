/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a machine on the host whose buses hold functions with any configuration space, and registers that answer
 * anything. Must not know: the drivers, or what is to be made of it. */
#ifndef STAGE_TESTS_FAKE_PCI_H
#define STAGE_TESTS_FAKE_PCI_H

#include "../../chain/tests/random.h"
#include "stage/pci.h"

#include <stdlib.h>
#include <string.h>

enum { FAKE_FUNCTIONS = 24, FAKE_MAPS = 16, FAKE_ARENA_BYTES = 1 << 16 };

struct fake_function {
	uint32_t bdf;
	uint8_t bytes[256];
	uint32_t writable[STAGE_PCI_BARS]; /* of each base address register; the others are as they are */
};

struct fake_bus {
	struct stage_device_env env;
	struct fake_function functions[FAKE_FUNCTIONS];
	unsigned count, dma_live, maps;
	unsigned long reads;
	struct {
		uint64_t phys, bytes;
	} mapped[FAKE_MAPS];             /* the first ones */
	uint8_t arena[FAKE_ARENA_BYTES]; /* what map gives is never touched but by mmio_read and mmio_write */
	uint64_t now_us;
	bool absent;
};

static inline struct fake_function *fake_function_at(struct fake_bus *bus, uint32_t bdf)
{
	for (unsigned i = 0; i < bus->count; i++)
		if (bus->functions[i].bdf == bdf)
			return &bus->functions[i];
	return NULL;
}

static inline uint32_t fake_bus_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	struct fake_bus *bus = ctx;
	const struct fake_function *f = fake_function_at(bus, bdf);
	uint32_t value = 0;
	bus->reads++;
	if (bdf > 0xffff || offset % width || offset + width > 256)
		abort(); /* no processor could ask for it */
	if (!f)
		return 0xffffffff >> (32 - 8 * width);
	memcpy(&value, f->bytes + offset, width);
	return value;
}

static inline void fake_bus_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	struct fake_function *f = fake_function_at(ctx, bdf);
	unsigned bar = (offset - STAGE_PCI_BAR0) / 4;
	if (bdf > 0xffff || offset % width || offset + width > 256)
		abort();
	if (!f)
		return;
	if (offset >= STAGE_PCI_BAR0 && bar < STAGE_PCI_BARS) {
		uint32_t old;
		memcpy(&old, f->bytes + offset, 4);
		value = (old & ~f->writable[bar]) | (value & f->writable[bar]);
	} else if (offset != STAGE_PCI_COMMAND) {
		return;
	}
	memcpy(f->bytes + offset, &value, width);
}

static inline bool fake_bus_present(void *ctx)
{
	return !((struct fake_bus *)ctx)->absent;
}

static inline bool fake_bus_no_place(void *ctx, unsigned index, struct stage_mmio_place *out)
{
	(void)ctx;
	(void)index;
	(void)out;
	return false;
}

static inline volatile void *fake_bus_map(void *ctx, uint64_t phys, uint64_t bytes)
{
	struct fake_bus *bus = ctx;
	if (!bytes || phys >= STAGE_MMIO_LIMIT || bytes > STAGE_MMIO_LIMIT - phys)
		abort();
	if (bus->maps < FAKE_MAPS) {
		bus->mapped[bus->maps].phys = phys;
		bus->mapped[bus->maps++].bytes = bytes;
	}
	return bus->arena;
}

static inline uint32_t fake_bus_mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	(void)ctx;
	(void)at;
	return (uint32_t)random_next() >> (32 - 8 * width);
}

static inline void fake_bus_mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	(void)ctx;
	(void)at;
	(void)width;
	(void)value;
}

static inline void *fake_bus_dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	size_t whole = (bytes + 4095) & ~(size_t)4095;
	void *piece = aligned_alloc(4096, whole);
	if (!piece)
		abort();
	memset(piece, 0, whole);
	*out_phys = (uintptr_t)piece;
	((struct fake_bus *)ctx)->dma_live++;
	return piece;
}

static inline void fake_bus_dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	(void)phys;
	(void)bytes;
	((struct fake_bus *)ctx)->dma_live--;
	free(virt);
}

static inline uint64_t fake_bus_now(void *ctx)
{
	return ((struct fake_bus *)ctx)->now_us += 10;
}
static inline void fake_bus_idle(void *ctx)
{
	((struct fake_bus *)ctx)->now_us += 1000;
}
static inline uint32_t fake_bus_random(void *ctx)
{
	(void)ctx;
	return (uint32_t)random_next();
}

static inline void fake_bus_init(struct fake_bus *bus)
{
	*bus = (struct fake_bus){ .env = { bus, fake_bus_read, fake_bus_write, fake_bus_present, fake_bus_no_place,
					   fake_bus_map, fake_bus_mmio_read, fake_bus_mmio_write, fake_bus_dma_alloc,
					   fake_bus_dma_free, fake_bus_now, fake_bus_idle, fake_bus_random } };
}

/* A function whose configuration space is zero but for its ids. Valid until the next fake_bus_init. */
static inline struct fake_function *fake_bus_add(struct fake_bus *bus, uint32_t bdf, uint16_t vendor, uint16_t device)
{
	struct fake_function *f = &bus->functions[bus->count++];
	*f = (struct fake_function){ .bdf = bdf };
	memcpy(f->bytes, &vendor, 2);
	memcpy(f->bytes + 2, &device, 2);
	return f;
}

static inline void fake_put32(struct fake_function *f, uint32_t offset, uint32_t value)
{
	memcpy(f->bytes + offset, &value, 4);
}

#endif
