/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage's own device environment: ports, page tables, the clock. Nothing here runs before a device is asked for. */
#include "stage/boot.h"
#include "stage/bulk.h"
#include "stage/clock.h"
#include "stage/cpu.h"
#include "stage/device_env.h"
#include "stage/mmio_places.h"
#include "stage/pages.h"
#include "stage/random.h"

#include <stdatomic.h>
#include <string.h>

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };
#define CONFIG_ENABLE 0x80000000u

/* One address register for all processors. Who uses it is noted (its index, and one), for a processor can be stopped in
 * the middle. */
static _Atomic uint32_t config_user;

static void lock_config(void)
{
	uint32_t user = stage_cpu()->index + 1, nobody = 0;

	while (!atomic_compare_exchange_weak_explicit(&config_user, &nobody, user, memory_order_acquire,
						      memory_order_relaxed)) {
		nobody = 0;
		stage_pause();
	}
}

static void unlock_config(void)
{
	atomic_store_explicit(&config_user, 0, memory_order_release);
}

void stage_native_env_stopped(uint32_t processor)
{
	uint32_t user = processor + 1;

	atomic_compare_exchange_strong(&config_user, &user, 0);
}

STAGE_BOOT_TEXT static void select_config(uint32_t bdf, uint32_t offset)
{
	stage_outl(CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (offset & 0xfc));
}

STAGE_BOOT_TEXT static uint32_t pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));
	uint32_t value;

	(void)ctx;
	lock_config();
	select_config(bdf, offset);
	value = width == 1 ? stage_inb(port) : width == 2 ? stage_inw(port) : stage_inl(port);
	unlock_config();
	return value;
}

STAGE_BOOT_TEXT static void pci_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));

	(void)ctx;
	lock_config();
	select_config(bdf, offset);
	if (width == 1)
		stage_outb(port, (uint8_t)value);
	else if (width == 2)
		stage_outw(port, (uint16_t)value);
	else
		stage_outl(port, value);
	unlock_config();
}

/* Mechanism 1 keeps what is written to its address register (PCI 3.0, section 3.2.2.3.2). */
STAGE_BOOT_TEXT static bool ports_present(void *ctx)
{
	bool kept;

	(void)ctx;
	lock_config();
	stage_outl(CONFIG_ADDRESS, CONFIG_ENABLE);
	kept = stage_inl(CONFIG_ADDRESS) == CONFIG_ENABLE;
	unlock_config();
	return kept;
}

/* A machine whose configuration space has no ports may be a microvm; on others these places are PCI's. */
static bool mmio_place(void *ctx, unsigned index, struct stage_mmio_place *out)
{
	return stage_mmio_place(stage_bootinfo()->cmdline, !ports_present(ctx), index, out);
}

static volatile void *map(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	return stage_mmio_map(phys, bytes);
}

static uint32_t mmio_read(void *ctx, const volatile void *at, unsigned width)
{
	(void)ctx;
	if (width == 1)
		return *(const volatile uint8_t *)at;
	return width == 2 ? *(const volatile uint16_t *)at : *(const volatile uint32_t *)at;
}

static void mmio_write(void *ctx, volatile void *at, unsigned width, uint32_t value)
{
	(void)ctx;
	if (width == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (width == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint32_t *)at = value;
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + STAGE_PAGE - 1) & ~(size_t)(STAGE_PAGE - 1);
}

static void *dma_alloc(void *ctx, size_t bytes, uint64_t *out_phys)
{
	void *virt;

	(void)ctx;
	*out_phys = stage_pages_alloc(whole_pages(bytes), STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (*out_phys == 0)
		return NULL;
	virt = stage_phys_to_virt(*out_phys);
	stage_zero(virt, whole_pages(bytes));
	return virt;
}

static void dma_free(void *ctx, void *virt, uint64_t phys, size_t bytes)
{
	(void)ctx;
	(void)virt;
	stage_pages_free(phys, whole_pages(bytes));
}

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return stage_clock_us();
}

static void idle(void *ctx)
{
	(void)ctx;
	stage_idle();
}

static uint32_t random_number(void *ctx)
{
	uint32_t v;

	(void)ctx;
	stage_random_fill(&v, sizeof v);
	return v;
}

const struct stage_device_env *stage_native_env(void)
{
	static const struct stage_device_env env = {
		.pci_read = pci_read,
		.pci_write = pci_write,
		.pci_present = ports_present,
		.mmio_place = mmio_place,
		.map = map,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.dma_alloc = dma_alloc,
		.dma_free = dma_free,
		.now_us = now_us,
		.idle = idle,
		.random = random_number,
	};

	return &env;
}
