/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The ELF32 file around an image (System V gABI, chapters 4 and 5). ELF32 for i386, though the code inside is 64-bit:
 * QEMU and old loaders refuse an ELF64 Multiboot kernel, and the entry is 32-bit code. Virtual addresses equal physical
 * ones, since loaders that treat them differently do so in different ways. */
#include "bake_internal.h"

#include <elf.h>
#include <string.h>

static_assert(sizeof(Elf32_Ehdr) + (CHAIN_SEGMENTS_MAX + 2) * sizeof(Elf32_Phdr) <= BAKE_BLOCK, "headers fit a block");

static const char NAMES[] = "\0.kchain.stage\0.kchain.manifest\0.kchain.fs\0.shstrtab";
enum { NAME_STAGE = 1, NAME_MANIFEST = 15, NAME_FS = 32, NAME_NAMES = 43, SECTION_COUNT = 5, SECTION_NAMES = 4 };
enum { TABLE_AT = (sizeof(NAMES) + 3) / 4 * 4 };
static_assert(TABLE_AT + SECTION_COUNT * sizeof(Elf32_Shdr) <= BAKE_SECTIONS_MAX, "sections fit their buffer");

/* Everything is loaded to the start of a page, but only the stage's first segment and the filesystem lie on one in the
 * file. */
static uint32_t alignment(uint64_t offset)
{
	return offset % BAKE_BLOCK == 0 ? BAKE_BLOCK : CHAIN_IMAGE_FILE_ALIGN;
}

uint64_t bake_elf_least_bytes(size_t segment_count)
{
	return sizeof(Elf32_Ehdr) + (segment_count + 2) * sizeof(Elf32_Phdr);
}

/* All that is put here was checked to lie below 4 GiB. */
static Elf32_Phdr load(uint64_t offset, uint64_t phys, uint64_t file_bytes, uint64_t memory_bytes, uint32_t flags)
{
	return (Elf32_Phdr){ .p_type = PT_LOAD,
			     .p_offset = (Elf32_Off)offset,
			     .p_vaddr = (Elf32_Addr)phys,
			     .p_paddr = (Elf32_Addr)phys,
			     .p_filesz = (Elf32_Word)file_bytes,
			     .p_memsz = (Elf32_Word)memory_bytes,
			     .p_flags = flags,
			     .p_align = alignment(offset) };
}

static const struct chain_bake_part *last_part(const struct chain_bake_result *layout)
{
	return &layout->parts[CHAIN_BAKE_SECTIONS];
}

void bake_elf_headers(const struct chain_bake_result *layout, const struct bake_stage *stage, uint8_t *out)
{
	const struct chain_image_header *h = &layout->header;
	const struct chain_bake_part *manifest = &layout->parts[CHAIN_BAKE_MANIFEST];
	Elf32_Phdr phdrs[CHAIN_SEGMENTS_MAX + 2];
	size_t count = 0;

	for (; count < stage->segment_count; count++) {
		const struct chain_segment *s = &stage->segments[count];

		phdrs[count] =
			load(s->file_offset, s->phys.base, s->file_bytes, chain_range_bytes(s->phys), s->flags & 7);
	}
	phdrs[count++] = load(manifest->offset, manifest->phys, manifest->bytes, manifest->bytes, PF_R);
	phdrs[count++] = load(h->file_fs, h->base + h->fs_offset, h->fs_bytes, h->fs_memory_bytes, PF_R);

	Elf32_Ehdr ehdr = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = (Elf32_Addr)layout->entry,
		.e_phoff = sizeof(ehdr),
		.e_shoff = (Elf32_Off)(last_part(layout)->offset + TABLE_AT),
		.e_ehsize = sizeof(ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = (Elf32_Half)count,
		.e_shentsize = sizeof(Elf32_Shdr),
		.e_shnum = SECTION_COUNT,
		.e_shstrndx = SECTION_NAMES,
	};
	memcpy(ehdr.e_ident + CHAIN_IMAGE_IDENT_OFFSET, CHAIN_IMAGE_IDENT, CHAIN_IMAGE_IDENT_BYTES);
	memset(out, 0, stage->elf_bytes);
	memcpy(out, &ehdr, sizeof(ehdr));
	memcpy(out + sizeof(ehdr), phdrs, count * sizeof(phdrs[0]));
}

static Elf32_Shdr section(uint32_t name, uint32_t flags, uint64_t phys, uint64_t offset, uint64_t bytes)
{
	return (Elf32_Shdr){ .sh_name = name,
			     .sh_type = SHT_PROGBITS,
			     .sh_flags = flags,
			     .sh_addr = (Elf32_Addr)phys,
			     .sh_offset = (Elf32_Off)offset,
			     .sh_size = (Elf32_Word)bytes,
			     .sh_addralign = alignment(offset) };
}

size_t bake_elf_sections(const struct chain_bake_result *layout, uint8_t out[BAKE_SECTIONS_MAX])
{
	const struct chain_image_header *h = &layout->header;
	const struct chain_bake_part *stage = &layout->parts[CHAIN_BAKE_STAGE],
				     *manifest = &layout->parts[CHAIN_BAKE_MANIFEST];
	const Elf32_Shdr table[SECTION_COUNT] = {
		[1] = section(NAME_STAGE, SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR, stage->phys, stage->offset,
			      stage->bytes),
		[2] = section(NAME_MANIFEST, SHF_ALLOC, manifest->phys, manifest->offset, manifest->bytes),
		[3] = section(NAME_FS, SHF_ALLOC, h->base + h->fs_offset, h->file_fs, h->fs_bytes),
		[SECTION_NAMES] = { .sh_name = NAME_NAMES,
				    .sh_type = SHT_STRTAB,
				    .sh_addralign = 1,
				    .sh_size = sizeof(NAMES),
				    .sh_offset = (Elf32_Off)last_part(layout)->offset },
	};

	memset(out, 0, BAKE_SECTIONS_MAX);
	memcpy(out, NAMES, sizeof(NAMES));
	memcpy(out + TABLE_AT, table, sizeof(table));
	return TABLE_AT + sizeof(table);
}
