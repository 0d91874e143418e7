/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The stage as it goes into an image: what its segments have in the file, behind each other, to be loaded from the base
 * on. Its 32-bit entry finds out where it is, so nothing in its code changes; what its headers say of addresses does,
 * as the form of the image wants it (containers.c). */
#include "bake_internal.h"

#include "chain/pvh_format.h"

#include <stdlib.h>
#include <string.h>

enum chain_status bake_stage_bad(const struct chain_bake_request *request, const char *what, uint64_t number,
				 struct chain_error *err)
{
	return CHAIN_FAIL(err, BAKE_BAD_STAGE, .subject = request->stage_subject, .detail = what, .value = number);
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
		return bake_stage_bad(request, "it does not begin on a page", low, err);
	if (stage->segments[0].phys.base != low)
		return bake_stage_bad(request, "its first segment is not the lowest", low, err);
	if (high - low > UINT32_MAX - request->base)
		return bake_stage_bad(request, "it is too large", high - low, err);
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
		return bake_stage_bad(request, "no kchain header in its first bytes", CHAIN_IMAGE_SEARCH_BYTES, err);
	memcpy(&header, stage->bytes + stage->header_at, sizeof(header));
	if (header.version != CHAIN_IMAGE_VERSION)
		return bake_stage_bad(request, "the version of its header is another", header.version, err);
	if (header.manifest_bytes != 0)
		return bake_stage_bad(request, "something is baked into it already", header.manifest_bytes, err);
	if (header.stage_bytes < stage->memory_bytes)
		return bake_stage_bad(request, "its header says less memory than its segments take", header.stage_bytes,
				      err);
	stage->memory_bytes = header.stage_bytes;
	return CHAIN_OK;
}

/* Whether the first bytes that are loaded are the stage's own ELF headers, with room for the image's. */
static bool headers_come_first(const struct chain_elf *elf, const struct bake_stage *stage,
			       const struct bake_container *container, uint64_t base, uint64_t *out_bytes)
{
	const uint64_t header = elf->is64 ? 64 : 52, row = elf->is64 ? 56 : 32;

	*out_bytes = header + row * elf->phdr_count; /* chain_elf_open bounded it */
	if (elf->phdrs_offset != header || *out_bytes > BAKE_BLOCK ||
	    *out_bytes < container->head_bytes(stage->segment_count))
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

/* Finds the note with the PVH entry point in the file, and where it comes to lie. */
static void note_find(const struct chain_elf *elf, const uint8_t *file, struct bake_stage *stage)
{
	enum { HEAD = 12 + sizeof(CHAIN_PVH_NOTE_NAME) }; /* the name's bytes are a multiple of 4 */
	const uint8_t *desc;
	uint64_t bytes, packed = 0;

	if (chain_elf_find_note(elf, CHAIN_PVH_NOTE_NAME, CHAIN_PVH_NOTE_ENTRY, &desc, &bytes, NULL) ||
	    bytes != sizeof(uint64_t))
		return;
	const uint64_t at = (uint64_t)(desc - file) - HEAD;

	for (size_t i = 0; i < stage->segment_count; i++) {
		const struct chain_segment *s = &stage->segments[i];

		if (s->file_bytes == 0)
			continue;
		packed = (packed + CHAIN_IMAGE_FILE_ALIGN - 1) & ~(uint64_t)(CHAIN_IMAGE_FILE_ALIGN - 1);
		if (at >= s->file_offset && at - s->file_offset < s->file_bytes &&
		    s->file_bytes - (at - s->file_offset) >= HEAD + bytes) {
			stage->note_at = packed + (at - s->file_offset);
			stage->note_phys = s->phys.base + (at - s->file_offset);
			stage->note_bytes = HEAD + bytes;
			return;
		}
		packed += s->file_bytes;
	}
}

/* Its entry point moves as the segments do. */
static enum chain_status note_move(const struct chain_bake_request *request, struct bake_stage *stage, uint64_t from,
				   struct chain_error *err)
{
	if (stage->note_bytes == 0)
		return CHAIN_OK;
	uint8_t *desc = stage->bytes + stage->note_at + stage->note_bytes - sizeof(uint64_t);
	const uint64_t linked = chain_le64(desc), entry = linked - from + request->base;

	for (size_t i = 0; i < stage->segment_count; i++)
		if (entry >= stage->segments[i].phys.base && entry < stage->segments[i].phys.end) {
			memcpy(desc, &entry, sizeof(entry));
			return CHAIN_OK;
		}
	return bake_stage_bad(request, "its PVH entry point lies in no segment", linked, err);
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
	if (!status)
		status = chain_elf_check_kernel(&elf, err);
	if (!status)
		status = chain_elf_segments(&elf, out->segments, CHAIN_SEGMENTS_MAX, &out->segment_count, err);
	if (!status)
		status = chain_elf_entry(&elf, out->segments, out->segment_count, &entry, err);
	if (!status)
		status = segments_move(request, out, &from, err);
	if (status)
		return status;
	out->entry = entry - from + request->base;
	const struct bake_container *container = bake_container_named(request->format);

	if (!container)
		return chain_fail_text(err, CHAIN_E_BAKE_FORMAT, request->name ? request->name : "image",
				       request->format);
	if (!headers_come_first(&elf, out, container, request->base, &out->elf_bytes))
		out->file_base = out->elf_bytes = BAKE_BLOCK;
	out->bytes = calloc(1, out->bytes_count + 1);
	if (!out->bytes)
		return chain_fail_no_memory(err, request->stage_subject, out->bytes_count);
	note_find(&elf, file, out);
	segments_pack(out, file);
	status = headers_check(request, out, err);
	if (!status)
		status = note_move(request, out, from, err);
	if (!status)
		status = container->adapt(request, out, err);
	if (status)
		bake_stage_free(out);
	return status;
}

void bake_stage_free(struct bake_stage *stage)
{
	free(stage->bytes);
	stage->bytes = NULL;
}
