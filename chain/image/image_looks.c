/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a file is that can't be started: one table, the most telling rows first. For people, so only where they are:
 * `bake`, `inspect`. */
#include "image_looks.h"

#include "chain/elf.h"
#include "chain/multiboot1_format.h"
#include "chain/multiboot2_format.h"

#include <stdio.h>
#include <string.h>

struct file {
	struct chain_reader reader;
	struct chain_elf elf; /* as far as it could be opened */
	bool is_elf;
};

enum { NOTE_GNU_ABI = 1, ELF_TYPE_OBJECT = 1, ELF_TYPE_CORE = 4, PT_INTERPRETER = 3 };

static bool has_at(const struct file *file, uint64_t offset, const void *bytes, size_t count)
{
	return chain_reader_has(&file->reader, offset, count) && !memcmp(file->reader.bytes + offset, bytes, count);
}

static bool has_anywhere(const struct file *file, const void *bytes, size_t count)
{
	return memmem(file->reader.bytes, (size_t)file->reader.count, bytes, count);
}

/* --- ELF --- */

/* Whether any note has that name; it says whose they are, whatever they hold. */
static bool has_note_of(const struct file *file, const char *name)
{
	const size_t bytes = strlen(name) + 1;
	for (uint32_t i = 0; file->is_elf && i < file->elf.phdr_count; i++) {
		struct chain_elf_phdr phdr;
		chain_elf_phdr_at(&file->elf, i, &phdr);
		if (phdr.type != CHAIN_ELF_PT_NOTE || !chain_reader_has(&file->reader, phdr.offset, phdr.file_bytes))
			continue;
		for (uint64_t at = phdr.offset, end = at + phdr.file_bytes; end - at >= 12;) {
			const uint8_t *note = file->reader.bytes + at;
			const uint64_t name_bytes = chain_le32(note), desc_bytes = chain_le32(note + 4);
			const uint64_t whole = 12 + ((name_bytes + 3) & ~3ull) + ((desc_bytes + 3) & ~3ull);
			if (whole > end - at)
				break;
			if (name_bytes == bytes && !memcmp(note + 12, name, bytes))
				return true;
			at += whole;
		}
	}
	return false;
}

static bool has_interpreter(const struct file *file)
{
	struct chain_elf_phdr phdr = { 0 };
	for (uint32_t i = 0; file->is_elf && i < file->elf.phdr_count && phdr.type != PT_INTERPRETER; i++)
		chain_elf_phdr_at(&file->elf, i, &phdr);
	return file->is_elf && phdr.type == PT_INTERPRETER;
}

static bool has_section(const struct file *file, const char *name)
{
	/* the names alone are looked for: they stand one behind the other, each with a zero before and behind it */
	char wanted[64] = "";
	const size_t bytes = strlen(name);
	memcpy(wanted + 1, name, bytes);
	return file->is_elf && has_anywhere(file, wanted, bytes + 2);
}

static bool is_linux(const struct file *file)
{
	return has_note_of(file, "Linux");
}
static bool is_xen(const struct file *file)
{
	return has_note_of(file, "Xen");
}
/* The note says which operating system. Those of other types are in kernels, too. */
static bool is_program(const struct file *file)
{
	const uint8_t *bytes;
	uint64_t count;
	return has_interpreter(file) ||
	       (file->is_elf && !chain_elf_find_note(&file->elf, "GNU", NOTE_GNU_ABI, &bytes, &count, NULL));
}
static bool is_object(const struct file *file)
{
	return file->is_elf && file->elf.type == ELF_TYPE_OBJECT;
}
static bool is_core(const struct file *file)
{
	return file->is_elf && file->elf.type == ELF_TYPE_CORE;
}
static bool is_elf(const struct file *file)
{
	return file->is_elf;
}

/* Requests for Limine have these two numbers before each. */
static bool is_limine(const struct file *file)
{
	static const uint64_t magic[] = { 0xc7b1dd30df4c8b88, 0x0a82e883a194f07b };
	return file->is_elf && has_anywhere(file, magic, sizeof(magic));
}
static bool is_stivale(const struct file *file)
{
	return has_section(file, ".stivalehdr") || has_section(file, ".stivale2hdr");
}

