/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Page tables: the builder, and the tables a booted kernel runs under. */

#include "chain/x86_registers.h"
#include "stage/boot.h"
#include "stage/bulk.h"
#include "stage/cpu.h"
#include "stage/device_env.h"
#include "stage/pages.h"

#include <assert.h>
#include <string.h>

enum {
	PTE_PRESENT = 1,
	PTE_WRITE = 2,
	PTE_USER = 4,
	PTE_WRITE_THROUGH = 8,
	PTE_NO_CACHE = 16,
	PTE_ACCESSED = 0x20,
	PTE_DIRTY = 0x40,
	PTE_LARGE = 0x80,
	LEVELS = 4,
	SLOTS = 512,
	LARGE_BYTES = 2 * 1024 * 1024,
};
#define PTE_NX       ((uint64_t)1 << 63)
#define PTE_ADDRESS  0x000ffffffffff000ull
#define MMIO_VIRT    0xffffa00000000000ull /* registers at physical P are at MMIO_VIRT + P */
#define DIRECT_LIMIT (MMIO_VIRT - KCHAIN_DIRECT_VIRT)
static_assert(DIRECT_LIMIT == CHAIN_MEMORY_END, "memory is seen up to there");
static_assert(MMIO_VIRT + STAGE_MMIO_LIMIT <= KCHAIN_WINDOW_VIRT, "registers stay in their range");

static bool has_nx(void)
{
	static int known;
	if (!known)
		known = stage_rdmsr(MSR_EFER) & EFER_NXE ? 1 : -1;
	return known > 0;
}

static uint64_t leaf_bits(unsigned flags)
{
	uint64_t bits = PTE_PRESENT;
	if (flags & STAGE_MAP_WRITE)
		bits |= PTE_WRITE;
	if (flags & STAGE_MAP_USER)
		bits |= PTE_USER;
	if (flags & STAGE_MAP_UNCACHED)
		bits |= PTE_NO_CACHE | PTE_WRITE_THROUGH;
	if (!(flags & STAGE_MAP_EXECUTE) && has_nx())
		bits |= PTE_NX;
	return bits;
}

/* The entry for `virt` at `level` (0: 4 KiB, 1: 2 MiB); tables on the way are made. Null: no page, or a large page in
 * the way. */
static uint64_t *entry_of(uint64_t root_phys, const struct stage_table_pages *pages, uint64_t virt, unsigned level)
{
	uint64_t table = root_phys;
	for (unsigned l = LEVELS - 1;; l--) {
		uint64_t *entry = (uint64_t *)stage_phys_to_virt(table) + ((virt >> (12 + 9 * l)) & (SLOTS - 1));
		if (l == level)
			return entry;
		if (!(*entry & PTE_PRESENT)) {
			uint64_t page = pages->take(pages->ctx);
			if (!page)
				return NULL;
			*entry = page | PTE_PRESENT | PTE_WRITE | PTE_USER; /* leaves decide */
		}
		if (*entry & PTE_LARGE)
			return NULL;
		table = *entry & PTE_ADDRESS;
	}
}

/* Whole directories are filled at every boot, so eight entries a turn. */
static void fill(uint64_t *entry, uint64_t count, uint64_t value, uint64_t step)
{
	enum { TURN = 8 };
	for (; count >= TURN; count -= TURN, entry += TURN)
#pragma GCC unroll 8
		for (size_t i = 0; i < TURN; i++, value += step)
			entry[i] = value;
	for (; count; count--, value += step)
		*entry++ = value;
}

bool stage_table_map(uint64_t root_phys, const struct stage_table_pages *pages, uint64_t virt, uint64_t phys,
		     uint64_t bytes, unsigned flags)
{
	uint64_t bits = leaf_bits(flags);
	while (bytes) {
		bool large = !(flags & STAGE_MAP_SMALL) && !((virt | phys) & (LARGE_BYTES - 1)) && bytes >= LARGE_BYTES;
		uint64_t step = large ? LARGE_BYTES : STAGE_PAGE;
		uint64_t *entry = entry_of(root_phys, pages, virt, large);
		if (!entry)
			return false;
		uint64_t left = SLOTS - (virt / step & (SLOTS - 1)),
			 whole = bytes / step + (!large && bytes % step != 0);
		uint64_t count = whole < left ? whole : left,
			 value = phys | bits | (large ? PTE_LARGE : 0u); /* to the end of this table */
		fill(entry, count, value, step);
		virt += count * step;
		phys += count * step;
		bytes -= count * step < bytes ? count * step : bytes;
	}
	return true;
}

