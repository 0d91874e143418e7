/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the structures of the PVH boot protocol (Xen's public headers elfnote.h and arch-x86/hvm/start_info.h; version
 * 1). Must not know: how they are found, filled in or read. */
#ifndef CHAIN_PVH_FORMAT_H
#define CHAIN_PVH_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define CHAIN_PVH_MAGIC     0x336ec578u
#define CHAIN_PVH_NOTE_NAME "Xen"
enum { CHAIN_PVH_NOTE_ENTRY = 18, CHAIN_PVH_VERSION = 1 }; /* XEN_ELFNOTE_PHYS32_ENTRY */

struct chain_pvh_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp;
	uint64_t mmap; /* from version 1 on */
	uint32_t mmap_count, reserved;
};
static_assert(sizeof(struct chain_pvh_info) == 56, "start information");

struct chain_pvh_module {
	uint64_t base, bytes, cmdline, reserved;
};
static_assert(sizeof(struct chain_pvh_module) == 32, "module");

struct chain_pvh_mmap_entry {
	uint64_t base, bytes;
	uint32_t type, reserved; /* numbered as E820 has them */
};
static_assert(sizeof(struct chain_pvh_mmap_entry) == 24, "memory map entry");

#endif