/* A header with the right sum behind the part of the file that loaders look through. */
static bool has_late_header(const struct file *file)
{
	for (uint64_t at = MULTIBOOT_SEARCH; chain_reader_has(&file->reader, at, 12); at += 4) {
		const uint8_t *h = file->reader.bytes + at;
		if (chain_le32(h) == MULTIBOOT_HEADER_MAGIC &&
		    !(MULTIBOOT_HEADER_MAGIC + chain_le32(h + 4) + chain_le32(h + 8)))
			return true;
	}
	return false;
}
static bool has_late_header2(const struct file *file)
{
	for (uint64_t at = CHAIN_MB2_SEARCH_BYTES; chain_reader_has(&file->reader, at, 16); at += 8) {
		const uint8_t *h = file->reader.bytes + at;
		if (chain_le32(h) == CHAIN_MB2_HEADER_MAGIC &&
		    !(CHAIN_MB2_HEADER_MAGIC + chain_le32(h + 4) + chain_le32(h + 8) + chain_le32(h + 12)))
			return true;
	}
	return false;
}

/* --- others --- */

/* Microsoft PE and COFF specification: the header's place is at 0x3c; behind its signature 20 bytes, then the optional
 * header, which has the subsystem at 68. */
static bool is_pe(const struct file *file, uint64_t *out)
{
	if (!has_at(file, 0, "MZ", 2) || !chain_reader_has(&file->reader, 0x3c, 4))
		return false;
	*out = chain_le32(file->reader.bytes + 0x3c);
	return has_at(file, *out, "PE\0\0", 4) && chain_reader_has(&file->reader, *out, 24 + 70);
}

static bool is_efi(const struct file *file)
{
	enum { EFI_FIRST = 10, EFI_LAST = 13 };
	uint64_t at;
	if (!is_pe(file, &at))
		return false;
	const uint16_t subsystem = chain_le16(file->reader.bytes + at + 24 + 68);
	return subsystem >= EFI_FIRST && subsystem <= EFI_LAST;
}
static bool is_windows(const struct file *file)
{
	uint64_t at;
	return is_pe(file, &at);
}

/* OMAGIC, NMAGIC, ZMAGIC, QMAGIC; the machine is none, or an i386. */
static bool is_aout(const struct file *file)
{
	if (!chain_reader_has(&file->reader, 0, 32))
		return false;
	const uint8_t *b = file->reader.bytes;
	const uint16_t magic = chain_le16(b);
	return (magic == 0x107 || magic == 0x108 || magic == 0x10b || magic == 0xcc) &&
	       (b[2] == 0 || b[2] == 0x64 || b[2] == 0x86) && !b[3];
}

static bool is_zero(const struct file *file)
{
	for (uint64_t i = 0; i < file->reader.count && i < 4096; i++)
		if (file->reader.bytes[i])
			return false;
	return true;
}

static bool is_text(const struct file *file)
{
	for (uint64_t i = 0; i < file->reader.count && i < 512; i++) {
		const uint8_t c = file->reader.bytes[i];
		if (c == 0x7f || (c < 0x20 && !memchr("\t\n\r\f", c, 4)))
			return false;
	}
	return true;
}

