/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Multiboot 2 (specification 2.0) as a way to start a kernel: its header. What the kernel is told is made in
 * multiboot2_info.c. */

#include "chain/multiboot2_format.h"
#include "multiboot2.h"

#include <string.h>

extern const struct chain_door chain_door_multiboot2;

enum { HEADER_BYTES = 16, TAG_BYTES = 8, PAGE = 4096 };

/* Section 3.1.1: the first magic with a right checksum. */
static bool find(const uint8_t *file, uint64_t file_bytes, struct chain_reader *out)
{
	uint64_t end = file_bytes < CHAIN_MB2_SEARCH_BYTES ? file_bytes : CHAIN_MB2_SEARCH_BYTES;
	for (uint64_t at = 0; at + HEADER_BYTES <= end; at += CHAIN_MB2_TAG_ALIGN) {
		const uint8_t *h = file + at;
		if (chain_le32(h) != CHAIN_MB2_HEADER_MAGIC ||
		    chain_le32(h) + chain_le32(h + 4) + chain_le32(h + 8) + chain_le32(h + 12))
			continue;
		*out = (struct chain_reader){ h, end - at, NULL };
		return true;
	}
	return false;
}

static bool probe(const uint8_t *file, uint64_t file_bytes)
{
	struct chain_reader header;
	return find(file, file_bytes, &header);
}

static uint64_t tag_least(uint16_t type)
{
	switch (type) {
	case CHAIN_MB2_HEADER_ADDRESS:
	case CHAIN_MB2_HEADER_RELOCATABLE:
		return 24;
	case CHAIN_MB2_HEADER_FRAMEBUFFER:
		return 20;
	case CHAIN_MB2_HEADER_ENTRY:
	case CHAIN_MB2_HEADER_CONSOLE:
		return 12;
	default:
		return TAG_BYTES;
	}
}

static enum chain_status bad_tag(const char *subject, uint64_t at, uint16_t type, uint64_t bytes, const char *why,
				 struct chain_error *err)
{
	return CHAIN_FAIL(err, MB2_TAG, .subject = subject, .detail = why, .type = type, .offset = at, .bytes = bytes);
}

/* A tag that we take no notice of, or can't satisfy. */
static enum chain_status unknown_tag(const char *subject, uint64_t at, uint16_t type, uint16_t flags,
				     struct chain_error *err)
{
	return flags & CHAIN_MB2_TAG_OPTIONAL ?
		       CHAIN_OK :
		       CHAIN_FAIL(err, MB2_REQUIRED, .subject = subject, .type = type, .offset = at);
}

static enum chain_status take_tag(struct mb2_header *out, const uint8_t *tag, uint64_t at, const char *subject,
				  struct chain_error *err)
{
	uint16_t type = chain_le16(tag), flags = chain_le16(tag + 2);
	uint32_t bytes = chain_le32(tag + 4);
	switch (type) {
	case CHAIN_MB2_HEADER_INFO_REQUEST:
		if ((bytes - TAG_BYTES) % sizeof(uint32_t))
			return bad_tag(subject, at, type, bytes, "requests of four bytes each", err);
		if (!(flags & CHAIN_MB2_TAG_OPTIONAL))
			for (uint32_t i = TAG_BYTES; i < bytes; i += sizeof(uint32_t)) {
				uint32_t want = chain_le32(tag + i);
				if (want > MB2_INFO_TAG_LAST)
					return CHAIN_FAIL(err, MB2_REQUEST, .subject = subject, .type = want);
				out->wanted |= 1u << want;
			}
		return CHAIN_OK;
	case CHAIN_MB2_HEADER_ADDRESS:
		out->has_address = true;
		out->header_addr = chain_le32(tag + 8);
		out->load_addr = chain_le32(tag + 12);
		out->load_end_addr = chain_le32(tag + 16);
		out->bss_end_addr = chain_le32(tag + 20);
		return CHAIN_OK;
	case CHAIN_MB2_HEADER_ENTRY:
		out->has_entry = true;
		out->entry_addr = chain_le32(tag + 8);
		return CHAIN_OK;
	case CHAIN_MB2_HEADER_CONSOLE:
		return CHAIN_OK; /* which one there is, the framebuffer's tag says */
	case CHAIN_MB2_HEADER_FRAMEBUFFER:
		out->video = (struct chain_video_request){ true, !chain_le32(tag + 16), chain_le32(tag + 8),
							   chain_le32(tag + 12), chain_le32(tag + 16) };
		return CHAIN_OK;
	case CHAIN_MB2_HEADER_MODULE_ALIGN:
		out->align_modules = true;
		return CHAIN_OK;
	case CHAIN_MB2_HEADER_ENTRY_EFI32:
	case CHAIN_MB2_HEADER_ENTRY_EFI64:
		return CHAIN_OK; /* used where boot services are running, which they never are any more */
	case CHAIN_MB2_HEADER_RELOCATABLE:
		out->relocatable = true;
		out->min_addr = chain_le32(tag + 8);
		out->max_addr = chain_le32(tag + 12);
		out->align = chain_le32(tag + 16);
		out->preference = chain_le32(tag + 20);
		return CHAIN_OK;
	default:
		return unknown_tag(subject, at, type, flags, err);
	}
}

