/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The page-table builder against a walk of its tables as the processor does it (APM 5.3), and the tables of a booted
 * kernel for memory maps of any kind. */
#include "fake_machine.h"

#include "stage/device_env.h"
#include "stage/pages.h"

#include <cmocka.h>

enum { ARENA_PAGES = 4096, WINDOWS = 3, WINDOW_PAGES = 1536, LARGE_PAGES = 512 };
#define LARGE   ((uint64_t)LARGE_PAGES * STAGE_PAGE)
#define ARENA   UINT64_C(0x7000000) /* physical: where the tables are taken from */
#define IMAGE   UINT64_C(0x200000)
#define ADDRESS UINT64_C(0x000ffffffffff000)

static uint8_t arena[ARENA_PAGES][STAGE_PAGE] __attribute__((aligned(4096)));
static size_t arena_used, arena_room = ARENA_PAGES;
extern const uint8_t stage_rodata_start[], stage_boot_text_end[], stage_rodata_end[], stage_data_start[],
	stage_boot_guard[], stage_boot_stack[];

void *stage_phys_to_virt(uint64_t phys)
{
	if (phys >= ARENA && phys < ARENA + sizeof(arena))
		return (uint8_t *)arena + (phys - ARENA);
	return (void *)(uintptr_t)(KCHAIN_DIRECT_VIRT + phys); /* not to be looked at */
}

uint64_t stage_virt_to_phys(const void *virt)
{
	return IMAGE + (uint64_t)((const uint8_t *)virt - stage_image_start);
}

static uint64_t seen_end;
void stage_pages_see(uint64_t end)
{
	seen_end = end;
}

uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	(void)align;
	(void)owner;
	assert_int_equal(bytes, STAGE_PAGE);
	return arena_used < arena_room ? ARENA + arena_used++ * STAGE_PAGE : 0;
}

static uint64_t take(void *ctx)
{
	uint64_t page = stage_pages_alloc(STAGE_PAGE, STAGE_PAGE, CHAIN_OWNER_HEAP);

	(void)ctx;
	if (page)
		memset(stage_phys_to_virt(page), 0, STAGE_PAGE);
	return page;
}

static const struct stage_table_pages pages = { take, NULL };

static uint64_t fresh_root(void)
{
	arena_used = 0;
	arena_room = ARENA_PAGES;
	return take(NULL);
}

/* --- the processor's way --- */

struct seen {
	uint64_t phys;
	bool mapped, write, execute, uncached, large;
};

static struct seen walk(uint64_t root, uint64_t virt)
{
	struct seen seen = { .write = true, .execute = true };
	uint64_t table = root;

	for (int shift = 39;; shift -= 9) {
		assert_true(table % STAGE_PAGE == 0 && table >= ARENA && table < ARENA + sizeof(arena));
		uint64_t entry = ((const uint64_t *)stage_phys_to_virt(table))[virt >> shift & 511];
		if (!(entry & 1))
			return (struct seen){ 0 };
		seen.write &= entry >> 1 & 1;
		seen.execute &= !(entry >> 63);
		seen.uncached = entry & 16;
		seen.large = shift == 21 && entry & 128;
		assert_true(shift == 21 || shift == 12 || !(entry & 128)); /* nothing larger is made */
		if (shift > 12 && !seen.large) {
			table = entry & ADDRESS;
			continue;
		}
		seen.mapped = true;
		seen.phys = (entry & ADDRESS) + (virt & (seen.large ? LARGE - 1 : STAGE_PAGE - 1));
		assert_true(!seen.large || !(entry & ADDRESS & (LARGE - 1)));
		return seen;
	}
}

/* --- the builder --- */

static const uint64_t windows[WINDOWS] = { 0, KCHAIN_DIRECT_VIRT + 510 * LARGE, KCHAIN_NATIVE_VIRT };
static struct model {
	uint64_t phys;
	unsigned flags;
	bool mapped, large;
} model[WINDOWS][WINDOW_PAGES];

