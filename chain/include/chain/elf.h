/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading ELF files for x86 from memory (System V gABI chapters 4 and 5; ELF32 and ELF64, little-endian):
 * the header, program headers, segments to load, the entry point, notes.
 * Must not know: Multiboot, where the file came from, where its segments will go. */
#ifndef CHAIN_ELF_H
#define CHAIN_ELF_H

#include "chain/range.h"
#include "chain/reader.h"

enum {
	CHAIN_ELF_TYPE_EXEC = 2,
	CHAIN_ELF_TYPE_DYN = 3,
	CHAIN_ELF_MACHINE_386 = 3,
	CHAIN_ELF_MACHINE_X86_64 = 62,
	CHAIN_ELF_PT_LOAD = 1,
	CHAIN_ELF_PT_NOTE = 4,
	CHAIN_ELF_PF_X = 1,
	CHAIN_ELF_PF_W = 2,
	CHAIN_ELF_PF_R = 4,
};

/* More segments than this and a kernel is refused (CHAIN_E_ELF_TOO_MANY_SEGMENTS); callers' arrays have this size. */
enum { CHAIN_SEGMENTS_MAX = 32 };

struct chain_elf {
	struct chain_reader reader; /* borrows the file */
	bool is64;
	uint16_t type, machine;
	uint64_t entry; /* as the file says: see chain_elf_entry */
	uint64_t phdrs_offset;
	uint32_t phdr_count; /* the true one, where the header says PN_XNUM */
};

/* One program header, whatever the class. */
struct chain_elf_phdr {
	uint32_t type, flags;
	uint64_t offset, virt, phys, file_bytes, memory_bytes, align;
};

/* A piece of a kernel: `file_bytes` from `file_offset` go to the start of `phys`, the rest of `phys` is zero. */
struct chain_segment {
	struct chain_range phys, virt; /* of equal length; never empty */
	uint64_t file_offset, file_bytes;
	uint32_t flags; /* CHAIN_ELF_PF_* */
};

/* Reads and bounds the header and the table of program headers. Borrows `bytes` and `subject` for the life of *out.
 * Accepts any type and machine; see chain_elf_check_kernel. CHAIN_E_ELF_BAD_MAGIC, _BAD_CLASS, _BAD_ENDIAN,
 * _BAD_VERSION, _TRUNCATED, _BAD_PHENTSIZE, _PHDRS_OUTSIDE; for PN_XNUM _SHDR_OUTSIDE and _BAD_SHENTSIZE. */
enum chain_status chain_elf_open(struct chain_elf *out, const void *bytes, uint64_t bytes_count, const char *subject,
				 struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether it is a program for this machine: CHAIN_E_ELF_BAD_MACHINE, _MACHINE_CLASS (i386 in ELF64), _BAD_TYPE. */
enum chain_status chain_elf_check_kernel(const struct chain_elf *elf, struct chain_error *err) CHAIN_MUST_CHECK;

/* Program header `index`, below phdr_count. Its contents are unchecked. */
void chain_elf_phdr_at(const struct chain_elf *elf, uint32_t index, struct chain_elf_phdr *out);

/* The segments to load (PT_LOAD with memory), in the file's order, into `out[capacity]`. Refuses, with the program
 * header's index: CHAIN_E_ELF_SEGMENT_SIZE (more bytes in the file than in memory), _SEGMENT_FILE (outside the file),
 * _SEGMENT_PHYS_WRAP, _SEGMENT_VIRT_WRAP, _SEGMENTS_OVERLAP (physically; two indices), _TOO_MANY_SEGMENTS,
 * _NO_SEGMENTS. */
enum chain_status chain_elf_segments(const struct chain_elf *elf, struct chain_segment *out, size_t capacity,
				     size_t *out_count, struct chain_error *err) CHAIN_MUST_CHECK;

/* The three above in turn, as every kernel that is loaded by its ELF headers begins. Borrows `bytes` and `subject` for
 * the life of *elf. */
enum chain_status chain_elf_read_kernel(struct chain_elf *elf, const void *bytes, uint64_t bytes_count,
					const char *subject, struct chain_segment out[CHAIN_SEGMENTS_MAX],
					size_t *out_count, struct chain_error *err) CHAIN_MUST_CHECK;

/* The physical entry point. Files differ: an e_entry inside a physical range is taken as physical (so do firmware and
 * QEMU), else as virtual and translated through the segment that has it (GNU Mach). CHAIN_E_ELF_BAD_ENTRY where none
 * has, CHAIN_E_ELF_ENTRY_AMBIGUOUS where two have. */
enum chain_status chain_elf_entry(const struct chain_elf *elf, const struct chain_segment *segments, size_t count,
				  uint64_t *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* Virtual ranges may overlap as far as loading by physical addresses goes (Multiboot, QEMU and GRUB look at those
 * only). Whoever maps the segments where they were linked asks here first: CHAIN_E_ELF_SEGMENTS_VIRT_OVERLAP, with the
 * two segments' numbers. */
enum chain_status chain_elf_check_virtual(const struct chain_elf *elf, const struct chain_segment *segments,
					  size_t count, struct chain_error *err) CHAIN_MUST_CHECK;

/* The first note of that name and type in a PT_NOTE segment: its descriptor, borrowed from the file, 4-aligned relative
 * to the segment. CHAIN_E_ELF_NO_NOTE where there is none, CHAIN_E_ELF_BAD_NOTE or _SEGMENT_FILE where one is
 * malformed. */
enum chain_status chain_elf_find_note(const struct chain_elf *elf, const char *name, uint32_t type,
				      const uint8_t **out_bytes, uint64_t *out_count,
				      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
