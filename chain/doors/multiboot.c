/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/multiboot.h"

#include "doors.h"

#include <string.h>

enum {
	HEADER_PLAIN_BYTES = 12,
	HEADER_ADDRESS_BYTES = 32,
	HEADER_VIDEO_BYTES = 48,
};

/* How much of the header the flags make part of it (section 3.1). */
static uint64_t header_bytes(uint32_t flags)
{
	if (flags & MULTIBOOT_VIDEO_MODE)
		return HEADER_VIDEO_BYTES;
	return flags & MULTIBOOT_AOUT_KLUDGE ? HEADER_ADDRESS_BYTES : HEADER_PLAIN_BYTES;
}

static void copy_header(const uint8_t *at, uint32_t flags, struct multiboot_header *out)
{
	*out = (struct multiboot_header){ .magic = chain_le32(at), .flags = flags, .checksum = chain_le32(at + 8) };
	if (flags & MULTIBOOT_AOUT_KLUDGE) {
		out->header_addr = chain_le32(at + offsetof(struct multiboot_header, header_addr));
		out->load_addr = chain_le32(at + offsetof(struct multiboot_header, load_addr));
		out->load_end_addr = chain_le32(at + offsetof(struct multiboot_header, load_end_addr));
		out->bss_end_addr = chain_le32(at + offsetof(struct multiboot_header, bss_end_addr));
		out->entry_addr = chain_le32(at + offsetof(struct multiboot_header, entry_addr));
	}
	if (flags & MULTIBOOT_VIDEO_MODE) {
		out->mode_type = chain_le32(at + offsetof(struct multiboot_header, mode_type));
		out->width = chain_le32(at + offsetof(struct multiboot_header, width));
		out->height = chain_le32(at + offsetof(struct multiboot_header, height));
		out->depth = chain_le32(at + offsetof(struct multiboot_header, depth));
	}
}

/* A header whose sum is right: complete, and asking for nothing that we don't know? */
static enum chain_status accept_header(const struct chain_reader *area, uint64_t offset, struct multiboot_header *out,
				       struct chain_error *err)
{
	const uint8_t *at = area->bytes + offset;
	uint32_t flags = chain_le32(at + 4);
	uint32_t unknown = flags & CHAIN_MB1_REQUIRED_MASK & ~(uint32_t)CHAIN_MB1_REQUIRED_KNOWN;
	if (unknown)
		return CHAIN_FAIL(err, MULTIBOOT_UNKNOWN_FLAG, .subject = area->subject,
				  .bit = (uint64_t)__builtin_ctz(unknown), .flags = flags, .offset = offset);
	if (!chain_reader_has(area, offset, header_bytes(flags)))
		return CHAIN_FAIL(err, MULTIBOOT_HEADER_CUT, .subject = area->subject, .offset = offset,
				  .wanted = header_bytes(flags), .bytes = area->count - offset);
	copy_header(at, flags, out);
	return CHAIN_OK;
}

enum chain_status chain_multiboot_find(const void *bytes, uint64_t bytes_count, const char *subject,
				       uint64_t *out_offset, struct multiboot_header *out, struct chain_error *err)
{
	struct chain_reader area = { bytes, bytes_count, subject };
	const uint8_t *start = bytes;
	uint64_t wrong = UINT64_MAX; /* the first magic with a wrong sum */
	if (area.count > MULTIBOOT_SEARCH)
		area.count = MULTIBOOT_SEARCH;
	for (uint64_t at = 0; at + HEADER_PLAIN_BYTES <= area.count; at += 4) {
		if (chain_le32(start + at) != MULTIBOOT_HEADER_MAGIC)
			continue;
		if (MULTIBOOT_HEADER_MAGIC + chain_le32(start + at + 4) + chain_le32(start + at + 8) != 0) {
			wrong = wrong == UINT64_MAX ? at : wrong;
			continue;
		}
		*out_offset = at;
		return accept_header(&area, at, out, err);
	}
	if (wrong != UINT64_MAX)
		return CHAIN_FAIL(err, MULTIBOOT_BAD_CHECKSUM, .subject = subject, .offset = wrong,
				  .flags = chain_le32(start + wrong + 4), .checksum = chain_le32(start + wrong + 8));
	return CHAIN_FAIL(err, MULTIBOOT_NO_HEADER, .subject = subject, .bytes = MULTIBOOT_SEARCH);
}

