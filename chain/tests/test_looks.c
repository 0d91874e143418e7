/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Files that can't be started: each is called what it is. */
#include "chain/door.h"
#include "chain/image.h"
#include "random.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FILE_BYTES = 65536, TEXT = 0x1000 };

static uint8_t file[FILE_BYTES];

static void put(size_t at, const void *bytes, size_t count)
{
	memcpy(file + at, bytes, count);
}
static void put32(size_t at, uint32_t value)
{
	put(at, &value, 4);
}

/* An ELF64 program for x86-64 with a segment to load, and, where `type` says so, one more of `bytes`. */
static void make_elf(uint32_t type, const void *bytes, size_t count)
{
	const Elf64_Ehdr head = { .e_ident = "\177ELF\2\1\1",
				  .e_type = ET_EXEC,
				  .e_machine = EM_X86_64,
				  .e_version = 1,
				  .e_entry = 0x100000,
				  .e_phoff = 64,
				  .e_ehsize = 64,
				  .e_phentsize = 56,
				  .e_phnum = type ? 2 : 1 };
	const Elf64_Phdr load = { .p_type = PT_LOAD,
				  .p_flags = 5,
				  .p_offset = TEXT,
				  .p_vaddr = 0x100000,
				  .p_paddr = 0x100000,
				  .p_filesz = 16,
				  .p_memsz = 16 };
	const Elf64_Phdr more = { .p_type = type, .p_offset = 0x400, .p_filesz = count, .p_memsz = count };
	memset(file, 0, sizeof(file));
	put(0, &head, sizeof(head));
	put(64, &load, sizeof(load));
	put(64 + 56, &more, sizeof(more));
	put(0x400, bytes, count);
}

static void make_note(const char *name, uint32_t type)
{
	uint32_t note[8] = { (uint32_t)strlen(name) + 1, 4, type };
	size_t name_words = (strlen(name) + 4) / 4;
	memcpy(note + 3, name, strlen(name) + 1);
	note[3 + name_words] = 0;
	make_elf(PT_NOTE, note, 16 + 4 * name_words);
}

static void object(void)
{
	make_elf(0, "", 0);
	put(16, &(uint16_t){ ET_REL }, 2);
}
static void core(void)
{
	make_elf(0, "", 0);
	put(16, &(uint16_t){ ET_CORE }, 2);
}
static void limine(void)
{
	make_elf(0, "", 0);
	put(TEXT + 24, &(uint64_t){ 0xc7b1dd30df4c8b88 }, 8);
	put(TEXT + 32, &(uint64_t){ 0x0a82e883a194f07b }, 8);
}
static void stivale(void)
{
	make_elf(0, "", 0);
	put(0x2000, "\0.stivale2hdr", 14);
}
static void vmlinux(void)
{
	make_note("Linux", 1);
}
static void xen(void)
{
	make_note("Xen", 6);
}
static void program(void)
{
	make_note("GNU", 1);
}
static void build_id(void)
{
	make_note("GNU", 3);
}
static void dynamic(void)
{
	make_elf(PT_INTERP, "/lib64/ld-linux-x86-64.so.2", 28);
}
static void plain(void)
{
	make_elf(0, "", 0);
}
static void late1(void)
{
	make_elf(0, "", 0);
	put32(9000, 0x1badb002);
	put32(9008, 0u - 0x1badb002);
}
static void late1_wrong(void)
{
	make_elf(0, "", 0);
	put32(9000, 0x1badb002);
	put32(9008, 7);
}
static void late2(void)
{
	make_elf(0, "", 0);
	put32(40000, 0xe85250d6);
	put32(40008, 16);
	put32(40012, 0u - 0xe85250d6 - 16);
}
static void machine(uint16_t number)
{
	make_elf(0, "", 0);
	put(18, &number, 2);
}
static void arm64(void)
{
	machine(EM_AARCH64);
}
static void riscv(void)
{
	machine(EM_RISCV);
}
static void unheard(void)
{
	machine(0x7777);
}
static void big_endian(void)
{
	make_elf(0, "", 0);
	file[5] = 2;
}
static void class_3(void)
{
	make_elf(0, "", 0);
	file[4] = 3;
}

static void bytes_at(size_t at, const char *bytes, size_t count)
{
	memset(file, 0x90, sizeof(file));
	put(at, bytes, count);
}

