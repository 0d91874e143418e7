/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/elf.h"

#include <string.h>

/* gABI chapter 4, "ELF header" and chapter 5, "Program header": offsets of the fields by class. */
enum {
	IDENT_BYTES = 16,
	IDENT_CLASS = 4,
	IDENT_DATA = 5,
	IDENT_VERSION = 6,
	CLASS_32 = 1,
	CLASS_64 = 2,
	DATA_LITTLE = 1,
	VERSION_CURRENT = 1,
	HEADER_TYPE = 16,
	HEADER_MACHINE = 18,
	HEADER_VERSION = 20,
	HEADER_ENTRY = 24,
	PN_XNUM = 0xffff, /* the count is in sh_info of section header 0 */
	NOTE_HEADER_BYTES = 12,
};

struct class_layout {
	uint32_t header_bytes, phdr_bytes, shdr_bytes;
	uint32_t phoff, shoff, phentsize, phnum, shentsize; /* in the header */
	uint32_t sh_info;                                   /* in a section header */
};
static const struct class_layout layouts[2] = {
	{ 52, 32, 40, 28, 32, 42, 44, 46, 28 },
	{ 64, 56, 64, 32, 40, 54, 56, 58, 44 },
};

static const struct class_layout *layout_of(const struct chain_elf *elf)
{
	return &layouts[elf->is64];
}

/* A field as wide as an address of the file's class. */
static uint64_t address_at(const struct chain_elf *elf, const uint8_t *at)
{
	return elf->is64 ? chain_le64(at) : chain_le32(at);
}

static enum chain_status check_ident(const struct chain_reader *file, struct chain_error *err)
{
	static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };
	const uint8_t *at = file->bytes;
	uint8_t start[4] = { 0 };
	if (file->count)
		memcpy(start, at, file->count < 4 ? (size_t)file->count : 4);
	if (memcmp(start, magic, sizeof(magic)) != 0)
		return CHAIN_FAIL(err, ELF_BAD_MAGIC, .subject = file->subject, .magic = chain_le32(start));
	if (!chain_reader_has(file, 0, IDENT_BYTES))
		return CHAIN_FAIL(err, ELF_TRUNCATED, .subject = file->subject, .wanted = IDENT_BYTES,
				  .total = file->count);
	if (at[IDENT_CLASS] != CLASS_32 && at[IDENT_CLASS] != CLASS_64)
		return CHAIN_FAIL(err, ELF_BAD_CLASS, .subject = file->subject, .class = at[IDENT_CLASS]);
	if (at[IDENT_DATA] != DATA_LITTLE)
		return CHAIN_FAIL(err, ELF_BAD_ENDIAN, .subject = file->subject, .encoding = at[IDENT_DATA]);
	if (at[IDENT_VERSION] != VERSION_CURRENT)
		return CHAIN_FAIL(err, ELF_BAD_VERSION, .subject = file->subject, .version = at[IDENT_VERSION]);
	return CHAIN_OK;
}

/* gABI chapter 4, e_phnum: a file with 0xffff program headers or more keeps their number in section header 0. */
static enum chain_status read_extended_count(struct chain_elf *elf, const uint8_t *header, struct chain_error *err)
{
	const struct class_layout *layout = layout_of(elf);
	const struct chain_reader *file = &elf->reader;
	uint64_t shoff = address_at(elf, header + layout->shoff);
	uint16_t shentsize = chain_le16(header + layout->shentsize);
	if (shentsize != layout->shdr_bytes)
		return CHAIN_FAIL(err, ELF_BAD_SHENTSIZE, .subject = file->subject, .bytes = shentsize,
				  .wanted = layout->shdr_bytes);
	if (!shoff || !chain_reader_has(file, shoff, layout->shdr_bytes))
		return CHAIN_FAIL(err, ELF_SHDR_OUTSIDE, .subject = file->subject, .offset = shoff,
				  .total = file->count);
	elf->phdr_count = chain_le32(file->bytes + shoff + layout->sh_info);
	return CHAIN_OK;
}