enum chain_status mb2_header_read(const uint8_t *file, uint64_t file_bytes, const char *subject, struct mb2_header *out,
				  struct chain_error *err)
{
	struct chain_reader header;
	*out = (struct mb2_header){ 0 };
	if (!find(file, file_bytes, &header))
		return CHAIN_FAIL(err, MB2_NO_HEADER, .subject = subject, .bytes = CHAIN_MB2_SEARCH_BYTES);
	uint64_t bytes = chain_le32(header.bytes + 8);
	uint32_t seen = 0; /* a bit for each type of tag */
	out->offset = (uint64_t)(header.bytes - file);
	if (chain_le32(header.bytes + 4) != CHAIN_MB2_ARCHITECTURE_I386)
		return CHAIN_FAIL(err, MB2_ARCHITECTURE, .subject = subject,
				  .architecture = chain_le32(header.bytes + 4), .offset = out->offset);
	if (bytes < HEADER_BYTES || bytes > header.count)
		return CHAIN_FAIL(err, MB2_HEADER_CUT, .subject = subject, .offset = out->offset, .bytes = bytes,
				  .left = header.count);
	for (uint64_t at = HEADER_BYTES;;) {
		if (bytes - at < TAG_BYTES) /* the header's end need not be a multiple of 8 */
			return bad_tag(subject, out->offset + at, CHAIN_MB2_HEADER_END, bytes - at, "it is missing",
				       err);
		const uint8_t *tag = header.bytes + at;
		uint16_t type = chain_le16(tag);
		uint64_t tag_bytes = chain_le32(tag + 4);
		if (tag_bytes < tag_least(type) || tag_bytes > bytes - at)
			return bad_tag(subject, out->offset + at, type, tag_bytes, "its size can't be", err);
		bool once = type <= CHAIN_MB2_HEADER_RELOCATABLE && type != CHAIN_MB2_HEADER_INFO_REQUEST;
		if (once && seen >> type & 1)
			return bad_tag(subject, out->offset + at, type, tag_bytes, "there is one before it", err);
		seen |= once ? 1u << type : 0;
		if (type == CHAIN_MB2_HEADER_END)
			return CHAIN_OK;
		enum chain_status status = take_tag(out, tag, out->offset + at, subject, err);
		if (status)
			return status;
		at = door_after(at, tag_bytes, 1);
		at = door_after(at, 0, CHAIN_MB2_TAG_ALIGN);
		if (at > bytes)
			return bad_tag(subject, out->offset + bytes, CHAIN_MB2_HEADER_END, 0, "it is missing", err);
	}
}

/* Section 3.1.5: one segment, loaded by the address tag. load_addr may be 2^32 - 1: the header lies at the file's start
 * then. */
