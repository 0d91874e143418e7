/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* ELF: exact refusals, truncation at each length, libelf as the oracle on this machine's own files, whole and damaged.
 */
#include "chain/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILES_PER_PATTERN = 150, DAMAGES = 40, FILE_MAX = 4 << 20 };

/* A small kernel of either class: two segments and a note. */
struct file64 {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	Elf64_Shdr s[1];
	struct {
		uint32_t namesz, descsz, type;
		char name[8];
		uint32_t desc;
	} note;
	uint8_t text[32], data[16];
};
struct file32 {
	Elf32_Ehdr e;
	Elf32_Phdr p[3];
	uint8_t text[32], data[16];
};

static struct file64 good64(void)
{
	struct file64 f = {
		.e = { .e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 },
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = 1,
		       .e_entry = 0xffffffff80000004,
		       .e_phoff = offsetof(struct file64, p),
		       .e_shoff = offsetof(struct file64, s),
		       .e_ehsize = 64,
		       .e_phentsize = 56,
		       .e_phnum = 3,
		       .e_shentsize = 64,
		       .e_shnum = 1 },
		.p = { { PT_LOAD, PF_R | PF_X, offsetof(struct file64, text), 0xffffffff80000000, 0x100000, 32, 32,
			 16 },
		       { PT_LOAD, PF_R | PF_W, offsetof(struct file64, data), 0xffffffff80001000, 0x101000, 16, 64,
			 16 },
		       { PT_NOTE, PF_R, offsetof(struct file64, note), 0, 0, 24, 24, 4 } },
		.note = { 7, 4, 1, "KCHAIN", 0xabcd },
	};
	return f;
}

static struct file32 good32(void)
{
	struct file32 f = {
		.e = { .e_ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 },
		       .e_type = ET_EXEC,
		       .e_machine = EM_386,
		       .e_version = 1,
		       .e_entry = 0x100004,
		       .e_phoff = offsetof(struct file32, p),
		       .e_ehsize = 52,
		       .e_phentsize = 32,
		       .e_phnum = 2 },
		.p = { { PT_LOAD, offsetof(struct file32, text), 0x100000, 0x100000, 32, 32, PF_R | PF_X, 16 },
		       { PT_LOAD, offsetof(struct file32, data), 0x101000, 0x101000, 16, 64, PF_R | PF_W, 16 } },
	};
	return f;
}

/* What a kernel's loader does with a file. */
static enum chain_status load(const void *bytes, uint64_t count, struct chain_segment *segments, size_t *segment_count,
			      uint64_t *entry, struct chain_error *err)
{
	struct chain_elf elf;
	enum chain_status status = chain_elf_open(&elf, bytes, count, "t", err);
	if (!status)
		status = chain_elf_check_kernel(&elf, err);
	if (!status)
		status = chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, segment_count, err);
	if (!status)
		status = chain_elf_entry(&elf, segments, *segment_count, entry, err);
	return status;
}

static void expect(const void *bytes, uint64_t count, enum chain_status want)
{
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_error err = { 0 };
	size_t n = 0;
	uint64_t entry;
	enum chain_status status = load(bytes, count, segments, &n, &entry, &err);
	assert_string_equal(chain_status_slug(status), chain_status_slug(want));
	assert_int_equal(err.status, want);
}

static void good_files_load(void **state)
{
	(void)state;
	struct file64 f = good64();
	struct file32 g = good32();
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	size_t n = 0;
	uint64_t entry = 0;
	assert_int_equal(load(&f, sizeof(f), segments, &n, &entry, NULL), CHAIN_OK);
	assert_int_equal(n, 2);
	assert_int_equal(entry, 0x100004); /* virtual, translated */
	assert_int_equal(segments[1].phys.end, 0x101040);
	assert_int_equal(segments[1].file_bytes, 16);
	assert_int_equal(segments[0].flags, CHAIN_ELF_PF_R | CHAIN_ELF_PF_X);
	f.e.e_entry = 0x100008; /* physical as it is */
	assert_int_equal(load(&f, sizeof(f), segments, &n, &entry, NULL), CHAIN_OK);
	assert_int_equal(entry, 0x100008);
	assert_int_equal(load(&g, sizeof(g), segments, &n, &entry, NULL), CHAIN_OK);
	assert_int_equal(entry, 0x100004);
	assert_int_equal(segments[1].virt.base, 0x101000);
}

