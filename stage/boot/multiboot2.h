/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a Multiboot 2 information structure (specification 2.0, section 3.6). Nothing in it is trusted.
 * Must not know: what is done with it, or how memory is reached. */
#ifndef STAGE_MULTIBOOT2_H
#define STAGE_MULTIBOOT2_H

#include "chain/multiboot.h"

#define STAGE_MULTIBOOT2_MAGIC 0x36d76289u

/* Reads the structure at `phys` into an initialised bootinfo, as chain_multiboot_info_read does. acpi_rsdp is then
 * where the structure has a copy of the RSDP, which lies in memory that nobody keeps.
 * CHAIN_E_MULTIBOOT_INFO_UNREADABLE, CHAIN_E_LIMIT, CHAIN_E_DOOR_TAG, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY where no memory
 * map is in it. */
enum chain_status stage_multiboot2_read(uint64_t phys, chain_multiboot_map *map, void *ctx, struct chain_bootinfo *out,
					struct chain_error *err) CHAIN_MUST_CHECK;

/* To be called next: leaves in acpi_rsdp a place that lasts, or 0. The original, where it is in a BIOS area. Where the
 * structure names the EFI system table, 0: it is found from there. Else the copy, whose pages are made the firmware's
 * in the memory map, for this kernel and all later ones. CHAIN_E_NO_MEMORY. */
enum chain_status stage_multiboot2_keep_rsdp(struct chain_bootinfo *info, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