static enum chain_status read_phdr_table(struct chain_elf *elf, const uint8_t *header, struct chain_error *err)
{
	const struct class_layout *layout = layout_of(elf);
	const struct chain_reader *file = &elf->reader;
	elf->phdrs_offset = address_at(elf, header + layout->phoff);
	elf->phdr_count = chain_le16(header + layout->phnum);
	if (elf->phdr_count == PN_XNUM) {
		enum chain_status status = read_extended_count(elf, header, err);
		if (status)
			return status;
	}
	if (!elf->phdr_count)
		return CHAIN_OK;
	uint16_t phentsize = chain_le16(header + layout->phentsize);
	if (phentsize != layout->phdr_bytes)
		return CHAIN_FAIL(err, ELF_BAD_PHENTSIZE, .subject = file->subject, .bytes = phentsize,
				  .wanted = layout->phdr_bytes);
	if (!chain_reader_has(file, elf->phdrs_offset, (uint64_t)elf->phdr_count * layout->phdr_bytes))
		return CHAIN_FAIL(err, ELF_PHDRS_OUTSIDE, .subject = file->subject, .count = elf->phdr_count,
				  .offset = elf->phdrs_offset, .total = file->count);
	return CHAIN_OK;
}

enum chain_status chain_elf_open(struct chain_elf *out, const void *bytes, uint64_t bytes_count, const char *subject,
				 struct chain_error *err)
{
	struct chain_elf elf = { .reader = { bytes, bytes_count, subject } };
	enum chain_status status = check_ident(&elf.reader, err);
	if (status)
		return status;
	const uint8_t *header = bytes;
	elf.is64 = header[IDENT_CLASS] == CLASS_64;
	if (!chain_reader_has(&elf.reader, 0, layout_of(&elf)->header_bytes))
		return CHAIN_FAIL(err, ELF_TRUNCATED, .subject = subject, .wanted = layout_of(&elf)->header_bytes,
				  .total = bytes_count);
	if (chain_le32(header + HEADER_VERSION) != VERSION_CURRENT)
		return CHAIN_FAIL(err, ELF_BAD_VERSION, .subject = subject,
				  .version = chain_le32(header + HEADER_VERSION));
	elf.type = chain_le16(header + HEADER_TYPE);
	elf.machine = chain_le16(header + HEADER_MACHINE);
	elf.entry = address_at(&elf, header + HEADER_ENTRY);
	status = read_phdr_table(&elf, header, err);
	if (!status)
		*out = elf;
	return status;
}

enum chain_status chain_elf_check_kernel(const struct chain_elf *elf, struct chain_error *err)
{
	const char *subject = elf->reader.subject;
	if (elf->machine != CHAIN_ELF_MACHINE_386 && elf->machine != CHAIN_ELF_MACHINE_X86_64)
		return CHAIN_FAIL(err, ELF_BAD_MACHINE, .subject = subject, .detail = NULL, .machine = elf->machine);
	if (elf->machine == CHAIN_ELF_MACHINE_386 && elf->is64)
		return CHAIN_FAIL(err, ELF_MACHINE_CLASS, .subject = subject, .machine = elf->machine,
				  .class = CLASS_64);
	if (elf->type != CHAIN_ELF_TYPE_EXEC && elf->type != CHAIN_ELF_TYPE_DYN)
		return CHAIN_FAIL(err, ELF_BAD_TYPE, .subject = subject, .type = elf->type);
	return CHAIN_OK;
}

void chain_elf_phdr_at(const struct chain_elf *elf, uint32_t index, struct chain_elf_phdr *out)
{
	const uint8_t *at = elf->reader.bytes + elf->phdrs_offset + (uint64_t)index * layout_of(elf)->phdr_bytes;
	if (elf->is64)
		*out = (struct chain_elf_phdr){
			.type = chain_le32(at),
			.flags = chain_le32(at + 4),
			.offset = chain_le64(at + 8),
			.virt = chain_le64(at + 16),
			.phys = chain_le64(at + 24),
			.file_bytes = chain_le64(at + 32),
			.memory_bytes = chain_le64(at + 40),
			.align = chain_le64(at + 48),
		};
	else
		*out = (struct chain_elf_phdr){
			.type = chain_le32(at),
			.flags = chain_le32(at + 24),
			.offset = chain_le32(at + 4),
			.virt = chain_le32(at + 8),
			.phys = chain_le32(at + 12),
			.file_bytes = chain_le32(at + 16),
			.memory_bytes = chain_le32(at + 20),
			.align = chain_le32(at + 28),
		};
}

/* The end of an address range of the file's class: ELF32 addresses wrap at 4 GiB. */
static bool make_range(const struct chain_elf *elf, uint64_t base, uint64_t bytes, struct chain_range *out)
{
	if (chain_range_make(base, bytes, NULL, out, NULL))
		return false;
	return elf->is64 || out->end <= (uint64_t)UINT32_MAX + 1;
}

