/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a Multiboot 2 information structure (specification 2.0, section 3.6). Nothing in it is trusted.
 * Must not know: what is done with it, or how memory is reached. */
#ifndef STAGE_MULTIBOOT2_H
#define STAGE_MULTIBOOT2_H

#include "chain/multiboot.h"

#define STAGE_MULTIBOOT2_MAGIC 0x36d76289u

/* Reads the structure at `phys` into an initialised bootinfo, as chain_multiboot_info_read does. CHAIN_E_MULTIBOOT_INFO_UNREADABLE,
 * CHAIN_E_LIMIT, CHAIN_E_DOOR_TAG, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY where no memory map is in it. */
enum chain_status stage_multiboot2_read(uint64_t phys, chain_multiboot_map *map, void *ctx, struct chain_bootinfo *out,
					struct chain_error *err) CHAIN_MUST_CHECK;

#endif