/* Each row changes one field of the good ELF64 file. */
struct change {
	size_t offset, bytes;
	uint64_t value;
	enum chain_status want;
};
#define E(field)    offsetof(struct file64, e.field), sizeof(((struct file64 *)0)->e.field)
#define P(i, field) offsetof(struct file64, p[i].field), sizeof(((struct file64 *)0)->p[i].field)
static const struct change changes[] = {
	{ 0, 1, 0x7e, CHAIN_E_ELF_BAD_MAGIC },
	{ 4, 1, 0, CHAIN_E_ELF_BAD_CLASS },
	{ 4, 1, 3, CHAIN_E_ELF_BAD_CLASS },
	{ 5, 1, 2, CHAIN_E_ELF_BAD_ENDIAN },
	{ 6, 1, 0, CHAIN_E_ELF_BAD_VERSION },
	{ E(e_version), 2, CHAIN_E_ELF_BAD_VERSION },
	{ E(e_type), ET_REL, CHAIN_E_ELF_BAD_TYPE },
	{ E(e_type), ET_CORE, CHAIN_E_ELF_BAD_TYPE },
	{ E(e_type), ET_DYN, CHAIN_OK },
	{ E(e_machine), EM_AARCH64, CHAIN_E_ELF_BAD_MACHINE },
	{ E(e_machine), EM_386, CHAIN_E_ELF_MACHINE_CLASS },
	{ E(e_phentsize), 55, CHAIN_E_ELF_BAD_PHENTSIZE },
	{ E(e_phnum), 0, CHAIN_E_ELF_NO_SEGMENTS },
	{ E(e_phnum), 500, CHAIN_E_ELF_PHDRS_OUTSIDE },
	{ E(e_phoff), UINT64_MAX - 8, CHAIN_E_ELF_PHDRS_OUTSIDE },
	{ E(e_entry), 0x200000, CHAIN_E_ELF_BAD_ENTRY },
	{ E(e_entry), 0x100020, CHAIN_E_ELF_BAD_ENTRY },
	{ P(0, p_filesz), 33, CHAIN_E_ELF_SEGMENT_SIZE },
	{ P(1, p_memsz), 15, CHAIN_E_ELF_SEGMENT_SIZE },
	{ P(0, p_offset), sizeof(struct file64) - 31, CHAIN_E_ELF_SEGMENT_FILE },
	{ P(0, p_offset), UINT64_MAX, CHAIN_E_ELF_SEGMENT_FILE },
	{ P(1, p_paddr), UINT64_MAX - 62, CHAIN_E_ELF_SEGMENT_PHYS_WRAP },
	{ P(1, p_vaddr), UINT64_MAX - 62, CHAIN_E_ELF_SEGMENT_VIRT_WRAP },
	{ P(1, p_paddr), 0x10001f, CHAIN_E_ELF_SEGMENTS_OVERLAP },
	{ P(1, p_paddr), 0x100020, CHAIN_OK },
	{ P(1, p_paddr), 0x100000 - 63, CHAIN_E_ELF_SEGMENTS_OVERLAP },
	{ P(1, p_type), PT_NULL, CHAIN_OK },
};

static void refusals_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct file64 f = good64();
		memcpy((uint8_t *)&f + changes[i].offset, &changes[i].value, changes[i].bytes);
		expect(&f, sizeof(f), changes[i].want);
	}
	struct file32 g = good32();
	g.p[1].p_paddr = 0xffffffe0; /* ends above 4 GiB: ELF32 addresses wrap there */
	expect(&g, sizeof(g), CHAIN_E_ELF_SEGMENT_PHYS_WRAP);
	expect("#!/bin/sh\n", 10, CHAIN_E_ELF_BAD_MAGIC);
	expect("", 0, CHAIN_E_ELF_BAD_MAGIC);
	expect(NULL, 0, CHAIN_E_ELF_BAD_MAGIC);
}

static void errors_carry_numbers(void **state)
{
	(void)state;
	struct file64 f = good64();
	struct chain_elf elf;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_error err = { 0 };
	size_t n;
	f.p[1].p_paddr = 0x100010;
	assert_int_equal(chain_elf_open(&elf, &f, sizeof(f), "k", &err), CHAIN_OK);
	assert_int_equal(chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &n, &err),
			 CHAIN_E_ELF_SEGMENTS_OVERLAP);
	char line[256];
	chain_error_format(&err, line, sizeof(line));
	assert_string_equal(line, "k: segments 0 and 1 overlap in memory at 0x100010 to 0x100020");
	chain_error_clear(&err);
	f = good64();
	assert_int_equal(chain_elf_segments(&elf, segments, 1, &n, &err), CHAIN_E_ELF_TOO_MANY_SEGMENTS);
}