/* What the contract says of one call; false: a large page is in the way. */
static bool expect_map(struct model *m, uint64_t virt, uint64_t phys, uint64_t count, unsigned flags)
{
	for (uint64_t i = 0; i < count;) {
		bool large = !(flags & STAGE_MAP_SMALL) && !((virt | phys) & (LARGE - 1)) && count - i >= LARGE_PAGES;
		if (!large && m[i].large)
			return false;
		for (uint64_t n = large ? LARGE_PAGES : 1; n; n--, i++, virt += STAGE_PAGE, phys += STAGE_PAGE)
			m[i] = (struct model){ phys, flags, true, large };
	}
	return true;
}

static void check_window(uint64_t root, unsigned w)
{
	for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
		struct seen seen = walk(root, windows[w] + i * STAGE_PAGE);
		const struct model *m = &model[w][i];
		assert_int_equal(seen.mapped, m->mapped);
		if (!m->mapped)
			continue;
		assert_int_equal(seen.phys, m->phys);
		assert_int_equal(seen.write, !!(m->flags & STAGE_MAP_WRITE));
		assert_int_equal(seen.execute, !!(m->flags & STAGE_MAP_EXECUTE));
		assert_int_equal(seen.uncached, !!(m->flags & STAGE_MAP_UNCACHED));
		assert_int_equal(seen.large, m->large);
	}
}

static void tables_say_what_was_mapped(void **state)
{
	uint32_t seed = 11;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		uint64_t root = fresh_root();
		memset(model, 0, sizeof(model));
		for (unsigned n = 0; n < 12; n++) {
			uint32_t r[5];
			for (size_t i = 0; i < 5; i++)
				r[i] = (seed = seed * 1664525 + 1013904223) >> 8;
			unsigned w = r[0] % WINDOWS;
			uint64_t first = r[1] % WINDOW_PAGES, phys = (uint64_t)(r[2] % 100000) * STAGE_PAGE;
			if (r[4] % 3) { /* whole large pages are rare by chance */
				first &= ~(uint64_t)(LARGE_PAGES - 1);
				phys &= ~(LARGE - 1);
			}
			uint64_t count = 1 + r[3] % (WINDOW_PAGES - first);
			unsigned flags = r[4] >> 4 & 15;
			bool whole = expect_map(&model[w][first], windows[w] + first * STAGE_PAGE, phys, count, flags);
			assert_int_equal(stage_table_map(root, &pages, windows[w] + first * STAGE_PAGE, phys,
							 count * STAGE_PAGE, flags),
					 whole);
		}
		for (unsigned w = 0; w < WINDOWS; w++)
			check_window(root, w);
		for (unsigned w = 0; w < WINDOWS; w++) /* and nothing beside the windows */
			assert_false(walk(root, windows[w] + WINDOW_PAGES * STAGE_PAGE + LARGE).mapped);
	}
}

static void no_page_for_a_table_is_said(void **state)
{
	(void)state;
	for (size_t room = 1; room < 6; room++) {
		uint64_t root = fresh_root();
		arena_room = room;
		assert_int_equal(stage_table_map(root, &pages, KCHAIN_WINDOW_VIRT, STAGE_PAGE, 600 * STAGE_PAGE, 0),
				 room >= 5);
	}
}

/* --- a booted kernel's --- */

static enum chain_status boot(const struct chain_mem_entry *mem, size_t count)
{
	struct chain_bootinfo info = { .mem = (struct chain_mem_entry *)(uintptr_t)mem, .mem_count = count };

	arena_used = 0;
	arena_room = ARENA_PAGES;
	return stage_tables_init(&info, NULL);
}

static const struct chain_mem_entry usual[] = {
	{ { 0, 0x9fc00 }, CHAIN_MEM_AVAILABLE },
	{ { 0x9fc00, 0xa0000 }, CHAIN_MEM_RESERVED },
	{ { 0x100000, 0x7fe0000 }, CHAIN_MEM_AVAILABLE },
	{ { 0x7fe0000, 0x8000000 }, CHAIN_MEM_RESERVED },
	{ { 0xb0000000, 0xc0000000 }, CHAIN_MEM_RESERVED },
	{ { 0xd0000000, 0xd0001000 }, CHAIN_MEM_BAD },
	{ { 0x100000000, 0x140000000 }, CHAIN_MEM_AVAILABLE },
	{ { 0x140000000, 0x180000000 }, CHAIN_MEM_PMEM },
};

