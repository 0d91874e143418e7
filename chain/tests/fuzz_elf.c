/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as an ELF file. What is accepted lies inside the file and agrees with libelf's reading of
 * it. */
#include "fuzz.h"

#include "chain/elf.h"

#include <gelf.h>

static void check_segments(const struct chain_elf *elf, const struct chain_segment *segments, size_t count)
{
	FUZZ_HOLDS(count > 0 && count <= CHAIN_SEGMENTS_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct chain_segment *s = &segments[i];
		FUZZ_HOLDS(s->phys.base < s->phys.end && s->virt.base < s->virt.end);
		FUZZ_HOLDS(chain_range_bytes(s->phys) == chain_range_bytes(s->virt));
		FUZZ_HOLDS(s->file_bytes <= chain_range_bytes(s->phys));
		FUZZ_HOLDS(!s->file_bytes || chain_reader_has(&elf->reader, s->file_offset, s->file_bytes));
		for (size_t j = 0; j < i; j++)
			FUZZ_HOLDS(!chain_range_overlaps(s->phys, segments[j].phys));
	}
}

static void check_entry(const struct chain_elf *elf, const struct chain_segment *segments, size_t count)
{
	struct chain_error err = { 0 };
	uint64_t entry = 0;
	if (fuzz_status(chain_elf_entry(elf, segments, count, &entry, &err), &err))
		return;
	size_t inside = 0;
	for (size_t i = 0; i < count; i++)
		inside += entry >= segments[i].phys.base && entry < segments[i].phys.end;
	FUZZ_HOLDS(inside == 1);
}

static void check_virtual(const struct chain_elf *elf, const struct chain_segment *segments, size_t count)
{
	struct chain_error err = { 0 };
	enum chain_status status = fuzz_status(chain_elf_check_virtual(elf, segments, count, &err), &err);
	bool overlap = false;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			overlap = overlap || (i != j && segments[i].virt.base >= segments[j].virt.base &&
					      segments[i].virt.base < segments[j].virt.end);
	FUZZ_HOLDS(overlap == (status != CHAIN_OK));
}

static void check_note(const struct chain_elf *elf, const char *name, uint32_t type)
{
	struct chain_error err = { 0 };
	const uint8_t *desc = NULL;
	uint64_t bytes = 0;
	uint8_t sum = 0;
	if (fuzz_status(chain_elf_find_note(elf, name, type, &desc, &bytes, &err), &err))
		return;
	FUZZ_HOLDS(desc &&
		   (!bytes || (desc >= elf->reader.bytes && desc + bytes <= elf->reader.bytes + elf->reader.count)));
	for (uint64_t i = 0; i < bytes; i++)
		sum ^= desc[i];
	__asm__ volatile("" : : "r"(sum));
}

/* PN_XNUM in the header: libelf wants the whole section table to be there before it looks at section header 0 for the
 * count. */
static bool counts_compare(const GElf_Ehdr *header, size_t size)
{
	const struct chain_reader file = { NULL, size, "" };
	return header->e_phnum != PN_XNUM ||
	       (header->e_shnum &&
		chain_reader_has(&file, header->e_shoff, (uint64_t)header->e_shnum * header->e_shentsize));
}

/* The oracle. It refuses files that we take, so only what both take is compared. */
static void check_libelf(const struct chain_elf *elf, const uint8_t *data, size_t size)
{
	char *copy = malloc(size);
	FUZZ_HOLDS(copy && elf_version(EV_CURRENT) != EV_NONE);
	memcpy(copy, data, size);
	Elf *other = elf_memory(copy, size);
	GElf_Ehdr header;
	size_t count = 0;
	if (other && gelf_getehdr(other, &header) && !elf_getphdrnum(other, &count)) {
		FUZZ_HOLDS(header.e_type == elf->type && header.e_machine == elf->machine &&
			   header.e_entry == elf->entry);
		FUZZ_HOLDS(elf->is64 == (gelf_getclass(other) == ELFCLASS64));
		FUZZ_HOLDS(!elf->phdr_count || !count || !counts_compare(&header, size) || count == elf->phdr_count);
		for (size_t i = 0; i < count && i < elf->phdr_count; i++) {
			struct chain_elf_phdr ours;
			GElf_Phdr theirs;
			chain_elf_phdr_at(elf, (uint32_t)i, &ours);
			if (!gelf_getphdr(other, (int)i, &theirs))
				continue;
			FUZZ_HOLDS(ours.type == theirs.p_type && ours.flags == theirs.p_flags &&
				   ours.offset == theirs.p_offset);
			FUZZ_HOLDS(ours.virt == theirs.p_vaddr && ours.phys == theirs.p_paddr &&
				   ours.align == theirs.p_align);
			FUZZ_HOLDS(ours.file_bytes == theirs.p_filesz && ours.memory_bytes == theirs.p_memsz);
		}
	}
	elf_end(other);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_error err = { 0 };
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_elf elf;
	size_t count = 0;

	if (fuzz_status(chain_elf_open(&elf, data, size, "fuzz", &err), &err))
		return 0;
	(void)!fuzz_status(chain_elf_check_kernel(&elf, &err), &err);
	err.status = CHAIN_OK;
	if (!fuzz_status(chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &count, &err), &err)) {
		check_segments(&elf, segments, count);
		check_entry(&elf, segments, count);
		check_virtual(&elf, segments, count);
	}
	check_note(&elf, "GNU", 3);
	check_note(&elf, "kchain", 1);
	check_libelf(&elf, data, size);
	return 0;
}
