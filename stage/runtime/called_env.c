/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/called_env.h"

#include "stage/pci.h"

#include <string.h>

static struct stage_called_env *self(void *ctx)
{
	return ctx;
}

static uint32_t pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	uint32_t value = 0;

	if (bdf != self(ctx)->device->bdf || offset > KCHAIN_DEVICE_CONFIG_BYTES - width)
		return UINT32_MAX >> (32 - 8 * width);
	memcpy(&value, self(ctx)->config + offset, width);
	return value;
}

/* What of a base address register can be written says how large it is (PCI 3.0, section 6.2.5.1); `upper`: of a wide
 * one, its second half. */
static uint32_t writable(const struct stage_called_env *e, unsigned reg, bool upper)
{
	uint64_t mask = ~(e->device->registers[reg].bytes - 1);

	if (!e->device->registers[reg].bytes)
		return 0;
	return upper ? (uint32_t)(mask >> 32) : (uint32_t)mask & ~15u;
}

static void write_register(struct stage_called_env *e, unsigned reg, uint32_t value)
{
	uint8_t *at = e->config + STAGE_PCI_BAR0 + 4 * reg;
	bool upper = reg > 0 && (at[-4] & 7) == 4;
	uint32_t mask = writable(e, upper ? reg - 1 : reg, upper), old;

	memcpy(&old, at, 4);
	value = (old & ~mask) | (value & mask);
	memcpy(at, &value, 4);
}

static void pci_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	struct stage_called_env *e = ctx;

	if (bdf != e->device->bdf)
		return;
	if (offset == STAGE_PCI_COMMAND && width == 2)
		memcpy(e->config + offset, &value, width);
	else if (offset >= STAGE_PCI_BAR0 && offset < STAGE_PCI_BAR0 + 4 * STAGE_PCI_BARS && width == 4)
		write_register(e, (offset - STAGE_PCI_BAR0) / 4, value);
}

static bool pci_present(void *ctx)
{
	(void)ctx;
	return true;
}

static bool mmio_place(void *ctx, unsigned index, struct stage_mmio_place *out)
{
	(void)ctx;
	(void)index;
	(void)out;
	return false;
}

static volatile void *map(void *ctx, uint64_t phys, uint64_t bytes)
{
	const struct kchain_device *d = self(ctx)->device;

	for (unsigned i = 0; i < KCHAIN_DEVICE_REGISTERS; i++) {
		uint64_t at = phys - d->registers[i].phys;
		if (d->registers[i].bytes && phys >= d->registers[i].phys && at <= d->registers[i].bytes &&
		    bytes <= d->registers[i].bytes - at)
			return (volatile void *)(uintptr_t)(d->registers[i].virt + at);
	}
	return NULL;
}

static uint32_t mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	return self(ctx)->base->mmio_read(self(ctx)->base->ctx, at, width);
}

static void mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	self(ctx)->base->mmio_write(self(ctx)->base->ctx, at, width, value);
}

static void *dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	struct stage_called_env *e = ctx;
	uint64_t ignored, at;
	void *virt = e->base->dma_alloc(e->base->ctx, bytes, &ignored);

	at = (uint64_t)(uintptr_t)virt - e->heap;
	if (virt && (at > e->heap_bytes || bytes > e->heap_bytes - at)) {
		e->base->dma_free(e->base->ctx, virt, (uint64_t)(uintptr_t)virt, bytes);
		virt = NULL;
	}
	*out_phys = e->heap_phys + at;
	return virt;
}

/* For `base` memory has no other address than its own. */
static void dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	(void)phys;
	self(ctx)->base->dma_free(self(ctx)->base->ctx, virt, (uint64_t)(uintptr_t)virt, bytes);
}

static uint64_t now_us(void *ctx)
{
	return self(ctx)->base->now_us(self(ctx)->base->ctx);
}
static void idle(void *ctx)
{
	self(ctx)->base->idle(self(ctx)->base->ctx);
}
static uint32_t random_number(void *ctx)
{
	return self(ctx)->base->random(self(ctx)->base->ctx);
}

void stage_called_env_init(struct stage_called_env *out, const struct stage_device_env *base,
			   const struct kchain_device *device, uint64_t heap, uint64_t heap_bytes, uint64_t heap_phys)
{
	*out = (struct stage_called_env){
		.base = base,
		.device = device,
		.heap = heap,
		.heap_bytes = heap_bytes,
		.heap_phys = heap_phys,
		.env = { out, pci_read, pci_write, pci_present, mmio_place, map, mmio_read, mmio_write, dma_alloc,
			 dma_free, now_us, idle, random_number },
	};
	memcpy(out->config, device->config, sizeof(out->config));
}
