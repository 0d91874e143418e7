/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: Multiboot 1 (specification 0.6.96) from both sides: finding and validating a kernel's header and saying which
 * bytes go where; building the information structure for a kernel. boot_read.h reads one.
 * Must not know: where things are placed (plan.h). */
#ifndef CHAIN_MULTIBOOT_H
#define CHAIN_MULTIBOOT_H

#include "chain/bootinfo.h"
#include "chain/door.h"
#include "chain/elf.h"
#include "chain/multiboot1_format.h"

/* A Multiboot 1 kernel, validated. Plain data; borrows nothing. */
struct chain_multiboot_kernel {
	uint64_t header_offset;
	struct multiboot_header header; /* fields that its flags don't call valid are zero */
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	size_t segment_count;
	uint64_t entry; /* physical, inside a segment, below 4 GiB */
};

/* Finds the header (section 3.1): the first magic with a right checksum in the first 8 KiB.
 * CHAIN_E_MULTIBOOT_NO_HEADER; _BAD_CHECKSUM where there was a magic but never with a right sum; _HEADER_CUT;
 * _UNKNOWN_FLAG with the lowest required bit that is not known. */
enum chain_status chain_multiboot_find(const void *bytes, uint64_t bytes_count, const char *subject,
				       uint64_t *out_offset, struct multiboot_header *out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* Finds the header and the segments: by the address fields where flag 16 is set (they win over ELF headers), else by
 * the ELF headers. Errors of chain_multiboot_find and of elf.h, and CHAIN_E_MULTIBOOT_HEADER_ADDR, _LOAD_ADDR,
 * _LOAD_END, _LOAD_FILE, _BSS_END, _BAD_ENTRY, _ABOVE_4G. */
enum chain_status chain_multiboot_kernel_read(struct chain_multiboot_kernel *out, const void *bytes,
					      uint64_t bytes_count, const char *subject,
					      struct chain_error *err) CHAIN_MUST_CHECK;

/* What an information structure shall say. All borrowed. */
struct chain_multiboot_info {
	const char *subject; /* of the kernel, for errors */
	const char *cmdline;
	const char *loader_name;
	const struct chain_door_module *modules;
	size_t module_count;
	const struct chain_mem_entry *mem;
	size_t mem_count;
	struct chain_framebuffer framebuffer; /* phys 0: none */
};

/* The size of the structure with all it points to, one contiguous block. It depends on the strings' lengths and the
 * counts alone, so a place can be found before the modules have one. CHAIN_E_LIMIT. */
enum chain_status chain_multiboot_info_bytes(const struct chain_multiboot_info *info, uint64_t *out,
					     struct chain_error *err) CHAIN_MUST_CHECK;
/* Writes it to `buf`, which has that many bytes, for a block that will lie at physical `phys` (section 3.3: addresses
 * are 32-bit). CHAIN_E_MULTIBOOT_INFO_PLACE, CHAIN_E_MULTIBOOT_MODULE_PLACE above 4 GiB. */
enum chain_status chain_multiboot_info_build(const struct chain_multiboot_info *info, uint64_t phys, void *buf,
					     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
