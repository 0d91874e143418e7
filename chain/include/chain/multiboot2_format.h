/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the structures of the Multiboot 2 Specification, version 2.0, sections 3.1 (header) and 3.6 (information).
 * Little-endian, C only. Must not know: how they are found, filled in or read.
 *
 * Of Multiboot 1 the specification's own header is used (multiboot1_format.h). GRUB's multiboot2.h has a licence as
 * free (X11), but no Debian package installs it: a build would have to fetch GRUB's source for sixty lines. */
#ifndef CHAIN_MULTIBOOT2_FORMAT_H
#define CHAIN_MULTIBOOT2_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define CHAIN_MB2_HEADER_MAGIC 0xe85250d6u
#define CHAIN_MB2_ENTRY_MAGIC  0x36d76289u /* in EAX at the kernel's entry */

enum {
	CHAIN_MB2_SEARCH_BYTES = 32768, /* section 3.1: the header lies in the first 32 KiB, on a multiple of 8 */
	CHAIN_MB2_ARCHITECTURE_I386 = 0,
	CHAIN_MB2_TAG_ALIGN = 8,
	CHAIN_MB2_TAG_OPTIONAL = 1, /* flag of a header tag */

	/* header tags, sections 3.1.4 to 3.1.13 */
	CHAIN_MB2_HEADER_END = 0,
	CHAIN_MB2_HEADER_INFO_REQUEST = 1,
	CHAIN_MB2_HEADER_ADDRESS = 2,
	CHAIN_MB2_HEADER_ENTRY = 3,
	CHAIN_MB2_HEADER_CONSOLE = 4,
	CHAIN_MB2_HEADER_FRAMEBUFFER = 5,
	CHAIN_MB2_HEADER_MODULE_ALIGN = 6,
	CHAIN_MB2_HEADER_EFI_SERVICES = 7,
	CHAIN_MB2_HEADER_ENTRY_EFI32 = 8,
	CHAIN_MB2_HEADER_ENTRY_EFI64 = 9,
	CHAIN_MB2_HEADER_RELOCATABLE = 10,
	CHAIN_MB2_CONSOLE_REQUIRED = 1,
	CHAIN_MB2_CONSOLE_EGA_TEXT = 2,
	CHAIN_MB2_PREFER_LOW = 1,
	CHAIN_MB2_PREFER_HIGH = 2,

	/* information tags, sections 3.6.2 to 3.6.20 */
	CHAIN_MB2_END = 0,
	CHAIN_MB2_CMDLINE = 1,
	CHAIN_MB2_LOADER = 2,
	CHAIN_MB2_MODULE = 3,
	CHAIN_MB2_MEMORY = 4,
	CHAIN_MB2_MMAP = 6,
	CHAIN_MB2_FRAMEBUFFER = 8,
	CHAIN_MB2_ELF_SECTIONS = 9,
	CHAIN_MB2_EFI64 = 12,
	CHAIN_MB2_SMBIOS = 13,
	CHAIN_MB2_RSDP_OLD = 14,
	CHAIN_MB2_RSDP_NEW = 15,
	CHAIN_MB2_LOAD_BASE = 21,
};

struct chain_mb2_tag {
	uint32_t type, bytes; /* with this header, without the padding to the next tag */
};
static_assert(sizeof(struct chain_mb2_tag) == 8, "tag");

struct chain_mb2_mmap_entry {
	uint64_t base, bytes;
	uint32_t type, reserved;
};
static_assert(sizeof(struct chain_mb2_mmap_entry) == 24, "memory map entry");

/* Section 3.6.12. Two reserved bytes, as multiboot2.h has them; the specification's table has one. */
struct __attribute__((packed)) chain_mb2_framebuffer {
	uint64_t addr;
	uint32_t pitch, width, height;
	uint8_t bpp, type;
	uint16_t reserved;
	uint8_t color[6];
};
static_assert(sizeof(struct chain_mb2_framebuffer) == 30, "framebuffer");

#endif
