/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: physical memory (who holds which page) and page tables.
 * Must not know: what the memory is for.
 *
 * In a called kernel there is no physical memory to be had: the "physical" addresses of this interface are then
 * virtual ones of its window, phys_to_virt is the identity, and tables and MMIO are not available. */
#ifndef STAGE_PAGES_H
#define STAGE_PAGES_H

#include "chain/bootinfo.h"
#include "chain/range.h"

enum {
	STAGE_PAGE = 4096,
	STAGE_AP_PAGE = 0x8000, /* kept free below 1 MiB: where other processors start (stage/cpu/ap_start.S) */
};

/* Where the memory ends that the entry code's tables show (stage/boot/entry.S). */
#define STAGE_ENTRY_MEMORY_END ((uint64_t)1 << 32)

/* Whole pages wherever there is room, highest first, not zeroed; `align` a power of two. 0 when there is none. */
uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner);
/* The same, and why not: CHAIN_E_NO_SPACE. */
enum chain_status stage_pages_take(uint64_t bytes, uint64_t align, enum chain_owner owner, const char *subject,
				   uint64_t *out_phys, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same for what code or a register of fewer bits has to reach: whole pages below `end`. Not in a called kernel. */
enum chain_status stage_pages_take_below(uint64_t end, uint64_t bytes, enum chain_owner owner, const char *subject,
					 uint64_t *out_phys, struct chain_error *err) CHAIN_MUST_CHECK;
/* Exactly what was allocated. */
void stage_pages_free(uint64_t phys, uint64_t bytes);
/* What these come to where the machine's memory is one's own (stage/runtime/booted.c): whole pages, by claims. */
enum chain_status stage_claims_take(uint64_t bytes, uint64_t align, uint64_t end, enum chain_owner owner,
				    const char *subject, uint64_t *out_phys, struct chain_error *err) CHAIN_MUST_CHECK;
bool stage_claims_free(uint64_t phys, uint64_t bytes);
/* Whom to ask, when no place is found, for memory that is kept only because it might be of use again: one at a time. */
void stage_pages_on_shortage(void (*give_back)(void));
/* Available memory that nobody holds; 0 in a called kernel. */
uint64_t stage_pages_unclaimed(void);
/* All claims of this run: the image, its filesystem, boot modules, the firmware's low memory, the heap. Borrowed. */
struct chain_claims *stage_pages_claims(void);

/* All memory the map lists below the top of RAM is visible at KCHAIN_DIRECT_VIRT. `virt` may also be an address of the
 * image. */
void *stage_phys_to_virt(uint64_t phys);
uint64_t stage_virt_to_phys(const void *virt);

/* The gate to what firmware and loaders left: [phys, phys + bytes), or null where the tables in use do not show all of
 * it. `bytes` at least 1. */
const void *stage_phys_view(uint64_t phys, uint64_t bytes);

/* Device registers, uncached. Asking again for the same gives the same. Null when there is no memory for tables. */
volatile void *stage_mmio_map(uint64_t phys, uint64_t bytes);

/* Page tables (APM 5.3). Mapped memory is readable; the rest must be said. */
enum {
	STAGE_MAP_WRITE = 1,
	STAGE_MAP_EXECUTE = 2,
	STAGE_MAP_UNCACHED = 4,
	STAGE_MAP_SMALL = 8 /* 4 KiB pages only */,
	STAGE_MAP_USER = 16 /* nested tables of guests (APM 15.25.5) */
};
struct stage_table_pages {
	uint64_t (*take)(void *ctx); /* physical address of a zeroed page, 0: none left */
	void *ctx;
};
/* Maps page-aligned [virt, virt+bytes) to phys in the tables at `root_phys`, in 2 MiB pages where both allow. What was
 * mapped there is replaced, except that a 2 MiB page is never split (false). False when `take` gave none. Flushes
 * nothing. */
bool stage_table_map(uint64_t root_phys, const struct stage_table_pages *pages, uint64_t virt, uint64_t phys,
		     uint64_t bytes, unsigned flags);

/* A zeroed page of the heap for a table of the stage's own, which all processors have; 0: none left. */
uint64_t stage_table_page(void);
/* Where a page of 4 KiB that is mapped at `virt` lies; 0: none is. */
uint64_t stage_table_phys(uint64_t root_phys, uint64_t virt);

/* Calls `each` for every page of the range that was written to since the last time (APM 5.4.2: the dirty bit), and
 * forgets it. Flushes nothing: the processor must load its tables anew before it may write there again. */
typedef void stage_dirty_page(void *ctx, uint64_t virt, uint64_t phys, uint64_t bytes);
void stage_table_each_dirty(uint64_t root_phys, uint64_t virt, uint64_t bytes, stage_dirty_page *each, void *ctx);
/* The entries of a range that lies in one table of 4 KiB pages; null: it doesn't. They stay where they are as long as
 * the tables do, so asking them again and again is cheap. */
uint64_t *stage_table_pages_at(uint64_t root_phys, uint64_t virt, uint64_t bytes);
void stage_table_each_dirty_of(uint64_t *entries, uint64_t virt, uint64_t bytes, stage_dirty_page *each, void *ctx);

/* Boot only: takes over the memory map, then builds the final tables and loads them. */
enum chain_status stage_pages_init(const struct chain_bootinfo *info, struct chain_error *err) CHAIN_MUST_CHECK;
/* Tables that show memory up to `end` are in force; until this is called, up to STAGE_ENTRY_MEMORY_END. */
void stage_pages_see(uint64_t end);
enum chain_status stage_tables_init(const struct chain_bootinfo *info, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
