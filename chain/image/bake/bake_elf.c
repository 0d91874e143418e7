/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The ELF file around an image (System V gABI, chapters 4 and 5), of 32 or 64 bits as its form wants it. Virtual
 * addresses equal physical ones, since loaders that treat them differently do so in different ways. All numbers that
 * are put here were checked to lie below 4 GiB. */
#include "bake_internal.h"

#include <elf.h>
#include <string.h>

enum { ROWS_MAX = CHAIN_SEGMENTS_MAX + 3 }; /* the stage's, manifest, filesystem, note */
static_assert(sizeof(Elf64_Ehdr) + ROWS_MAX * sizeof(Elf64_Phdr) <= BAKE_BLOCK, "headers fit a block");

static const char NAMES[] = "\0.kchain.stage\0.kchain.manifest\0.kchain.fs\0.shstrtab";
static const char ROOT_NAME[] = ".kchain.root"; /* behind them, where there is one */
enum { NAME_STAGE = 1, NAME_MANIFEST = 15, NAME_FS = 32, NAME_NAMES = 43, SECTION_COUNT = 5, SECTION_NAMES = 4 };
static_assert((sizeof(NAMES) + sizeof(ROOT_NAME) + 7) / 8 * 8 + (SECTION_COUNT + 1) * sizeof(Elf64_Shdr) <=
		      BAKE_TAIL_MAX,
	      "sections fit their buffer");

static size_t names_bytes(const struct chain_bake_result *layout)
{
	return sizeof(NAMES) + (layout->root.bytes ? sizeof(ROOT_NAME) : 0);
}

/* Where the table begins, behind the names. */
static size_t table_at(const struct chain_bake_result *layout)
{
	return (names_bytes(layout) + 7) / 8 * 8;
}

static size_t section_count(const struct chain_bake_result *layout)
{
	return layout->root.bytes ? SECTION_COUNT + 1 : SECTION_COUNT;
}

static size_t header_bytes(bool is64)
{
	return is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
}
static size_t segment_bytes(bool is64)
{
	return is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}
static size_t section_bytes(bool is64)
{
	return is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

static void put_header(const Elf64_Ehdr *h, bool is64, uint8_t *out)
{
	Elf32_Ehdr narrow = { .e_type = h->e_type,
			      .e_machine = h->e_machine,
			      .e_version = h->e_version,
			      .e_entry = (Elf32_Addr)h->e_entry,
			      .e_phoff = (Elf32_Off)h->e_phoff,
			      .e_shoff = (Elf32_Off)h->e_shoff,
			      .e_ehsize = h->e_ehsize,
			      .e_phentsize = h->e_phentsize,
			      .e_phnum = h->e_phnum,
			      .e_shentsize = h->e_shentsize,
			      .e_shnum = h->e_shnum,
			      .e_shstrndx = h->e_shstrndx };
	memcpy(narrow.e_ident, h->e_ident, sizeof(narrow.e_ident));
	memcpy(out, is64 ? (const void *)h : (const void *)&narrow, header_bytes(is64));
}

static void put_segment(const Elf64_Phdr *p, bool is64, uint8_t *out)
{
	const Elf32_Phdr narrow = { .p_type = p->p_type,
				    .p_offset = (Elf32_Off)p->p_offset,
				    .p_vaddr = (Elf32_Addr)p->p_vaddr,
				    .p_paddr = (Elf32_Addr)p->p_paddr,
				    .p_filesz = (Elf32_Word)p->p_filesz,
				    .p_memsz = (Elf32_Word)p->p_memsz,
				    .p_flags = p->p_flags,
				    .p_align = (Elf32_Word)p->p_align };
	memcpy(out, is64 ? (const void *)p : (const void *)&narrow, segment_bytes(is64));
}

static void put_section(const Elf64_Shdr *s, bool is64, uint8_t *out)
{
	const Elf32_Shdr narrow = { .sh_name = s->sh_name,
				    .sh_type = s->sh_type,
				    .sh_flags = (Elf32_Word)s->sh_flags,
				    .sh_addr = (Elf32_Addr)s->sh_addr,
				    .sh_offset = (Elf32_Off)s->sh_offset,
				    .sh_size = (Elf32_Word)s->sh_size,
				    .sh_addralign = (Elf32_Word)s->sh_addralign };
	memcpy(out, is64 ? (const void *)s : (const void *)&narrow, section_bytes(is64));
}

/* Everything is loaded to the start of a page, but only the stage's first segment and the filesystem lie on one in the
 * file. */
static uint32_t alignment(uint64_t offset)
{
	return offset % BAKE_BLOCK == 0 ? BAKE_BLOCK : CHAIN_IMAGE_FILE_ALIGN;
}

uint64_t bake_elf_least_bytes(size_t row_count, bool is64)
{
	return header_bytes(is64) + row_count * segment_bytes(is64);
}

static Elf64_Phdr load(uint64_t offset, uint64_t phys, uint64_t file_bytes, uint64_t memory_bytes, uint32_t flags)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_offset = offset,
			     .p_vaddr = phys,
			     .p_paddr = phys,
			     .p_filesz = file_bytes,
			     .p_memsz = memory_bytes,
			     .p_flags = flags,
			     .p_align = alignment(offset) };
}