/* By a predicate, or by bytes at an offset. */
static const struct {
	bool (*is)(const struct file *file);
	uint32_t offset;
	uint8_t count;
	const char *bytes, *what;
} looks[] = {
	{ is_object, 0, 0, NULL, "it is an ELF object file, which is not linked yet" },
	{ is_core, 0, 0, NULL, "it is a core dump" },
	{ is_limine, 0, 0, NULL, "it is an ELF kernel for Limine's boot protocol" },
	{ is_stivale, 0, 0, NULL, "it is an ELF kernel for the stivale boot protocol" },
	{ is_linux, 0, 0, NULL, "it is a Linux vmlinux without a PVH entry; take its bzImage" },
	{ is_xen, 0, 0, NULL, "it is an ELF kernel for Xen's paravirtual machines, without a PVH entry" },
	{ is_program, 0, 0, NULL, "it is a program for an operating system" },
	{ has_late_header, 0, 0, NULL,
	  "its Multiboot 1 header lies behind the first 8192 bytes, where no loader looks" },
	{ has_late_header2, 0, 0, NULL,
	  "its Multiboot 2 header lies behind the first 32768 bytes, where no loader looks" },
	{ is_elf, 0, 0, NULL,
	  "it is an ELF file for this machine with neither a Multiboot header nor a note that says how it is started" },
	{ NULL, 0x202, 4, "HdrS", "it begins as a Linux bzImage does, but lacks the rest of its header" },
	{ is_efi, 0, 0, NULL, "it is an EFI application" },
	{ is_windows, 0, 0, NULL, "it is a program for Windows" },
	{ NULL, 0, 2, "MZ", "it is a PE or DOS program" },
	{ is_aout, 0, 0, NULL, "it is an a.out file" },
	{ NULL, 0, 2, "\x1f\x8b", "it is gzip-compressed; unpack it first" },
	{ NULL, 0, 6, "\xfd\x37zXZ\0", "it is xz-compressed; unpack it first" },
	{ NULL, 0, 4, "\x28\xb5\x2f\xfd", "it is zstd-compressed; unpack it first" },
	{ NULL, 0, 3, "BZh", "it is bzip2-compressed; unpack it first" },
	{ NULL, 0, 4, "\x04\x22\x4d\x18", "it is lz4-compressed; unpack it first" },
	{ NULL, 0, 4, "\x02\x21\x4c\x18", "it is lz4-compressed; unpack it first" },
	{ NULL, 0, 4, "\x89LZO", "it is lzop-compressed; unpack it first" },
	{ NULL, 0, 3, "\x5d\0\0", "it is lzma-compressed; unpack it first" },
	{ NULL, 0, 4, "LZIP", "it is lzip-compressed; unpack it first" },
	{ NULL, 0, 4, "\xcf\xfa\xed\xfe", "it is a Mach-O file" },
	{ NULL, 0, 4, "\xce\xfa\xed\xfe", "it is a Mach-O file" },
	{ NULL, 0, 4, "\xd0\x0d\xfe\xed", "it is a device tree or a U-Boot FIT image" },
	{ NULL, 0, 4, "\x27\x05\x19\x56", "it is a U-Boot image" },
	{ NULL, 0, 4, "PK\3\4", "it is a zip archive" },
	{ NULL, 0, 8, "!<arch>\n", "it is an ar archive" },
	{ NULL, 0, 5, "07070", "it is a cpio archive" },
	{ NULL, 0, 2, "\xc7\x71", "it is a cpio archive" },
	{ NULL, 257, 5, "ustar", "it is a tar archive" },
	{ NULL, 32769, 5, "CD001", "it is an ISO 9660 image" },
	{ NULL, 1024, 4, "\xe2\xe1\xf5\xe0", "it is an EROFS image" },
	{ NULL, 0, 4, "hsqs", "it is a squashfs image" },
	{ NULL, 0x438, 2, "\x53\xef", "it is an ext2, ext3 or ext4 file system" },
	{ NULL, 0, 4, "QFI\xfb", "it is a qcow2 disk" },
	{ NULL, 512, 8, "EFI PART", "it is a disk with a partition table" },
	{ NULL, 510, 2, "\x55\xaa", "it begins with a boot sector" },
	{ NULL, 0, 2, "#!", "it is a script" },
	{ is_zero, 0, 0, NULL, "it is nothing but zeros" },
	{ is_text, 0, 0, NULL, "it is text" },
	{ NULL, 0, 0, "", "its first bytes belong to no kind of kernel" },
};

/* As a message has it behind the number. */
static const char *machine_name(uint16_t machine)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{ 2, " (SPARC)" },     { 8, " (MIPS)" },     { 20, " (PowerPC)" }, { 21, " (PowerPC64)" },
		{ 22, " (S/390)" },    { 40, " (Arm)" },     { 43, " (SPARC64)" }, { 50, " (IA-64)" },
		{ 183, " (AArch64)" }, { 243, " (RISC-V)" }, { 247, " (BPF)" },    { 258, " (LoongArch)" },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return "";
}

static const char *look_of(const struct file *file)
{
	size_t i = 0;
	while (looks[i].is ? !looks[i].is(file) : !has_at(file, looks[i].offset, looks[i].bytes, looks[i].count))
		i++; /* the last row is any file */
	return looks[i].what;
}

enum chain_status chain_image_refuse(const void *bytes, uint64_t bytes_count, const char *subject,
				     struct chain_error *err)
{
	struct file file = { .reader = { bytes, bytes_count, subject } };
	if (has_at(&file, 0, "\177ELF", 4)) {
		enum chain_status status = chain_elf_open(&file.elf, bytes, bytes_count, subject, err);
		file.is_elf = !status;
		if (!status && file.elf.machine != CHAIN_ELF_MACHINE_386 &&
		    file.elf.machine != CHAIN_ELF_MACHINE_X86_64)
			status = CHAIN_FAIL(err, ELF_BAD_MACHINE, .subject = subject,
					    .detail = machine_name(file.elf.machine), .machine = file.elf.machine);
		if (status)
			return status;
	}
	return chain_fail_text(err, CHAIN_E_NOT_A_KERNEL, subject, bytes_count ? look_of(&file) : "it is empty");
}

enum chain_status chain_image_refuse_unplaced(const void *bytes, uint64_t bytes_count, const char *subject,
					      struct chain_error *err)
{
	const struct file file = { .reader = { bytes, bytes_count, subject } };
	char what[CHAIN_SUBJECT_BYTES];
	snprintf(what, sizeof(what),
		 "%s, and the Multiboot header in it has no address fields to say where it is to be loaded",
		 look_of(&file));
	return chain_fail_text(err, CHAIN_E_NOT_A_KERNEL, subject, what);
}
