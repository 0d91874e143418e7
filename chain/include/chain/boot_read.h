/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading what a boot loader left in memory for the kernel it started: one reader for each protocol by which the
 * stage can be entered (stage/boot/doors.c is the table of them). Nothing that is read is trusted.
 * Must not know: what is done with it, or how memory is reached. */
#ifndef CHAIN_BOOT_READ_H
#define CHAIN_BOOT_READ_H

#include "chain/bootinfo.h"

/* Gives a pointer to [phys, phys + bytes), readable as long as the read lasts, or null where that is no memory.
 * `bytes` is at least 1 and phys + bytes is at most 4 GiB. */
typedef const void *chain_boot_map(void *ctx, uint64_t phys, uint64_t bytes);

/* Limits on what a boot loader may hand over. */
enum { CHAIN_BOOT_STRING_MAX = 65536, CHAIN_BOOT_MODULES_MAX = 4096, CHAIN_BOOT_MMAP_MAX = 1 << 16 };

/* Reads the information structure at `phys` into an initialised bootinfo: loader, cmdline, mem (normalised, never
 * empty), modules, framebuffer, firmware's tables, as far as the protocol has them. acpi_rsdp may be that of a copy in
 * memory that nobody keeps. On failure what was filled in stays, for chain_bootinfo_free.
 * CHAIN_E_MULTIBOOT_INFO_*, CHAIN_E_LIMIT, CHAIN_E_DOOR_TAG, CHAIN_E_NO_MEMORY, CHAIN_E_OVERFLOW. */
typedef enum chain_status chain_boot_reader(uint64_t phys, chain_boot_map *map, void *ctx, struct chain_bootinfo *out,
					    struct chain_error *err);

/* Multiboot 1 (specification 0.6.96, section 3.3). */
chain_boot_reader chain_multiboot1_info_read CHAIN_MUST_CHECK;
/* Multiboot 2 (specification 2.0, section 3.6). */
chain_boot_reader chain_multiboot2_info_read CHAIN_MUST_CHECK;
/* PVH, version 1 of its start information. A module without a string whose first byte is '{' is called the handoff:
 * loaders that know one initial RAM disk (QEMU, Firecracker, Cloud Hypervisor) give no string with it.
 * CHAIN_E_PVH_MAGIC as well. */
chain_boot_reader chain_pvh_info_read CHAIN_MUST_CHECK;

#endif