/* The directory's entry for `virt`: a table of small pages, or a large page; null: neither. */
static uint64_t *directory_entry(uint64_t root_phys, uint64_t virt)
{
	uint64_t table = root_phys;
	for (unsigned level = LEVELS - 1;; level--) {
		uint64_t *entry = (uint64_t *)stage_phys_to_virt(table) + ((virt >> (12 + 9 * level)) & (SLOTS - 1));
		if (!(*entry & PTE_PRESENT) || level == 1)
			return *entry & PTE_PRESENT ? entry : NULL;
		table = *entry & PTE_ADDRESS;
	}
}

static void if_dirty(uint64_t *entry, uint64_t virt, uint64_t bytes, stage_dirty_page *each, void *ctx)
{
	if ((*entry & (PTE_PRESENT | PTE_DIRTY)) != (PTE_PRESENT | PTE_DIRTY))
		return;
	*entry &= ~(uint64_t)PTE_DIRTY;
	each(ctx, virt, *entry & PTE_ADDRESS, bytes);
}

uint64_t *stage_table_pages_at(uint64_t root_phys, uint64_t virt, uint64_t bytes)
{
	uint64_t *entry = directory_entry(root_phys, virt);
	bool one_table = bytes && (virt & (LARGE_BYTES - 1)) + bytes <= LARGE_BYTES;
	if (!entry || *entry & PTE_LARGE || !one_table)
		return NULL;
	return (uint64_t *)stage_phys_to_virt(*entry & PTE_ADDRESS) + (virt >> 12 & (SLOTS - 1));
}

void stage_table_each_dirty_of(uint64_t *entries, uint64_t virt, uint64_t bytes, stage_dirty_page *each, void *ctx)
{
	for (uint64_t end = virt + bytes; virt < end; virt += STAGE_PAGE)
		if_dirty(entries++, virt, STAGE_PAGE, each, ctx);
}

void stage_table_each_dirty(uint64_t root_phys, uint64_t virt, uint64_t bytes, stage_dirty_page *each, void *ctx)
{
	uint64_t end = virt + bytes;
	for (uint64_t stop; virt < end; virt = stop) {
		uint64_t *entry = directory_entry(root_phys, virt);
		stop = (virt | (LARGE_BYTES - 1)) < end ? (virt | (LARGE_BYTES - 1)) + 1 : end;
		if (entry && *entry & PTE_LARGE) {
			if_dirty(entry, virt, LARGE_BYTES, each, ctx);
		} else if (entry && *entry & PTE_ACCESSED) { /* else nobody was there since all of it was looked at */
			uint64_t *table = stage_phys_to_virt(*entry & PTE_ADDRESS);
			if (stop - virt == LARGE_BYTES)
				*entry &= ~(uint64_t)PTE_ACCESSED;
			stage_table_each_dirty_of(&table[virt >> 12 & (SLOTS - 1)], virt, stop - virt, each, ctx);
		}
	}
}

uint64_t stage_table_phys(uint64_t root_phys, uint64_t virt)
{
	const uint64_t *entry = stage_table_pages_at(root_phys, virt, 1);
	return entry && *entry & PTE_PRESENT ? *entry & PTE_ADDRESS : 0;
}

/* Bytes from `virt` on to the end of the page that shows it; 0: none does. */
static uint64_t mapped_bytes(uint64_t root_phys, uint64_t virt)
{
	const uint64_t *entry = directory_entry(root_phys, virt);
	if (entry && *entry & PTE_LARGE)
		return LARGE_BYTES - (virt & (LARGE_BYTES - 1));
	if (!entry ||
	    !(((const uint64_t *)stage_phys_to_virt(*entry & PTE_ADDRESS))[virt >> 12 & (SLOTS - 1)] & PTE_PRESENT))
		return 0;
	return STAGE_PAGE - (virt & (STAGE_PAGE - 1));
}

const void *stage_phys_view(uint64_t phys, uint64_t bytes)
{
	if (bytes > DIRECT_LIMIT || phys > DIRECT_LIMIT - bytes)
		return NULL;
	for (uint64_t at = 0, step; at < bytes; at += step) {
		step = mapped_bytes(stage_read_cr3() & PTE_ADDRESS, KCHAIN_DIRECT_VIRT + phys + at);
		if (!step)
			return NULL;
	}
	return stage_phys_to_virt(phys);
}

