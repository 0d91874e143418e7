/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What kind of kernel a file is, and, where it is none, what it looks like instead. */
#include "chain/image.h"
#include "chain/door.h"
#include "stage/native.h"

#include <string.h>

static bool is_native(const uint8_t *bytes, uint64_t count)
{
	const uint8_t *note;
	uint64_t note_bytes;
	struct chain_elf elf;

	return chain_elf_open(&elf, bytes, count, "", NULL) == CHAIN_OK && elf.machine == CHAIN_ELF_MACHINE_X86_64 &&
	       chain_elf_find_note(&elf, KCHAIN_NOTE_NAME, KCHAIN_NOTE_NATIVE, &note, &note_bytes, NULL) == CHAIN_OK;
}

static bool is_image(const uint8_t *bytes, uint64_t count)
{
	return chain_image_is(bytes, count);
}

/* In probing order. They can be started by a boot protocol, too, and come before the doors. */
static const struct {
	enum chain_kernel_kind kind;
	const char *name;
	bool (*is)(const uint8_t *bytes, uint64_t count);
} KINDS[] = {
    {CHAIN_KERNEL_IMAGE, "image", is_image},
    {CHAIN_KERNEL_NATIVE, "native", is_native},
};

/* What else a file may be, by bytes at a fixed offset, the most telling ones first. */
static const struct {
	uint32_t offset;
	uint8_t count;
	const char *bytes;
	const char *what;
} LOOKS[] = {
    {0x202, 4, "HdrS", "it begins as a Linux bzImage does, but lacks the rest of its header"},
    {0, 2, "MZ", "it is a PE file (an EFI program)"},
    {0, 2, "\x1f\x8b", "it is gzip-compressed; unpack it first"},
    {0, 6, "\xfd\x37zXZ\0", "it is xz-compressed; unpack it first"},
    {0, 4, "\x28\xb5\x2f\xfd", "it is zstd-compressed; unpack it first"},
    {0, 3, "BZh", "it is bzip2-compressed; unpack it first"},
    {0, 4, "\x04\x22\x4d\x18", "it is lz4-compressed; unpack it first"},
    {0, 2, "#!", "it is a script"},
    {0, 6, "070701", "it is a cpio archive"},
    {257, 5, "ustar", "it is a tar archive"},
    {32769, 5, "CD001", "it is an ISO 9660 image"},
    {1024, 4, "\xe2\xe1\xf5\xe0", "it is an EROFS image"},
    {510, 2, "\x55\xaa", "it begins with a boot sector"},
};

static bool all_text(const uint8_t *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count && i < 512; i++)
		if (bytes[i] == 0x7f || (bytes[i] < 0x20 && !memchr("\t\n\r\f", bytes[i], 4)))
			return false;
	return true;
}

static enum chain_status refuse_elf(const uint8_t *bytes, uint64_t count, const char *subject, struct chain_error *err)
{
	struct chain_elf elf;
	const enum chain_status status = chain_elf_open(&elf, bytes, count, subject, err);

	if (status != CHAIN_OK)
		return status;
	if (elf.machine != CHAIN_ELF_MACHINE_386 && elf.machine != CHAIN_ELF_MACHINE_X86_64)
		return chain_elf_check_kernel(&elf, err);
	return chain_fail(err, CHAIN_E_NOT_A_KERNEL, subject,
			  "it is an ELF file for this machine with neither a Multiboot header nor a note that says how it is started", 0, 0,
			  0, 0);
}

enum chain_status chain_kernel_probe(const void *bytes, uint64_t bytes_count, const char *subject,
				     enum chain_kernel_kind *out, struct chain_error *err)
{
	const uint8_t *b = bytes;
	const char *what = "its first bytes belong to no kind of kernel";

	*out = CHAIN_KERNEL_UNKNOWN;
	if (bytes_count == 0)
		return chain_fail(err, CHAIN_E_NOT_A_KERNEL, subject, "it is empty", 0, 0, 0, 0);
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
		if (KINDS[i].is(b, bytes_count)) {
			*out = KINDS[i].kind;
			return CHAIN_OK;
		}
	}
	for (size_t i = 0; chain_doors[i]; i++) {
		if (chain_doors[i]->probe(b, bytes_count)) {
			*out = (enum chain_kernel_kind)(CHAIN_KERNEL_FOREIGN + i);
			return CHAIN_OK;
		}
	}
	if (bytes_count >= 4 && memcmp(b, "\177ELF", 4) == 0)
		return refuse_elf(b, bytes_count, subject, err);
	if (all_text(b, bytes_count))
		what = "it is text";
	for (size_t i = 0; i < sizeof(LOOKS) / sizeof(LOOKS[0]); i++) {
		if (bytes_count >= LOOKS[i].offset + (uint64_t)LOOKS[i].count &&
		    memcmp(b + LOOKS[i].offset, LOOKS[i].bytes, LOOKS[i].count) == 0) {
			what = LOOKS[i].what;
			break;
		}
	}
	return chain_fail(err, CHAIN_E_NOT_A_KERNEL, subject, what, 0, 0, 0, 0);
}

const char *chain_kernel_kind_name(enum chain_kernel_kind kind)
{
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		if (KINDS[i].kind == kind)
			return KINDS[i].name;
	return kind == CHAIN_KERNEL_UNKNOWN ? "unknown" : chain_kernel_door(kind)->name;
}

const struct chain_door *chain_kernel_door(enum chain_kernel_kind kind)
{
	if (kind == CHAIN_KERNEL_UNKNOWN)
		return NULL;
	return kind < CHAIN_KERNEL_FOREIGN ? chain_door_of_ours : chain_doors[kind - CHAIN_KERNEL_FOREIGN];
}