static enum chain_status check_file_range(const struct chain_elf *elf, uint32_t index,
					  const struct chain_elf_phdr *phdr, struct chain_error *err)
{
	if (phdr->file_bytes && !chain_reader_has(&elf->reader, phdr->offset, phdr->file_bytes))
		return CHAIN_FAIL(err, ELF_SEGMENT_FILE, .subject = elf->reader.subject, .segment = index,
				  .offset = phdr->offset, .bytes = phdr->file_bytes, .total = elf->reader.count);
	return CHAIN_OK;
}

static enum chain_status make_segment(const struct chain_elf *elf, uint32_t index, const struct chain_elf_phdr *phdr,
				      struct chain_segment *out, struct chain_error *err)
{
	const char *subject = elf->reader.subject;
	if (phdr->file_bytes > phdr->memory_bytes)
		return CHAIN_FAIL(err, ELF_SEGMENT_SIZE, .subject = subject, .segment = index,
				  .file_bytes = phdr->file_bytes, .memory_bytes = phdr->memory_bytes);
	enum chain_status status = check_file_range(elf, index, phdr, err);
	if (status)
		return status;
	if (!make_range(elf, phdr->phys, phdr->memory_bytes, &out->phys))
		return CHAIN_FAIL(err, ELF_SEGMENT_PHYS_WRAP, .subject = subject, .segment = index, .base = phdr->phys,
				  .bytes = phdr->memory_bytes);
	if (!make_range(elf, phdr->virt, phdr->memory_bytes, &out->virt))
		return CHAIN_FAIL(err, ELF_SEGMENT_VIRT_WRAP, .subject = subject, .segment = index, .base = phdr->virt,
				  .bytes = phdr->memory_bytes);
	out->file_offset = phdr->offset;
	out->file_bytes = phdr->file_bytes;
	out->flags = phdr->flags;
	return CHAIN_OK;
}

/* `indices` are the program headers that the segments came from, for the message. */
static enum chain_status check_overlap(const struct chain_elf *elf, const struct chain_segment *segments,
				       const uint32_t *indices, size_t last, struct chain_error *err)
{
	for (size_t i = 0; i < last; i++) {
		struct chain_range a = segments[i].phys, b = segments[last].phys;
		if (!chain_range_overlaps(a, b))
			continue;
		return CHAIN_FAIL(err, ELF_SEGMENTS_OVERLAP, .subject = elf->reader.subject, .first = indices[i],
				  .second = indices[last], .base = a.base > b.base ? a.base : b.base,
				  .end = a.end < b.end ? a.end : b.end);
	}
	return CHAIN_OK;
}

enum chain_status chain_elf_segments(const struct chain_elf *elf, struct chain_segment *out, size_t capacity,
				     size_t *out_count, struct chain_error *err)
{
	uint32_t indices[CHAIN_SEGMENTS_MAX];
	size_t count = 0;
	if (capacity > CHAIN_SEGMENTS_MAX)
		capacity = CHAIN_SEGMENTS_MAX;
	for (uint32_t i = 0; i < elf->phdr_count; i++) {
		struct chain_elf_phdr phdr;
		chain_elf_phdr_at(elf, i, &phdr);
		if (phdr.type != CHAIN_ELF_PT_LOAD || (!phdr.memory_bytes && !phdr.file_bytes))
			continue;
		if (count == capacity)
			return CHAIN_FAIL(err, ELF_TOO_MANY_SEGMENTS, .subject = elf->reader.subject,
					  .limit = capacity);
		indices[count] = i;
		enum chain_status status = make_segment(elf, i, &phdr, &out[count], err);
		if (!status)
			status = check_overlap(elf, out, indices, count, err);
		if (status)
			return status;
		count++;
	}
	if (!count)
		return CHAIN_FAIL(err, ELF_NO_SEGMENTS, .subject = elf->reader.subject, .count = elf->phdr_count);
	*out_count = count;
	return CHAIN_OK;
}

enum chain_status chain_elf_read_kernel(struct chain_elf *elf, const void *bytes, uint64_t bytes_count,
					const char *subject, struct chain_segment out[CHAIN_SEGMENTS_MAX],
					size_t *out_count, struct chain_error *err)
{
	enum chain_status status = chain_elf_open(elf, bytes, bytes_count, subject, err);
	if (!status)
		status = chain_elf_check_kernel(elf, err);
	return status ? status : chain_elf_segments(elf, out, CHAIN_SEGMENTS_MAX, out_count, err);
}

