/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "doors.h"

#include "boot_layout.h"
#include "chain/multiboot1_format.h"
#include "chain/multiboot2_format.h"
#include "chain/pvh_format.h"

#include <string.h>

static_assert(CHAIN_PVH_MAGIC == BOOT_DOOR_PVH, "as its entry code leaves it");

const struct stage_door stage_doors[] = {
	{ MULTIBOOT_BOOTLOADER_MAGIC, "multiboot1", chain_multiboot1_info_read },
	{ CHAIN_MB2_ENTRY_MAGIC, "multiboot2", chain_multiboot2_info_read },
	{ CHAIN_PVH_MAGIC, "pvh", chain_pvh_info_read },
	{ 0, NULL, NULL },
};

enum chain_status stage_doors_read(uint32_t number, uint64_t phys, chain_boot_map *map, void *ctx,
				   struct chain_bootinfo *out, struct chain_error *err)
{
	const struct stage_door *door = stage_doors;
	while (door->name && door->number != number)
		door++;
	if (!door->name)
		return CHAIN_FAIL(err, DOOR_UNKNOWN, .subject = "boot information", .number = number);
	strcpy(out->door, door->name);
	return door->read(phys, map, ctx, out, err);
}