static void make_pe(uint16_t subsystem)
{
	bytes_at(0, "MZ", 2);
	put32(0x3c, 0x80);
	put(0x80, "PE\0\0\x64\x86", 6);
	put(0x80 + 24 + 68, &subsystem, 2);
}
static void efi(void)
{
	make_pe(10);
}
static void windows(void)
{
	make_pe(3);
}
static void dos(void)
{
	bytes_at(0, "MZ", 2);
}
static void pe_nowhere(void)
{
	bytes_at(0, "MZ", 2);
	put32(0x3c, 0xfffffff0);
}
static void header_in(void)
{
	put32(0x1000, 0x1badb002);
	put32(0x1004, 0);
	put32(0x1008, 0u - 0x1badb002);
}
static void efi_with_header(void)
{
	efi();
	header_in();
}
static void dos_with_header(void)
{
	dos();
	header_in();
}
static void junk_with_header(void)
{
	bytes_at(0, "\1", 1);
	header_in();
}
static void aout(uint16_t magic, uint8_t machine_id)
{
	bytes_at(0, "", 0);
	put32(0, magic | (uint32_t)machine_id << 16);
}
static void omagic(void)
{
	aout(0x107, 0x64);
}
static void nmagic(void)
{
	aout(0x108, 0);
}
static void zmagic(void)
{
	aout(0x10b, 0x64);
}
static void qmagic(void)
{
	aout(0xcc, 0x64);
}
static void zeros(void)
{
	memset(file, 0, sizeof(file));
}
static void junk(void)
{
	bytes_at(0, "\1\2\3", 3);
}

static const struct {
	void (*make)(void);
	size_t at, count;
	const char *bytes;
	enum chain_status status;
	const char *said;
} cases[] = {
	{ object, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "object file" },
	{ core, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "core dump" },
	{ limine, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "Limine" },
	{ stivale, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "stivale" },
	{ vmlinux, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "vmlinux" },
	{ xen, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "Xen" },
	{ program, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "program for an operating system" },
	{ dynamic, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "program for an operating system" },
	{ build_id, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "neither a Multiboot header" },
	{ plain, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "neither a Multiboot header" },
	{ late1, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "Multiboot 1 header lies behind the first 8192" },
	{ late1_wrong, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "neither a Multiboot header" },
	{ late2, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "Multiboot 2 header lies behind the first 32768" },
	{ arm64, 0, 0, NULL, CHAIN_E_ELF_BAD_MACHINE, "(AArch64)" },
	{ riscv, 0, 0, NULL, CHAIN_E_ELF_BAD_MACHINE, "(RISC-V)" },
	{ unheard, 0, 0, NULL, CHAIN_E_ELF_BAD_MACHINE, "machine 30583 is" },
	{ big_endian, 0, 0, NULL, CHAIN_E_ELF_BAD_ENDIAN, "little-endian" },
	{ class_3, 0, 0, NULL, CHAIN_E_ELF_BAD_CLASS, "class 3" },
	{ efi, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "it is an EFI application" },
	{ windows, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "Windows" },
	{ dos, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "PE or DOS" },
	{ pe_nowhere, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "PE or DOS" },
	{ efi_with_header, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL,
	  "EFI application, and the Multiboot header in it has no address fields" },
	{ dos_with_header, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL,
	  "PE or DOS program, and the Multiboot header in it has no address fields" },
	{ junk_with_header, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL,
	  "no kind of kernel, and the Multiboot header in it has no address fields" },
	{ omagic, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "a.out" },
	{ nmagic, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "a.out" },
	{ zmagic, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "a.out" },
	{ qmagic, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "a.out" },
	{ zeros, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "zeros" },
	{ junk, 0, 0, NULL, CHAIN_E_NOT_A_KERNEL, "no kind of kernel" },
	{ NULL, 0x202, 4, "HdrS", CHAIN_E_NOT_A_KERNEL, "bzImage" },
	{ NULL, 0, 3, "\x1f\x8b\x08", CHAIN_E_NOT_A_KERNEL, "gzip" },
	{ NULL, 0, 6, "\xfd\x37zXZ\0", CHAIN_E_NOT_A_KERNEL, "xz" },
	{ NULL, 0, 4, "\x28\xb5\x2f\xfd", CHAIN_E_NOT_A_KERNEL, "zstd" },
	{ NULL, 0, 4, "BZh9", CHAIN_E_NOT_A_KERNEL, "bzip2" },
	{ NULL, 0, 4, "\x04\x22\x4d\x18", CHAIN_E_NOT_A_KERNEL, "lz4" },
	{ NULL, 0, 4, "\x02\x21\x4c\x18", CHAIN_E_NOT_A_KERNEL, "lz4" },
	{ NULL, 0, 4, "\x89LZO", CHAIN_E_NOT_A_KERNEL, "lzop" },
	{ NULL, 0, 4, "\x5d\0\0\x80", CHAIN_E_NOT_A_KERNEL, "lzma" },
	{ NULL, 0, 4, "LZIP", CHAIN_E_NOT_A_KERNEL, "lzip" },
	{ NULL, 0, 4, "\xcf\xfa\xed\xfe", CHAIN_E_NOT_A_KERNEL, "Mach-O" },
	{ NULL, 0, 4, "\xd0\x0d\xfe\xed", CHAIN_E_NOT_A_KERNEL, "FIT" },
	{ NULL, 0, 4, "\x27\x05\x19\x56", CHAIN_E_NOT_A_KERNEL, "U-Boot" },
	{ NULL, 0, 4, "PK\3\4", CHAIN_E_NOT_A_KERNEL, "zip" },
	{ NULL, 0, 8, "!<arch>\n", CHAIN_E_NOT_A_KERNEL, "ar archive" },
	{ NULL, 0, 6, "070701", CHAIN_E_NOT_A_KERNEL, "cpio" },
	{ NULL, 257, 5, "ustar", CHAIN_E_NOT_A_KERNEL, "tar" },
	{ NULL, 32769, 5, "CD001", CHAIN_E_NOT_A_KERNEL, "ISO 9660" },
	{ NULL, 1024, 4, "\xe2\xe1\xf5\xe0", CHAIN_E_NOT_A_KERNEL, "EROFS" },
	{ NULL, 0, 4, "hsqs", CHAIN_E_NOT_A_KERNEL, "squashfs" },
	{ NULL, 0x438, 2, "\x53\xef", CHAIN_E_NOT_A_KERNEL, "ext4" },
	{ NULL, 0, 4, "QFI\xfb", CHAIN_E_NOT_A_KERNEL, "qcow2" },
	{ NULL, 512, 8, "EFI PART", CHAIN_E_NOT_A_KERNEL, "partition table" },
	{ NULL, 510, 2, "\x55\xaa", CHAIN_E_NOT_A_KERNEL, "boot sector" },
	{ NULL, 0, 10, "#!/bin/sh\n", CHAIN_E_NOT_A_KERNEL, "script" },
};