static uint64_t take_page(void *ctx)
{
	(void)ctx;
	uint64_t phys = stage_pages_alloc(STAGE_PAGE, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (phys)
		stage_zero(stage_phys_to_virt(phys), STAGE_PAGE);
	return phys;
}

static const struct stage_table_pages heap_pages = { take_page, NULL };

uint64_t stage_table_page(void)
{
	return take_page(NULL);
}

volatile void *stage_mmio_map(uint64_t phys, uint64_t bytes)
{
	uint64_t first = chain_align_down(phys, STAGE_PAGE), end;
	if (!stage_boot.face->owns_machine || !bytes || bytes > STAGE_MMIO_LIMIT || phys > STAGE_MMIO_LIMIT - bytes ||
	    !chain_align_up(phys + bytes, STAGE_PAGE, &end))
		return NULL;
	if (!stage_table_map(stage_cpu()->root_phys, &heap_pages, MMIO_VIRT + first, first, end - first,
			     STAGE_MAP_WRITE | STAGE_MAP_UNCACHED))
		return NULL;
	for (uint64_t page = first; page < end; page += STAGE_PAGE)
		stage_invlpg((const void *)(MMIO_VIRT + page));
	return (volatile void *)(MMIO_VIRT + phys);
}

static bool map_direct(uint64_t root, uint64_t base, uint64_t end)
{
	uint64_t first = chain_align_down(base, LARGE_BYTES), last = DIRECT_LIMIT;
	if (first >= DIRECT_LIMIT) /* nobody takes pages there */
		return true;
	if (end < DIRECT_LIMIT && !chain_align_up(end, LARGE_BYTES, &last))
		return false;
	return stage_table_map(root, &heap_pages, KCHAIN_DIRECT_VIRT + first, first, last - first, STAGE_MAP_WRITE);
}

static bool map_image(uint64_t root)
{
	extern const uint8_t stage_text_end[], stage_rodata_start[], stage_boot_text_end[], stage_rodata_end[],
		stage_data_start[], stage_boot_guard[], stage_boot_stack[];
	const struct {
		const uint8_t *start, *end;
		unsigned flags;
	} parts[] = {
		{ stage_image_start, stage_text_end, STAGE_MAP_EXECUTE },
		{ stage_rodata_start, stage_boot_text_end, STAGE_MAP_EXECUTE },
		{ stage_boot_text_end, stage_rodata_end, 0 },
		{ stage_data_start, stage_boot_guard, STAGE_MAP_WRITE },
		{ stage_boot_stack, stage_image_end, STAGE_MAP_WRITE },
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t bytes;
		if (!chain_align_up((uint64_t)(parts[i].end - parts[i].start), STAGE_PAGE, &bytes))
			return false;
		if (!stage_table_map(root, &heap_pages, (uint64_t)parts[i].start, stage_virt_to_phys(parts[i].start),
				     bytes, parts[i].flags))
			return false;
	}
	return true;
}

/* All that the memory map lists, up to the end of the last memory that is or may hold tables of the firmware; the low 1
 * MiB with its BIOS areas; the image and the modules are inside. Address 0 and everything else of the lower half stays
 * unmapped. */
enum chain_status stage_tables_init(const struct chain_bootinfo *info, struct chain_error *err)
{
	enum { LOW_BYTES = 0x100000 };
	uint64_t root = take_page(NULL);
	bool ok = root && map_direct(root, 0, LOW_BYTES) && map_image(root);
	for (size_t i = 0; ok && i < info->mem_count; i++) {
		uint32_t type = info->mem[i].type;
		struct chain_range range = info->mem[i].range;
		if (type == CHAIN_MEM_BAD || type == CHAIN_MEM_PMEM || type == CHAIN_MEM_PMEM_LEGACY)
			continue;
		if (type != CHAIN_MEM_RESERVED ||
		    chain_range_bytes(range) <= 16 * LOW_BYTES) /* large holes are devices' */
			ok = map_direct(root, range.base, range.end);
	}
	if (!ok)
		return chain_fail_no_memory(err, "page tables", STAGE_PAGE);
	stage_cpu()->root_phys = root;
	stage_write_cr3(root);
	stage_pages_see(DIRECT_LIMIT);
	return CHAIN_OK;
}