static void extended_counts_are_followed(void **state)
{
	(void)state;
	struct file64 f = good64();
	f.e.e_phnum = PN_XNUM;
	f.s[0].sh_info = 3;
	expect(&f, sizeof(f), CHAIN_OK);
	f.s[0].sh_info = UINT32_MAX;
	expect(&f, sizeof(f), CHAIN_E_ELF_PHDRS_OUTSIDE);
	f.e.e_shoff = sizeof(f) - 63;
	expect(&f, sizeof(f), CHAIN_E_ELF_SHDR_OUTSIDE);
	f.e.e_shoff = 0;
	expect(&f, sizeof(f), CHAIN_E_ELF_SHDR_OUTSIDE);
	f.e.e_shentsize = 40;
	expect(&f, sizeof(f), CHAIN_E_ELF_BAD_SHENTSIZE);
}

static enum chain_status find_note(const struct file64 *f, const char *name, uint32_t type, const uint8_t **desc,
				   uint64_t *bytes)
{
	struct chain_elf elf;
	assert_int_equal(chain_elf_open(&elf, f, sizeof(*f), "k", NULL), CHAIN_OK);
	return chain_elf_find_note(&elf, name, type, desc, bytes, NULL);
}

static void notes_are_found(void **state)
{
	(void)state;
	struct file64 f = good64();
	const uint8_t *desc;
	uint64_t bytes;
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_OK);
	assert_ptr_equal(desc, &f.note.desc);
	assert_int_equal(bytes, 4);
	assert_int_equal(find_note(&f, "KCHAIN", 2, &desc, &bytes), CHAIN_E_ELF_NO_NOTE);
	assert_int_equal(find_note(&f, "KCHAI", 1, &desc, &bytes), CHAIN_E_ELF_NO_NOTE);
	assert_int_equal(find_note(&f, "KCHAINS", 1, &desc, &bytes), CHAIN_E_ELF_NO_NOTE);
	f.note.descsz = 5;
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_E_ELF_BAD_NOTE);
	f.note.descsz = UINT32_MAX;
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_E_ELF_BAD_NOTE);
	f.note.descsz = 4;
	f.note.namesz = UINT32_MAX;
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_E_ELF_BAD_NOTE);
	f.note.namesz = 7;
	f.p[2].p_filesz = 11; /* less than a note's header: nothing there */
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_E_ELF_NO_NOTE);
	f.p[2].p_offset = sizeof(f);
	assert_int_equal(find_note(&f, "KCHAIN", 1, &desc, &bytes), CHAIN_E_ELF_SEGMENT_FILE);
}

/* A heap copy of exactly `count` bytes, so that the sanitizer sees a read past its end. */
static void cut_at_every_length(const void *file, size_t whole)
{
	for (size_t count = 0; count < whole; count++) {
		struct chain_segment segments[CHAIN_SEGMENTS_MAX];
		size_t n = 0;
		uint64_t entry;
		uint8_t *cut = malloc(count ? count : 1);
		memcpy(cut, file, count);
		assert_int_not_equal(load(cut, count, segments, &n, &entry, NULL), CHAIN_OK);
		free(cut);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	struct file64 f = good64();
	struct file32 g = good32();
	cut_at_every_length(&f, sizeof(f));
	cut_at_every_length(&g, sizeof(g));
}

/* Compares with libelf: same header, same program headers. Returns whether both could read the file. */
static bool agrees_with_libelf(uint8_t *bytes, size_t count)
{
	struct chain_elf ours;
	GElf_Ehdr header;
	size_t phnum = 0;
	enum chain_status status = chain_elf_open(&ours, bytes, count, "f", NULL);
	Elf *theirs = elf_memory((char *)bytes, count);
	if (status || !theirs || !gelf_getehdr(theirs, &header) || elf_getphdrnum(theirs, &phnum)) {
		elf_end(theirs);
		return false;
	}
	assert_int_equal(ours.type, header.e_type);
	assert_int_equal(ours.machine, header.e_machine);
	assert_int_equal(ours.entry, header.e_entry);
	/* libelf may see fewer where the table leaves the file; we have refused that. */
	assert_int_equal(ours.phdr_count, phnum);
	for (uint32_t i = 0; i < ours.phdr_count; i++) {
		struct chain_elf_phdr mine;
		GElf_Phdr p;
		chain_elf_phdr_at(&ours, i, &mine);
		if (!gelf_getphdr(theirs, (int)i, &p))
			break;
		assert_int_equal(mine.type, p.p_type);
		assert_int_equal(mine.flags, p.p_flags);
		assert_true(mine.offset == p.p_offset && mine.virt == p.p_vaddr && mine.phys == p.p_paddr);
		assert_true(mine.file_bytes == p.p_filesz && mine.memory_bytes == p.p_memsz && mine.align == p.p_align);
	}
	elf_end(theirs);
	return true;
}

static uint8_t *read_file(const char *path, size_t *count)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return NULL;
	uint8_t *bytes = malloc(FILE_MAX);
	*count = fread(bytes, 1, FILE_MAX, file);
	fclose(file);
	return realloc(bytes, *count ? *count : 1);
}