static void image_is_mapped_by_its_parts(void **state)
{
	(void)state;
	assert_int_equal(boot(usual, sizeof(usual) / sizeof(usual[0])), CHAIN_OK);
	uint64_t root = fake_machine.cr3;
	assert_int_equal(fake_machine.cpu.root_phys, root);
	for (const uint8_t *at = stage_image_start; at < stage_image_end; at += STAGE_PAGE) {
		struct seen seen = walk(root, (uint64_t)at);
		bool guard = at >= stage_boot_guard && at < stage_boot_stack;
		assert_int_equal(seen.mapped, !guard);
		if (guard)
			continue;
		assert_int_equal(seen.phys, stage_virt_to_phys(at));
		assert_int_equal(seen.execute, at < stage_boot_text_end);
		assert_int_equal(seen.write, at >= stage_data_start);
	}
}

static void memory_is_visible_and_holes_are_not(void **state)
{
	static const struct {
		uint64_t phys;
		bool visible;
	} places[] = {
		{ 0, true },           { 0xb8000, true },     { 0x7fdf000, true },    { 0x7fff000, true },
		{ 0x8000000, false },  { 0xb0000000, false }, { 0xd0000000, false },  { 0xfee00000, false },
		{ 0x100000000, true }, { 0x13ffff000, true }, { 0x140000000, false },
	};

	(void)state;
	assert_int_equal(boot(usual, sizeof(usual) / sizeof(usual[0])), CHAIN_OK);
	assert_int_equal(seen_end, CHAIN_MEMORY_END);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct seen seen = walk(fake_machine.cr3, KCHAIN_DIRECT_VIRT + places[i].phys);
		assert_int_equal(seen.mapped, places[i].visible);
		assert_true(!seen.mapped || (seen.phys == places[i].phys && seen.write && !seen.execute));
		assert_int_equal(stage_phys_view(places[i].phys, 1) != NULL, places[i].visible);
	}
	assert_false(walk(fake_machine.cr3, 0).mapped); /* a null pointer faults */
	assert_non_null(stage_phys_view(0x100000, 0x7f00000));
	assert_null(stage_phys_view(0x100000, 0x7f00001));
	assert_null(stage_phys_view(0x7fffff0, 17));
	assert_null(stage_phys_view(UINT64_MAX, 1));
	assert_null(stage_phys_view(UINT64_MAX - 10, 100));
	assert_null(stage_phys_view(0, UINT64_MAX));
	assert_null(stage_phys_view(UINT64_C(1) << 45, 1));
	assert_null(stage_phys_view((UINT64_C(1) << 47) + 0x100000, 1)); /* another address's place after wrapping */
}