static enum chain_status segment_by_address(const struct mb2_header *h, uint64_t file_bytes, const char *subject,
					    struct chain_kernel *out, struct chain_error *err)
{
	struct chain_segment *segment = &out->segments[0];
	bool from_start = h->load_addr == UINT32_MAX;
	uint64_t before = from_start ? h->offset : (uint64_t)h->header_addr - h->load_addr;
	if (from_start ? h->header_addr < h->offset : h->header_addr < h->load_addr)
		return CHAIN_FAIL(err, MULTIBOOT_HEADER_ADDR, .subject = subject, .header_addr = h->header_addr,
				  .load_addr = h->load_addr);
	if (before > h->offset)
		return CHAIN_FAIL(err, MULTIBOOT_LOAD_ADDR, .subject = subject, .header_addr = h->header_addr,
				  .load_addr = h->load_addr, .below = before, .offset = h->offset);
	uint64_t base = h->header_addr - before, offset = h->offset - before, bytes = file_bytes - offset;
	if (h->load_end_addr) {
		if (h->load_end_addr <= base)
			return CHAIN_FAIL(err, MULTIBOOT_LOAD_END, .subject = subject,
					  .load_end_addr = h->load_end_addr, .load_addr = base);
		if (h->load_end_addr - base > bytes)
			return CHAIN_FAIL(err, MULTIBOOT_LOAD_FILE, .subject = subject,
					  .bytes = h->load_end_addr - base, .offset = offset, .total = file_bytes);
		bytes = h->load_end_addr - base;
	}
	uint64_t end = base + bytes; /* a 32-bit number and a size in memory: no overflow */
	if (h->bss_end_addr && h->bss_end_addr < end)
		return CHAIN_FAIL(err, MULTIBOOT_BSS_END, .subject = subject, .bss_end_addr = h->bss_end_addr,
				  .loaded_end = end);
	end = h->bss_end_addr ? h->bss_end_addr : end;
	*segment = (struct chain_segment){ .phys = { base, end },
					   .virt = { base, end },
					   .file_offset = offset,
					   .file_bytes = bytes,
					   .flags = CHAIN_ELF_PF_R | CHAIN_ELF_PF_W | CHAIN_ELF_PF_X };
	out->segment_count = 1;
	return door_check_low(out, subject, err);
}

/* Section 3.1.13. */
static enum chain_status take_relocation(const struct mb2_header *h, const char *subject, struct chain_kernel *out,
					 struct chain_error *err)
{
	uint64_t align = h->align ? h->align : 1;
	if (!h->relocatable)
		return CHAIN_OK;
	if (align & (align - 1) || h->min_addr > h->max_addr)
		return CHAIN_FAIL(err, MB2_RELOCATION, .subject = subject, .base = h->min_addr, .end = h->max_addr,
				  .align = h->align);
	out->movable = true;
	out->move_align = align < PAGE ? PAGE : align;
	out->move_within = (struct chain_range){ h->min_addr, (uint64_t)h->max_addr + 1 };
	out->move_high = h->preference == CHAIN_MB2_PREFER_HIGH;
	return CHAIN_OK;
}

static enum chain_status read_kernel(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct chain_kernel *out, struct chain_error *err)
{
	struct mb2_header h;
	*out = (struct chain_kernel){ .door = &chain_door_multiboot2,
				      .mode = CHAIN_ENTRY_PROTECTED32,
				      .limit = chain_door_multiboot2.limit };
	enum chain_status status = mb2_header_read(file, file_bytes, subject, &h, err);
	if (status)
		return status;
	if (h.has_address && !h.has_entry) /* section 3.1.5: there is nothing else that would say where it is entered */
		return CHAIN_FAIL(err, MB2_NO_ENTRY, .subject = subject, .offset = h.offset);
	status = h.has_address ? segment_by_address(&h, file_bytes, subject, out, err) :
				 door_read_elf(file, file_bytes, subject, out, err);
	if (status)
		return status;
	if (h.has_entry)
		out->entry = h.entry_addr;
	out->align_modules = h.align_modules;
	out->video = h.video;
	status = door_check_entry(out, subject, err);
	return status ? status : take_relocation(&h, subject, out, err);
}

/* Section 3.3. */
static struct chain_entry entry(const struct chain_kernel *kernel, uint64_t info_phys)
{
	struct chain_entry state = chain_entry_at(kernel->mode, kernel->entry);
	state.registers[CHAIN_RAX] = CHAIN_MB2_ENTRY_MAGIC;
	state.registers[CHAIN_RBX] = info_phys;
	return state;
}

const struct chain_door chain_door_multiboot2 = {
	.name = "multiboot2",
	.title = "Multiboot 2",
	.handoff = CHAIN_HANDOFF_MODULE,
	.limit = CHAIN_4G - 1, /* a module's end is a 32-bit number */
	.probe = probe,
	.read = read_kernel,
	.info_bytes = mb2_info_bytes,
	.info_build = mb2_info_build,
	.entry = entry,
	.texts = mb2_info_texts,
};
