/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* An ELF32 file with Multiboot headers, as GRUB, iPXE, kexec and QEMU start it. ELF32 for i386, though the code inside
 * is 64-bit: QEMU and old loaders refuse an ELF64 Multiboot kernel, and the entry is 32-bit code. The stage's Multiboot
 * headers lose the addresses it was linked for, and the ELF headers rule. */
#include "bake_internal.h"

#include "chain/reader.h"

#include <string.h>

static const struct bake_elf_form form = { .is64 = false, .note = false };

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

enum { MB1_MAGIC = 0x1badb002, MB1_ADDRESS_FIELDS = 1 << 16, MB1_SEARCH = 8192 };

bool bake_find_multiboot1(const uint8_t *bytes, uint64_t count, uint64_t *out)
{
	for (uint64_t at = 0; at + 32 <= count && at + 12 <= MB1_SEARCH; at += 4) {
		*out = at;
		if (chain_le32(bytes + at) == MB1_MAGIC &&
		    (uint32_t)(MB1_MAGIC + chain_le32(bytes + at + 4) + chain_le32(bytes + at + 8)) == 0)
			return true;
	}
	return false;
}

/* Multiboot 1, section 3.1.1: without bit 16 of the flags a loader goes by the ELF headers. In the file a block of
 * ELF headers may come first, so the header has to lie within the next 4 KiB for a loader that looks at the file's
 * first 8 KiB. */
static bool multiboot1_by_elf(uint8_t *bytes, uint64_t count)
{
	uint64_t at;

	if (!bake_find_multiboot1(bytes, count, &at) || at + 12 > MB1_SEARCH - BAKE_BLOCK)
		return false;
	const uint32_t flags = chain_le32(bytes + at + 4), without = flags & ~(uint32_t)MB1_ADDRESS_FIELDS;

	if (flags != without) {
		put32(bytes + at + 4, without);
		put32(bytes + at + 8, 0u - (MB1_MAGIC + without));
		memset(bytes + at + 12, 0, 20);
	}
	return true;
}

bool bake_find_multiboot2(const uint8_t *bytes, uint64_t count, uint64_t *out, uint64_t *out_bytes)
{
	enum { MAGIC = (int)0xe85250d6, SEARCH = 32768 };
	const uint64_t limit = count < SEARCH ? count : SEARCH;

	for (uint64_t at = 0; at + 16 <= limit; at += 8) {
		const uint64_t length = chain_le32(bytes + at + 8);

		*out = at;
		*out_bytes = length;
		if (chain_le32(bytes + at) == (uint32_t)MAGIC && length <= limit - at &&
		    (uint32_t)((uint32_t)MAGIC + chain_le32(bytes + at + 4) + length + chain_le32(bytes + at + 12)) ==
			    0)
			return true;
	}
	return false;
}

/* Multiboot 2, section 3.1: the address and entry tags become one of a type that nobody has, marked optional. */
static void multiboot2_by_elf(uint8_t *bytes, uint64_t count)
{
	enum { TAG_ADDRESS = 2, TAG_ENTRY = 3, TAG_NONE = 0x1ffff /* optional, type 0xffff */ };
	uint64_t at, length;

	if (!bake_find_multiboot2(bytes, count, &at, &length))
		return;
	for (uint64_t tag = at + 16; tag + 8 <= at + length;) {
		const uint32_t type = chain_le32(bytes + tag) & 0xffff;
		const uint64_t size = chain_le32(bytes + tag + 4);

		if (size < 8 || size > at + length - tag)
			return;
		if (type == TAG_ADDRESS || type == TAG_ENTRY) {
			put32(bytes + tag, TAG_NONE);
			memset(bytes + tag + 8, 0, (size_t)size - 8);
		}
		tag += (size + 7) / 8 * 8;
	}
}

static uint64_t head_bytes(size_t segment_count)
{
	return bake_elf_least_bytes(segment_count + 2, form.is64);
}

static enum chain_status adapt(const struct chain_bake_request *request, struct bake_stage *stage,
			       struct chain_error *err)
{
	if (!multiboot1_by_elf(stage->bytes, stage->bytes_count))
		return bake_stage_bad(request, "no Multiboot header in its first bytes", MB1_SEARCH - BAKE_BLOCK, err);
	multiboot2_by_elf(stage->bytes, stage->bytes_count);
	return CHAIN_OK;
}

static void head(const struct chain_bake_result *layout, const struct bake_stage *stage, uint8_t *out)
{
	bake_elf_head(layout, stage, &form, out);
}

static size_t tail(const struct chain_bake_result *layout, uint8_t out[BAKE_TAIL_MAX])
{
	return bake_elf_tail(layout, &form, out);
}

const struct bake_container bake_container_multiboot = {
	.name = "multiboot",
	.about = "GRUB, iPXE, kexec and QEMU start it",
	.door = "multiboot1",
	.head_bytes = head_bytes,
	.adapt = adapt,
	.head = head,
	.tail = tail,
};
