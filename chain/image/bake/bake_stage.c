/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage as it goes into an image: what its segments have in the file, behind each other, to be loaded from the base
 * on. Its 32-bit entry finds out where it is, so nothing in its code changes; its Multiboot headers lose the addresses
 * it was linked for, and the ELF headers rule. */
#include "bake_internal.h"

#include "chain/multiboot1_format.h"

#include <stdlib.h>
#include <string.h>

static enum chain_status bad_stage(const struct chain_bake_request *request, const char *what, uint64_t number,
				   struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_BAKE_BAD_STAGE, request->stage_subject, what, number, 0, 0, 0);
}

static uint32_t get32(const uint8_t *at)
{
	return chain_le32(at);
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* Multiboot 1, section 3.1.1: without bit 16 of the flags a loader goes by the ELF headers. In the file a block of
 * ELF headers may come first, so the header has to lie within the next 4 KiB for a loader that looks at the file's
 * first 8 KiB. */
static bool multiboot1_by_elf(uint8_t *bytes, uint64_t count)
{
	enum { MAGIC = 0x1badb002, ADDRESS_FIELDS = 1 << 16, SEARCH = 8192 - BAKE_BLOCK };

	for (uint64_t at = 0; at + 32 <= count && at + 12 <= SEARCH; at += 4) {
		const uint32_t flags = get32(bytes + at + 4);

		if (get32(bytes + at) != MAGIC || (uint32_t)(MAGIC + flags + get32(bytes + at + 8)) != 0)
			continue;
		if (flags & ADDRESS_FIELDS) {
			put32(bytes + at + 4, flags & ~(uint32_t)ADDRESS_FIELDS);
			put32(bytes + at + 8, 0u - (MAGIC + (flags & ~(uint32_t)ADDRESS_FIELDS)));
			memset(bytes + at + 12, 0, 20);
		}
		return true;
	}
	return false;
}

/* Multiboot 2, section 3.1: the address and entry tags become one of a type that nobody has, marked optional. */
static void multiboot2_by_elf(uint8_t *bytes, uint64_t count)
{
	enum {
		MAGIC = (int)0xe85250d6,
		TAG_ADDRESS = 2,
		TAG_ENTRY = 3,
		TAG_NONE = 0x1ffff /* optional, type 0xffff */
	};
	const uint64_t limit = count < 32768 ? count : 32768;

	for (uint64_t at = 0; at + 16 <= limit; at += 8) {
		const uint64_t length = get32(bytes + at + 8);

		if (get32(bytes + at) != (uint32_t)MAGIC || length > limit - at ||
		    (uint32_t)((uint32_t)MAGIC + get32(bytes + at + 4) + length + get32(bytes + at + 12)) != 0)
			continue;
		for (uint64_t tag = at + 16; tag + 8 <= at + length;) {
			const uint32_t type = get32(bytes + tag) & 0xffff;
			const uint64_t size = get32(bytes + tag + 4);

			if (size < 8 || size > at + length - tag)
				return;
			if (type == TAG_ADDRESS || type == TAG_ENTRY) {
				put32(bytes + tag, TAG_NONE);
				memset(bytes + tag + 8, 0, (size_t)size - 8);
			}
			tag += (size + 7) / 8 * 8;
		}
		return;
	}
}

static bool header_find(const uint8_t *bytes, uint64_t count, uint64_t *out)
{
	for (uint64_t at = 0; at + sizeof(struct chain_image_header) <= count && at < CHAIN_IMAGE_SEARCH_BYTES;
	     at += CHAIN_IMAGE_HEADER_ALIGN) {
		if (memcmp(bytes + at, CHAIN_IMAGE_MAGIC, 8) == 0) {
			*out = at;
			return true;
		}
	}
	return false;
}

/* Finds the extent of the segments, moves them, and lays their bytes behind each other; *out_from is the physical base
 * they were linked for. What lies between them in memory is padding up to a page, which a loader leaves out as well. */
static enum chain_status segments_move(const struct chain_bake_request *request, struct bake_stage *stage,
				       uint64_t *out_from, struct chain_error *err)
{
	const uint64_t align = CHAIN_IMAGE_FILE_ALIGN - 1;
	uint64_t low = UINT64_MAX, high = 0, packed = 0;

	for (size_t i = 0; i < stage->segment_count; i++) {
		low = stage->segments[i].phys.base < low ? stage->segments[i].phys.base : low;
		high = stage->segments[i].phys.end > high ? stage->segments[i].phys.end : high;
	}
	if (low % BAKE_BLOCK != 0)
		return bad_stage(request, "it does not begin on a page", low, err);
	if (stage->segments[0].phys.base != low)
		return bad_stage(request, "its first segment is not the lowest", low, err);
	if (high - low > UINT32_MAX - request->base)
		return bad_stage(request, "it is too large", high - low, err);
	for (size_t i = 0; i < stage->segment_count; i++) {
		struct chain_segment *s = &stage->segments[i];
		const uint64_t at = s->phys.base - low, bytes = chain_range_bytes(s->phys);

		s->phys = (struct chain_range){ request->base + at, request->base + at + bytes };
		if (s->file_bytes > 0) /* within the file, apart from the others: no sum of a few of them wraps */
			packed = ((packed + align) & ~align) + s->file_bytes;
	}
	stage->bytes_count = packed;
	stage->memory_bytes = high - low;
	*out_from = low;
	return CHAIN_OK;
}

static enum chain_status headers_check(const struct chain_bake_request *request, struct bake_stage *stage,
				       struct chain_error *err)
{
	struct chain_image_header header;

	if (!header_find(stage->bytes, stage->bytes_count, &stage->header_at))
		return bad_stage(request, "no kchain header in its first bytes", CHAIN_IMAGE_SEARCH_BYTES, err);
	memcpy(&header, stage->bytes + stage->header_at, sizeof(header));
	if (header.version != CHAIN_IMAGE_VERSION)
		return bad_stage(request, "the version of its header is another", header.version, err);
	if (header.manifest_bytes != 0)
		return bad_stage(request, "something is baked into it already", header.manifest_bytes, err);
	if (header.stage_bytes < stage->memory_bytes)
		return bad_stage(request, "its header says less memory than its segments take", header.stage_bytes,
				 err);
	stage->memory_bytes = header.stage_bytes;
	if (!multiboot1_by_elf(stage->bytes, stage->bytes_count))
		return bad_stage(request, "no Multiboot header in its first bytes", 8192 - BAKE_BLOCK, err);
	multiboot2_by_elf(stage->bytes, stage->bytes_count);
	return CHAIN_OK;
}

/* Whether the first bytes that are loaded are the stage's own ELF headers, with room for the image's. */
static bool headers_come_first(const struct chain_elf *elf, const struct bake_stage *stage, uint64_t base,
			       uint64_t *out_bytes)
{
	const uint64_t header = elf->is64 ? 64 : 52, row = elf->is64 ? 56 : 32;

	*out_bytes = header + row * elf->phdr_count; /* chain_elf_open bounded it */
	if (elf->phdrs_offset != header || *out_bytes > BAKE_BLOCK ||
	    *out_bytes < bake_elf_least_bytes(stage->segment_count))
		return false;
	for (size_t i = 0; i < stage->segment_count; i++)
		if (stage->segments[i].phys.base == base)
			return stage->segments[i].file_offset == 0 && stage->segments[i].file_bytes >= *out_bytes;
	return false;
}

static void segments_pack(struct bake_stage *stage, const uint8_t *file)
{
	const uint64_t align = CHAIN_IMAGE_FILE_ALIGN - 1;
	uint64_t at = 0;

	for (size_t i = 0; i < stage->segment_count; i++) {
		struct chain_segment *s = &stage->segments[i];

		if (s->file_bytes == 0) {
			s->file_offset = stage->file_base;
			continue;
		}
		at = (at + align) & ~align;
		memcpy(stage->bytes + at, file + s->file_offset, s->file_bytes);
		s->file_offset = stage->file_base + at;
		at += s->file_bytes;
	}
}

enum chain_status bake_stage_load(const struct chain_bake_request *request, struct bake_stage *out,
				  struct chain_error *err)
{
	const uint8_t *file = request->stage;
	uint64_t entry = 0, from = 0;
	struct chain_elf elf;
	enum chain_status status;

	*out = (struct bake_stage){ .bytes = NULL };
	status = chain_elf_open(&elf, file, request->stage_bytes, request->stage_subject, err);
	if (status == CHAIN_OK)
		status = chain_elf_check_kernel(&elf, err);
	if (status == CHAIN_OK)
		status = chain_elf_segments(&elf, out->segments, CHAIN_SEGMENTS_MAX, &out->segment_count, err);
	if (status == CHAIN_OK)
		status = chain_elf_entry(&elf, out->segments, out->segment_count, &entry, err);
	if (status == CHAIN_OK)
		status = segments_move(request, out, &from, err);
	if (status != CHAIN_OK)
		return status;
	out->entry = entry - from + request->base;
	if (!headers_come_first(&elf, out, request->base, &out->elf_bytes))
		out->file_base = out->elf_bytes = BAKE_BLOCK;
	out->bytes = calloc(1, out->bytes_count + 1);
	if (!out->bytes)
		return chain_fail(err, CHAIN_E_NO_MEMORY, request->stage_subject, NULL, out->bytes_count, 0, 0, 0);
	segments_pack(out, file);
	status = headers_check(request, out, err);
	if (status != CHAIN_OK)
		bake_stage_free(out);
	return status;
}

void bake_stage_free(struct bake_stage *stage)
{
	free(stage->bytes);
	stage->bytes = NULL;
}