static void each_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		enum chain_kernel_kind kind;
		char line[700];
		if (cases[i].make)
			cases[i].make();
		else
			bytes_at(cases[i].at, cases[i].bytes, cases[i].count);
		enum chain_status status = chain_kernel_probe(file, sizeof(file), "x", &kind, &err);
		chain_error_format(&err, line, sizeof(line));
		if (status != cases[i].status || err.status != status || !strstr(line, cases[i].said))
			fail_msg("\"%s\" wanted: %s", cases[i].said, line);
	}
	struct chain_error err = { 0 };
	enum chain_kernel_kind kind;
	assert_int_equal(chain_kernel_probe("", 0, "x", &kind, &err), CHAIN_E_NOT_A_KERNEL);
	assert_string_equal(err.detail, "it is empty");
	chain_error_clear(&err);
	assert_int_equal(chain_kernel_probe("hello\n", 6, "x", &kind, &err), CHAIN_E_NOT_A_KERNEL);
	assert_string_equal(err.detail, "it is text");
}

/* What can be started is said behind it: all of it. */
static void what_can_be_started_is_said(void **state)
{
	struct chain_error err = { 0 };
	enum chain_kernel_kind kind;
	char hint[512];
	(void)state;
	assert_int_equal(chain_kernel_probe("hello\n", 6, "x", &kind, &err), CHAIN_E_NOT_A_KERNEL);
	chain_error_hint(&err, hint, sizeof(hint));
	for (size_t i = 0; chain_doors[i]; i++) {
		const char *title = chain_doors[i]->title; /* "Multiboot 2": its last word at least stands there */
		if (!strstr(hint, title) && !(strrchr(title, ' ') && strstr(hint, strrchr(title, ' '))))
			fail_msg("%s: not in \"%s\"", title, hint);
	}
}

/* Every shorter file, and ones with bytes changed: one answer, nothing read outside. */
static void any_file_has_an_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].make)
			cases[i].make();
		else
			bytes_at(cases[i].at, cases[i].bytes, cases[i].count);
		for (unsigned round = 0; round < 60; round++) {
			struct chain_error err = { 0 };
			enum chain_kernel_kind kind;
			size_t bytes = round < 20 ? rnd(300) : 1 + rnd(sizeof(file));
			uint8_t *copy = malloc(bytes ? bytes : 1);
			assert_non_null(copy);
			memcpy(copy, file, bytes);
			for (unsigned change = 0; bytes && change < round % 4; change++)
				copy[rnd(bytes < 256 ? bytes : 256)] = (uint8_t)rnd(256);
			enum chain_status status = chain_kernel_probe(copy, bytes, "x", &kind, &err);
			assert_int_equal(status, err.status);
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_named),
					    cmocka_unit_test(what_can_be_started_is_said),
					    cmocka_unit_test(any_file_has_an_answer) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