enum chain_status chain_elf_entry(const struct chain_elf *elf, const struct chain_segment *segments, size_t count,
				  uint64_t *out, struct chain_error *err)
{
	for (size_t i = 0; i < count; i++)
		if (elf->entry >= segments[i].phys.base && elf->entry < segments[i].phys.end) {
			*out = elf->entry;
			return CHAIN_OK;
		}
	size_t found = count;
	for (size_t i = 0; i < count; i++) {
		if (elf->entry < segments[i].virt.base || elf->entry >= segments[i].virt.end)
			continue;
		if (found < count)
			return CHAIN_FAIL(err, ELF_ENTRY_AMBIGUOUS, .subject = elf->reader.subject, .entry = elf->entry,
					  .first = found, .second = i);
		found = i;
	}
	if (found == count)
		return CHAIN_FAIL(err, ELF_BAD_ENTRY, .subject = elf->reader.subject, .entry = elf->entry);
	*out = segments[found].phys.base + (elf->entry - segments[found].virt.base);
	return CHAIN_OK;
}

enum chain_status chain_elf_check_virtual(const struct chain_elf *elf, const struct chain_segment *segments,
					  size_t count, struct chain_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			struct chain_range a = segments[j].virt, b = segments[i].virt;
			if (chain_range_overlaps(a, b))
				return CHAIN_FAIL(err, ELF_SEGMENTS_VIRT_OVERLAP, .subject = elf->reader.subject,
						  .first = j, .second = i, .base = a.base > b.base ? a.base : b.base,
						  .end = a.end < b.end ? a.end : b.end);
		}
	return CHAIN_OK;
}

/* What is looked for, and where it was found. */
struct note_search {
	const char *name;
	uint32_t type;
	const uint8_t *desc; /* null until it is found */
	uint64_t desc_bytes;
};

/* gABI chapter 5, "Note section": name and descriptor are padded to 4 bytes, to 8 in segments of that alignment. The
 * last one's padding may be missing. */
static enum chain_status search_notes(const struct chain_elf *elf, uint32_t index, const struct chain_elf_phdr *phdr,
				      struct note_search *search, struct chain_error *err)
{
	const uint8_t *notes = elf->reader.bytes + phdr->offset;
	uint64_t align = phdr->align == 8 ? 8 : 4, name_bytes = strlen(search->name) + 1;
	for (uint64_t at = 0; phdr->file_bytes - at >= NOTE_HEADER_BYTES;) {
		uint64_t namesz = chain_le32(notes + at), descsz = chain_le32(notes + at + 4), left, name_end, next;
		uint32_t type = chain_le32(notes + at + 8);
		left = phdr->file_bytes - at;
		/* The sums are of 32-bit numbers and cannot overflow. */
		name_end = (NOTE_HEADER_BYTES + namesz + align - 1) & ~(align - 1);
		if (NOTE_HEADER_BYTES + namesz > left || (descsz && name_end + descsz > left))
			return CHAIN_FAIL(err, ELF_BAD_NOTE, .subject = elf->reader.subject, .segment = index,
					  .offset = phdr->offset + at, .bytes = name_end + descsz - left);
		if (type == search->type && namesz == name_bytes &&
		    memcmp(notes + at + NOTE_HEADER_BYTES, search->name, (size_t)name_bytes) == 0) {
			search->desc = descsz ? notes + at + name_end : (const uint8_t *)"";
			search->desc_bytes = descsz;
			return CHAIN_OK;
		}
		next = (name_end + descsz + align - 1) & ~(align - 1);
		if (next >= left)
			return CHAIN_OK;
		at += next;
	}
	return CHAIN_OK;
}

enum chain_status chain_elf_find_note(const struct chain_elf *elf, const char *name, uint32_t type,
				      const uint8_t **out_bytes, uint64_t *out_count, struct chain_error *err)
{
	struct note_search search = { .name = name, .type = type };
	for (uint32_t i = 0; i < elf->phdr_count; i++) {
		struct chain_elf_phdr phdr;
		chain_elf_phdr_at(elf, i, &phdr);
		if (phdr.type != CHAIN_ELF_PT_NOTE || !phdr.file_bytes)
			continue;
		enum chain_status status = check_file_range(elf, i, &phdr, err);
		if (!status)
			status = search_notes(elf, i, &phdr, &search, err);
		if (status)
			return status;
		if (search.desc) {
			*out_bytes = search.desc;
			*out_count = search.desc_bytes;
			return CHAIN_OK;
		}
	}
	return CHAIN_FAIL(err, ELF_NO_NOTE, .subject = elf->reader.subject, .detail = name, .type = type);
}
