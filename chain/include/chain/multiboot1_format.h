/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the structures of the Multiboot Specification 0.6.96, sections 3.1 to 3.3. Little-endian, C only.
 * Must not know: how they are found, filled in or read. */
#ifndef CHAIN_MULTIBOOT1_FORMAT_H
#define CHAIN_MULTIBOOT1_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_MB1_HEADER_MAGIC 0x1badb002u
#define CHAIN_MB1_ENTRY_MAGIC  0x2badb002u /* in EAX at the kernel's entry */

enum {
	CHAIN_MB1_SEARCH_BYTES = 8192, /* section 3.1: the header lies in the first 8 KiB, on a multiple of 4 */

	/* header flags: bits 0 to 15 are requirements */
	CHAIN_MB1_PAGE_ALIGN = 1 << 0,
	CHAIN_MB1_MEMORY_INFO = 1 << 1,
	CHAIN_MB1_VIDEO_MODE = 1 << 2,
	CHAIN_MB1_REQUIRED_KNOWN = 0x7,
	CHAIN_MB1_REQUIRED_MASK = 0xffff,
	CHAIN_MB1_ADDRESSES = 1 << 16,
	CHAIN_MB1_TEXT_MODE = 1, /* mode_type; 0: a linear framebuffer */

	/* information flags: which fields are valid */
	CHAIN_MB1_INFO_MEMORY = 1 << 0,
	CHAIN_MB1_INFO_CMDLINE = 1 << 2,
	CHAIN_MB1_INFO_MODULES = 1 << 3,
	CHAIN_MB1_INFO_MMAP = 1 << 6,
	CHAIN_MB1_INFO_LOADER = 1 << 9,
	CHAIN_MB1_INFO_FRAMEBUFFER = 1 << 12,
};

/* Section 3.1: the header. The address fields count only with CHAIN_MB1_ADDRESSES, the video fields only with
 * CHAIN_MB1_VIDEO_MODE. */
struct chain_mb1_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	uint32_t mode_type, width, height, depth;
};
static_assert(sizeof(struct chain_mb1_header) == 48, "header");
static_assert(offsetof(struct chain_mb1_header, header_addr) == 12, "header_addr");
static_assert(offsetof(struct chain_mb1_header, entry_addr) == 28, "entry_addr");
static_assert(offsetof(struct chain_mb1_header, mode_type) == 32, "mode_type");

/* Section 3.3: the information structure. */
struct __attribute__((packed)) chain_mb1_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t vbe_control_info, vbe_mode_info;
	uint16_t vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
	uint64_t framebuffer_addr;
	uint32_t framebuffer_pitch, framebuffer_width, framebuffer_height;
	uint8_t framebuffer_bpp, framebuffer_type;
	/* The table of section 3.3 has the colours here; multiboot.h, with which GRUB and kernels are compiled, aligns
	 * them by four. */
	uint8_t table_color[2];
	uint8_t color[6]; /* type 1: position and size of red, green, blue; type 0: palette address and count */
	uint8_t zero[2];
};
enum { CHAIN_MB1_INFO_TABLE_BYTES = 116 }; /* by that table */
static_assert(sizeof(struct chain_mb1_info) == 120, "information structure");
static_assert(offsetof(struct chain_mb1_info, mmap_length) == 44, "mmap_length");
static_assert(offsetof(struct chain_mb1_info, boot_loader_name) == 64, "boot_loader_name");
static_assert(offsetof(struct chain_mb1_info, framebuffer_addr) == 88, "framebuffer_addr");
static_assert(offsetof(struct chain_mb1_info, table_color) == 110 && offsetof(struct chain_mb1_info, color) == 112,
	      "color");

struct chain_mb1_module {
	uint32_t start, end, string, reserved;
};
static_assert(sizeof(struct chain_mb1_module) == 16, "module");

/* `size` does not count itself; the next entry lies size + 4 bytes on. */
struct __attribute__((packed)) chain_mb1_mmap_entry {
	uint32_t size;
	uint64_t base, bytes;
	uint32_t type;
};
static_assert(sizeof(struct chain_mb1_mmap_entry) == 24, "memory map entry");

#endif
