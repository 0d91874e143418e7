/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the library needs of the Multiboot Specification 0.6.96, sections 3.1 to 3.3, beside the structures and
 * constants of the specification's own header, which Debian's package `multiboot` installs; and that these lie as the
 * specification says. Little-endian. Must not know: how they are found, filled in or read. */
#ifndef CHAIN_MULTIBOOT1_FORMAT_H
#define CHAIN_MULTIBOOT1_FORMAT_H

#include <assert.h>
#include <multiboot/multiboot.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHAIN_MB1_REQUIRED_KNOWN = MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO | MULTIBOOT_VIDEO_MODE,
	CHAIN_MB1_REQUIRED_MASK = 0xffff, /* section 3.1.2: bits 0 to 15 of a header's flags are requirements */
	CHAIN_MB1_TEXT_MODE = 1,          /* mode_type of a header; 0: a linear framebuffer */
};

static_assert(sizeof(struct multiboot_header) == 48, "header");
static_assert(offsetof(struct multiboot_header, header_addr) == 12, "header_addr");
static_assert(offsetof(struct multiboot_header, entry_addr) == 28, "entry_addr");
static_assert(offsetof(struct multiboot_header, mode_type) == 32, "mode_type");

/* Section 3.3: the information structure. Where a framebuffer's type is RGB, six bytes say how its colours lie. The
 * table of that section has them behind the type; multiboot.h, with which GRUB and kernels are compiled, aligns them by
 * four. */
enum {
	CHAIN_MB1_COLORS_AT = 112,
	CHAIN_MB1_TABLE_COLORS_AT = 110,
	CHAIN_MB1_INFO_TABLE_BYTES = 116, /* of the whole structure by that table */
};
static_assert(sizeof(struct multiboot_info) == 120, "information structure");
static_assert(offsetof(struct multiboot_info, mods_addr) == 24, "mods_addr");
static_assert(offsetof(struct multiboot_info, mmap_length) == 44, "mmap_length");
static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "boot_loader_name");
static_assert(offsetof(struct multiboot_info, framebuffer_addr) == 88, "framebuffer_addr");
static_assert(offsetof(struct multiboot_info, framebuffer_type) == 109, "framebuffer_type");
static_assert(offsetof(struct multiboot_info, framebuffer_red_field_position) == CHAIN_MB1_COLORS_AT, "colours");
static_assert(offsetof(struct multiboot_info, framebuffer_palette_addr) == CHAIN_MB1_COLORS_AT, "palette");

static_assert(sizeof(struct multiboot_mod_list) == 16, "module");

/* An entry's `size` does not count itself; the next entry lies size + 4 bytes on. */
static_assert(sizeof(struct multiboot_mmap_entry) == 24, "memory map entry");
static_assert(offsetof(struct multiboot_mmap_entry, addr) == 4, "memory map entry's base");

#endif
