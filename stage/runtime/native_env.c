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
#include "stage/pci.h"
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

STAGE_BOOT_TEXT static uint32_t read_ports(uint32_t bdf, uint32_t offset, unsigned width)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));
	uint32_t value;

	lock_config();
	select_config(bdf, offset);
	value = width == 1 ? stage_inb(port) : width == 2 ? stage_inw(port) : stage_inl(port);
	unlock_config();
	return value;
}

STAGE_BOOT_TEXT static void write_ports(uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));

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
STAGE_BOOT_TEXT static bool ports_present(void)
{
	bool kept;

	lock_config();
	stage_outl(CONFIG_ADDRESS, CONFIG_ENABLE);
	kept = stage_inl(CONFIG_ADDRESS) == CONFIG_ENABLE;
	unlock_config();
	return kept;
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

/* --- configuration space in memory --- */

/* Below this all processors have what is mapped, as one table of the first level is for all of it. */
#define SHARED_LIMIT (UINT64_C(1) << 39)
enum { BUS_BYTES = 1 << 20, PIECE_BYTES = 2 * BUS_BYTES, PIECES = STAGE_PCI_BUSES / 2 };

static struct {
	bool asked, there;
	struct stage_config_space space;
	volatile uint8_t *pieces[PIECES]; /* of two buses each, mapped when they are first looked at */
} memory STAGE_BOOT_ONLY;

/* Null: it is not in memory there. */
STAGE_BOOT_TEXT static volatile uint8_t *at_memory(uint32_t bdf, uint32_t offset)
{
	uint32_t bus = bdf >> 8, piece = bus / 2;

	if (!memory.there || bus > memory.space.last_bus)
		return NULL;
	if (!memory.pieces[piece])
		memory.pieces[piece] = stage_mmio_map(memory.space.phys + (uint64_t)piece * PIECE_BYTES, PIECE_BYTES);
	return memory.pieces[piece] ?
		       memory.pieces[piece] + (bus & 1) * BUS_BYTES + (bdf & 0xff) * STAGE_PAGE + offset :
		       NULL;
}

/* No table is a reason to write to memory that somebody uses. */
STAGE_BOOT_TEXT static bool is_usable(const struct stage_config_space *space, const struct chain_bootinfo *info)
{
	uint64_t bytes = ((uint64_t)space->last_bus + 1) * BUS_BYTES;
	struct chain_range range = { space->phys, space->phys + bytes };

	if (space->first_bus || !space->phys || space->phys & (BUS_BYTES - 1) ||
	    space->phys > SHARED_LIMIT - PIECE_BYTES - bytes)
		return false;
	for (size_t i = 0; i < info->mem_count; i++)
		if (info->mem[i].type == CHAIN_MEM_AVAILABLE && chain_range_overlaps(info->mem[i].range, range))
			return false;
	return true;
}

/* By the firmware's table, which is believed where the ports have the same device at the first place (PCI Firmware 3.3,
 * section 4.1.2), or there are none. */
STAGE_BOOT_TEXT static void find_memory(void)
{
	const struct chain_bootinfo *info = stage_bootinfo();
	const volatile uint8_t *first;
	uint32_t id;

	if (memory.asked)
		return;
	memory.asked = true;
	memory.there = stage_find_config_space(info->acpi_rsdp, &memory.space) && is_usable(&memory.space, info);
	first = at_memory(0, 0);
	id = first ? mmio_read(NULL, first, 4) : UINT32_MAX;
	memory.there = id != UINT32_MAX && (!ports_present() || id == read_ports(0, 0, 4));
}

STAGE_BOOT_TEXT static uint32_t pci_read(void *ctx, uint32_t bdf, uint32_t offset, unsigned width)
{
	find_memory();
	const volatile uint8_t *at = at_memory(bdf, offset);
	return at ? mmio_read(ctx, at, width) : read_ports(bdf, offset, width);
}

STAGE_BOOT_TEXT static void pci_write(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value)
{
	find_memory();
	volatile uint8_t *at = at_memory(bdf, offset);
	if (at)
		mmio_write(ctx, at, width, value);
	else
		write_ports(bdf, offset, width, value);
}

STAGE_BOOT_TEXT static bool pci_present(void *ctx)
{
	(void)ctx;
	find_memory();
	return memory.there || ports_present();
}

/* A machine whose configuration space has no ports may be a microvm; on others these places are PCI's. */
STAGE_BOOT_TEXT static bool mmio_place(void *ctx, unsigned index, struct stage_mmio_place *out)
{
	(void)ctx;
	return stage_mmio_place(stage_bootinfo()->cmdline, !ports_present(), index, out);
}

static volatile void *map(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	return stage_mmio_map(phys, bytes);
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
		.pci_present = pci_present,
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