/* Whatever a loader says: an answer, in bounded time, and the image where it was. */
static void any_memory_map_is_survived(void **state)
{
	static const struct chain_mem_entry wild[][2] = {
		{ { { 0, UINT64_MAX }, CHAIN_MEM_AVAILABLE }, { { 0, 0 }, 0 } },
		{ { { 0x7fff80000000, 0x7fff80400000 }, CHAIN_MEM_AVAILABLE },
		  { { 0x100000, 0x8000000 }, CHAIN_MEM_AVAILABLE } },
		{ { { UINT64_MAX - 100, UINT64_MAX }, CHAIN_MEM_AVAILABLE },
		  { { UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1 }, 99 } },
		{ { { (UINT64_C(1) << 45) - 1, (UINT64_C(1) << 45) + 1 }, CHAIN_MEM_NVS },
		  { { 1, 2 }, CHAIN_MEM_ACPI } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		uint64_t before = fake_machine.cr3;
		enum chain_status status = boot(wild[i], 2);
		assert_int_equal(status, i == 0 ? CHAIN_E_NO_MEMORY : CHAIN_OK);
		if (status) {
			assert_int_equal(fake_machine.cr3, before);
			continue;
		}
		assert_int_equal(walk(fake_machine.cr3, (uint64_t)stage_image_start).phys, IMAGE);
		assert_false(walk(fake_machine.cr3, KCHAIN_STAGE_VIRT).mapped);
		assert_false(walk(fake_machine.cr3, 0).mapped);
	}
}

static void registers_keep_to_their_range(void **state)
{
	volatile void *at;

	(void)state;
	assert_int_equal(boot(usual, sizeof(usual) / sizeof(usual[0])), CHAIN_OK);
	at = stage_mmio_map(0xfebc1004, 0x1000);
	assert_int_equal((uintptr_t)at & 0xfff, 4);
	for (uint64_t page = 0; page < 2; page++) {
		struct seen seen = walk(fake_machine.cr3, ((uintptr_t)at & ~UINT64_C(0xfff)) + page * STAGE_PAGE);
		assert_true(seen.mapped && seen.write && seen.uncached && !seen.execute &&
			    seen.phys == 0xfebc1000 + page * STAGE_PAGE);
	}
	assert_ptr_equal(stage_mmio_map(0xfebc1004, 0x1000), at);
	assert_non_null(stage_mmio_map(STAGE_MMIO_LIMIT - STAGE_PAGE, STAGE_PAGE));
	assert_null(stage_mmio_map(STAGE_MMIO_LIMIT - STAGE_PAGE, STAGE_PAGE + 1));
	assert_null(stage_mmio_map(STAGE_MMIO_LIMIT, 1));
	assert_null(stage_mmio_map(UINT64_C(0x5fff80000000), 4096)); /* would be the stage's own text */
	assert_null(stage_mmio_map(UINT64_MAX - 1, 4));
	assert_null(stage_mmio_map(0xfebc0000, 0));
	arena_room = arena_used;
	assert_null(stage_mmio_map(0x380000000000 >> 4, 4096));
}

static void note_dirty(void *ctx, uint64_t virt, uint64_t phys, uint64_t bytes)
{
	struct {
		unsigned count;
		uint64_t virt, phys, bytes;
	} *seen = ctx;
	seen->count++;
	seen->virt = virt;
	seen->phys = phys;
	seen->bytes = bytes;
}

/* The entries that stage_table_pages_at finds are the ones that a walk finds; each written page is told once. */
static void written_pages_are_reported_once(void **state)
{
	enum { DIRTY = 0x40 };
	const uint64_t large = 2 * 1024 * 1024, virt = KCHAIN_WINDOW_VIRT + large - 4 * STAGE_PAGE;
	struct {
		unsigned count;
		uint64_t virt, phys, bytes;
	} seen = { 0 }, again = { 0 };

	(void)state;
	assert_int_equal(boot(usual, sizeof(usual) / sizeof(usual[0])), CHAIN_OK);
	uint64_t root = fake_machine.cr3;
	assert_true(stage_table_map(root, &pages, virt, 0x400000, 8 * STAGE_PAGE, STAGE_MAP_WRITE | STAGE_MAP_SMALL));
	assert_null(stage_table_pages_at(root, virt, 5 * STAGE_PAGE)); /* in two tables */
	assert_null(stage_table_pages_at(root, virt, 0));
	assert_null(stage_table_pages_at(root, KCHAIN_WINDOW_VIRT + (UINT64_C(1) << 35), STAGE_PAGE)); /* in none */
	assert_null(stage_table_pages_at(root, KCHAIN_DIRECT_VIRT + 0x400000, STAGE_PAGE)); /* a large page */
	uint64_t *entries = stage_table_pages_at(root, virt, 4 * STAGE_PAGE);
	assert_non_null(entries);
	entries[2] |= DIRTY;
	stage_table_each_dirty_of(entries, virt, 2 * STAGE_PAGE, note_dirty, &again);
	assert_int_equal(again.count, 0); /* beyond what was asked for */
	stage_table_each_dirty_of(entries, virt, 4 * STAGE_PAGE, note_dirty, &seen);
	assert_int_equal(seen.count, 1);
	assert_true(seen.virt == virt + 2 * STAGE_PAGE && seen.phys == 0x402000 && seen.bytes == STAGE_PAGE);
	stage_table_each_dirty_of(entries, virt, 4 * STAGE_PAGE, note_dirty, &again);
	assert_int_equal(again.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_pages_are_reported_once),     cmocka_unit_test(tables_say_what_was_mapped),
		cmocka_unit_test(no_page_for_a_table_is_said),         cmocka_unit_test(image_is_mapped_by_its_parts),
		cmocka_unit_test(memory_is_visible_and_holes_are_not), cmocka_unit_test(any_memory_map_is_survived),
		cmocka_unit_test(registers_keep_to_their_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