static uint64_t seed = 0x9e3779b97f4a7c15u;
static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* Damages header and program headers at random: nothing may be read out of bounds, and both readers still see the same.
 */
static void try_damaged(uint8_t *bytes, size_t count)
{
	size_t area = count < 1024 ? count : 1024;
	for (unsigned i = 0; i < DAMAGES && area; i++) {
		size_t at = rnd(area);
		uint8_t old = bytes[at];
		struct chain_segment segments[CHAIN_SEGMENTS_MAX];
		struct chain_elf elf;
		size_t n = 0;
		uint64_t entry, note_bytes;
		const uint8_t *note;
		bytes[at] = (uint8_t)rnd(256);
		agrees_with_libelf(bytes, count);
		if (!load(bytes, count, segments, &n, &entry, NULL))
			for (size_t s = 0; s < n; s++)
				assert_true(segments[s].file_offset + segments[s].file_bytes <= count ||
					    !segments[s].file_bytes);
		if (!chain_elf_open(&elf, bytes, count, "f", NULL) &&
		    !chain_elf_find_note(&elf, "GNU", 3, &note, &note_bytes, NULL))
			assert_true(note >= bytes && note + note_bytes <= bytes + count);
		bytes[at] = old;
	}
}

static void libelf_agrees_on_real_files(void **state)
{
	(void)state;
	static const char *const patterns[] = { "/bin/*", "/usr/lib/x86_64-linux-gnu/*.so*", "/usr/lib/grub/*/*.mod",
						"/usr/lib/grub/*/*.module", "/boot/*.exec" };
	unsigned files = 0;
	elf_version(EV_CURRENT);
	for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++) {
		glob_t found = { 0 };
		if (glob(patterns[p], 0, NULL, &found))
			continue;
		size_t step = found.gl_pathc / FILES_PER_PATTERN + 1;
		for (size_t i = 0; i < found.gl_pathc; i += step) {
			size_t count = 0;
			uint8_t *bytes = read_file(found.gl_pathv[i], &count);
			if (bytes && agrees_with_libelf(bytes, count)) {
				files++;
				try_damaged(bytes, count);
			}
			free(bytes);
		}
		globfree(&found);
	}
	print_message("%u files compared with libelf\n", files);
	if (!files)
		skip();
}

/* Physical ranges decide where a kernel is loaded; virtual ones only where an entry point is meant, and what can be
 * mapped. */
static void virtual_overlap_matters_where_it_is_used(void **state)
{
	(void)state;
	struct file64 f = good64();
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_error err = { 0 };
	struct chain_elf elf;
	size_t count = 0;
	uint64_t entry = 0;
	f.p[1].p_vaddr = f.p[0].p_vaddr + 8;
	assert_int_equal(load(&f, sizeof(f), segments, &count, &entry, NULL),
			 CHAIN_OK); /* the entry is in the first alone */
	assert_int_equal(entry, 0x100004);
	assert_int_equal(chain_elf_open(&elf, &f, sizeof(f), "t", NULL), CHAIN_OK);
	assert_int_equal(chain_elf_check_virtual(&elf, segments, count, &err), CHAIN_E_ELF_SEGMENTS_VIRT_OVERLAP);
	assert_int_equal(err.number[0], 0);
	assert_int_equal(err.number[1], 1);
	assert_true(err.number[2] == 0xffffffff80000008 && err.number[3] == 0xffffffff80000020);
	chain_error_clear(&err);
	f.e.e_entry = 0xffffffff8000000c;
	assert_int_equal(load(&f, sizeof(f), segments, &count, &entry, &err), CHAIN_E_ELF_ENTRY_AMBIGUOUS);
	assert_true(err.number[0] == 0xffffffff8000000c && err.number[1] == 0 && err.number[2] == 1);
	f.e.e_entry = 0x101000;
	assert_int_equal(load(&f, sizeof(f), segments, &count, &entry, NULL), CHAIN_OK); /* a physical entry is plain */
	f.p[1].p_vaddr = f.p[0].p_vaddr + 32;
	assert_int_equal(load(&f, sizeof(f), segments, &count, &entry, NULL), CHAIN_OK);
	assert_int_equal(chain_elf_check_virtual(&elf, segments, count, NULL), CHAIN_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files_load),
		cmocka_unit_test(refusals_are_exact),
		cmocka_unit_test(errors_carry_numbers),
		cmocka_unit_test(virtual_overlap_matters_where_it_is_used),
		cmocka_unit_test(extended_counts_are_followed),
		cmocka_unit_test(notes_are_found),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(libelf_agrees_on_real_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