/* Which bytes of the file the address fields load: [*offset, *offset + *bytes). */
static enum chain_status address_file_range(const struct chain_multiboot_kernel *kernel, uint64_t file_bytes,
					    const char *subject, uint64_t *offset, uint64_t *bytes,
					    struct chain_error *err)
{
	const struct multiboot_header *header = &kernel->header;
	if (header->header_addr < header->load_addr)
		return CHAIN_FAIL(err, MULTIBOOT_HEADER_ADDR, .subject = subject, .header_addr = header->header_addr,
				  .load_addr = header->load_addr);
	uint64_t before = header->header_addr - header->load_addr;
	if (before > kernel->header_offset)
		return CHAIN_FAIL(err, MULTIBOOT_LOAD_ADDR, .subject = subject, .header_addr = header->header_addr,
				  .load_addr = header->load_addr, .below = before, .offset = kernel->header_offset);
	*offset = kernel->header_offset - before;
	*bytes = file_bytes - *offset;
	if (!header->load_end_addr)
		return CHAIN_OK;
	if (header->load_end_addr <= header->load_addr)
		return CHAIN_FAIL(err, MULTIBOOT_LOAD_END, .subject = subject, .load_end_addr = header->load_end_addr,
				  .load_addr = header->load_addr);
	uint64_t wanted = header->load_end_addr - header->load_addr;
	if (wanted > *bytes)
		return CHAIN_FAIL(err, MULTIBOOT_LOAD_FILE, .subject = subject, .bytes = wanted, .offset = *offset,
				  .total = file_bytes);
	*bytes = wanted;
	return CHAIN_OK;
}

/* Section 3.1.2: one segment, loaded by the address fields. */
static enum chain_status segments_by_address(struct chain_multiboot_kernel *kernel, uint64_t file_bytes,
					     const char *subject, struct chain_error *err)
{
	const struct multiboot_header *header = &kernel->header;
	struct chain_segment *segment = &kernel->segments[0];
	uint64_t offset = 0, bytes = 0;
	enum chain_status status = address_file_range(kernel, file_bytes, subject, &offset, &bytes, err);
	if (status)
		return status;
	uint64_t load_end = header->load_addr + bytes; /* a 32-bit number and a size in memory: no overflow */
	if (header->bss_end_addr && header->bss_end_addr < load_end)
		return CHAIN_FAIL(err, MULTIBOOT_BSS_END, .subject = subject, .bss_end_addr = header->bss_end_addr,
				  .loaded_end = load_end);
	uint64_t end = header->bss_end_addr ? header->bss_end_addr : load_end;
	if (header->entry_addr < header->load_addr || header->entry_addr >= end)
		return CHAIN_FAIL(err, MULTIBOOT_BAD_ENTRY, .subject = subject, .entry_addr = header->entry_addr,
				  .base = header->load_addr, .end = end);
	*segment = (struct chain_segment){
		.phys = { header->load_addr, end },
		.virt = { header->load_addr, end },
		.file_offset = offset,
		.file_bytes = bytes,
		.flags = CHAIN_ELF_PF_R | CHAIN_ELF_PF_W | CHAIN_ELF_PF_X,
	};
	kernel->segment_count = 1;
	kernel->entry = header->entry_addr;
	return CHAIN_OK;
}

static enum chain_status segments_by_elf(struct chain_multiboot_kernel *kernel, const void *bytes, uint64_t bytes_count,
					 const char *subject, struct chain_error *err)
{
	struct chain_elf elf;
	enum chain_status status =
		chain_elf_read_kernel(&elf, bytes, bytes_count, subject, kernel->segments, &kernel->segment_count, err);
	if (!status)
		status = chain_elf_entry(&elf, kernel->segments, kernel->segment_count, &kernel->entry, err);
	return status;
}

enum chain_status chain_multiboot_kernel_read(struct chain_multiboot_kernel *out, const void *bytes,
					      uint64_t bytes_count, const char *subject, struct chain_error *err)
{
	enum chain_status status =
		chain_multiboot_find(bytes, bytes_count, subject, &out->header_offset, &out->header, err);
	if (status)
		return status;
	status = out->header.flags & MULTIBOOT_AOUT_KLUDGE ? segments_by_address(out, bytes_count, subject, err) :
							     segments_by_elf(out, bytes, bytes_count, subject, err);
	if (status)
		return status;
	for (size_t i = 0; i < out->segment_count; i++)
		if (out->segments[i].phys.end > CHAIN_4G)
			return CHAIN_FAIL(err, KERNEL_ABOVE_4G, .subject = subject, .segment = i,
					  .base = out->segments[i].phys.base, .end = out->segments[i].phys.end);
	return CHAIN_OK;
}