static size_t make_rows(const struct chain_bake_result *layout, const struct bake_stage *stage,
			const struct bake_elf_form *form, Elf64_Phdr rows[ROWS_MAX])
{
	const struct chain_image_header *h = &layout->header;
	const struct chain_bake_part *manifest = &layout->parts[CHAIN_BAKE_MANIFEST];
	const uint64_t note = stage->file_base + stage->note_at;
	size_t count = 0;

	for (; count < stage->segment_count; count++) {
		const struct chain_segment *s = &stage->segments[count];

		rows[count] =
			load(s->file_offset, s->phys.base, s->file_bytes, chain_range_bytes(s->phys), s->flags & 7);
	}
	rows[count++] = load(manifest->offset, manifest->phys, manifest->bytes, manifest->bytes, PF_R);
	rows[count++] = load(h->file_fs, h->base + h->fs_offset, h->fs_bytes, h->fs_memory_bytes, PF_R);
	if (form->note)
		rows[count++] = (Elf64_Phdr){ .p_type = PT_NOTE,
					      .p_offset = note,
					      .p_vaddr = stage->note_phys,
					      .p_paddr = stage->note_phys,
					      .p_filesz = stage->note_bytes,
					      .p_memsz = stage->note_bytes,
					      .p_flags = PF_R,
					      .p_align = BAKE_NOTE_ALIGN };
	return count;
}

void bake_elf_head(const struct chain_bake_result *layout, const struct bake_stage *stage,
		   const struct bake_elf_form *form, uint8_t *out)
{
	const bool is64 = form->is64;
	Elf64_Phdr rows[ROWS_MAX];
	const size_t count = make_rows(layout, stage, form, rows);
	Elf64_Ehdr head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, is64 ? ELFCLASS64 : ELFCLASS32, ELFDATA2LSB,
			     EV_CURRENT, ELFOSABI_NONE },
		.e_type = ET_EXEC,
		.e_machine = is64 ? EM_X86_64 : EM_386,
		.e_version = EV_CURRENT,
		.e_entry = layout->entry,
		.e_phoff = header_bytes(is64),
		.e_shoff = layout->parts[CHAIN_BAKE_SECTIONS].offset + table_at(layout),
		.e_ehsize = (Elf64_Half)header_bytes(is64),
		.e_phentsize = (Elf64_Half)segment_bytes(is64),
		.e_phnum = (Elf64_Half)count,
		.e_shentsize = (Elf64_Half)section_bytes(is64),
		.e_shnum = (Elf64_Half)section_count(layout),
		.e_shstrndx = SECTION_NAMES,
	};

	memcpy(head.e_ident + CHAIN_IMAGE_IDENT_OFFSET, CHAIN_IMAGE_IDENT, CHAIN_IMAGE_IDENT_BYTES);
	memset(out, 0, stage->elf_bytes);
	put_header(&head, is64, out);
	for (size_t i = 0; i < count; i++)
		put_segment(&rows[i], is64, out + header_bytes(is64) + i * segment_bytes(is64));
}

static Elf64_Shdr section(uint32_t name, uint32_t flags, uint64_t phys, uint64_t offset, uint64_t bytes)
{
	return (Elf64_Shdr){ .sh_name = name,
			     .sh_type = SHT_PROGBITS,
			     .sh_flags = flags,
			     .sh_addr = phys,
			     .sh_offset = offset,
			     .sh_size = bytes,
			     .sh_addralign = alignment(offset) };
}

size_t bake_elf_tail(const struct chain_bake_result *layout, const struct bake_elf_form *form,
		     uint8_t out[BAKE_TAIL_MAX])
{
	const struct chain_image_header *h = &layout->header;
	const struct chain_bake_part *stage = &layout->parts[CHAIN_BAKE_STAGE],
				     *manifest = &layout->parts[CHAIN_BAKE_MANIFEST];
	const Elf64_Shdr table[SECTION_COUNT + 1] = {
		[1] = section(NAME_STAGE, SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR, stage->phys, stage->offset,
			      stage->bytes),
		[2] = section(NAME_MANIFEST, SHF_ALLOC, manifest->phys, manifest->offset, manifest->bytes),
		[3] = section(NAME_FS, SHF_ALLOC, h->base + h->fs_offset, h->file_fs, h->fs_bytes),
		[SECTION_NAMES] = { .sh_name = NAME_NAMES,
				    .sh_type = SHT_STRTAB,
				    .sh_addralign = 1,
				    .sh_size = names_bytes(layout),
				    .sh_offset = layout->parts[CHAIN_BAKE_SECTIONS].offset },
		/* a part of the file system, which is loaded: this one only says where it lies in the file */
		[SECTION_COUNT] = section(sizeof(NAMES), 0, 0, layout->root.offset, layout->root.bytes),
	};

	memset(out, 0, BAKE_TAIL_MAX);
	memcpy(out, NAMES, sizeof(NAMES));
	if (layout->root.bytes)
		memcpy(out + sizeof(NAMES), ROOT_NAME, sizeof(ROOT_NAME));
	for (size_t i = 0; i < section_count(layout); i++)
		put_section(&table[i], form->is64, out + table_at(layout) + i * section_bytes(form->is64));
	return table_at(layout) + section_count(layout) * section_bytes(form->is64);
}
