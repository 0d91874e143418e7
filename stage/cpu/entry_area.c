/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/entry_area.h"

#include "stage/boot.h"
#include "stage/pages.h"

static struct stage_entry_area *const areas = (struct stage_entry_area *)KCHAIN_ENTRY_VIRT;

/* The directory, and the table for the first 256 processors, are there: pages of the heap would be a twentieth of a
 * first call. */
static uint64_t take_table(void *ctx)
{
	static uint64_t own[2][STAGE_PAGE / sizeof(uint64_t)] STAGE_BOOT_ONLY
		__attribute__((aligned(4096))); /* zeroed */
	static size_t used;
	(void)ctx;
	return used < sizeof(own) / sizeof(own[0]) ? stage_virt_to_phys(own[used++]) : stage_table_page();
}

struct stage_cpu *stage_entry_area_map(uint32_t number, uint64_t phys)
{
	const struct stage_table_pages pages = { .take = take_table };
	if (!stage_table_map(stage_cpu()->root_phys, &pages, (uint64_t)&areas[number], phys, sizeof(*areas),
			     STAGE_MAP_WRITE))
		return NULL;
	stage_invlpg(areas[number].page);
	stage_invlpg(areas[number].stacks);
	return &areas[number].cpu;
}

bool stage_entry_area_move(void)
{
	struct stage_cpu *cpu = stage_cpu();
	if (cpu == &areas[0].cpu)
		return true;
	cpu = stage_entry_area_map(0, stage_virt_to_phys(cpu));
	if (cpu)
		stage_cpu_move(cpu);
	return cpu;
}

uint64_t stage_entry_area_phys(const struct stage_cpu *cpu)
{
	return stage_table_phys(stage_cpu()->root_phys, (uint64_t)cpu);
}
