/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The information structure of Multiboot 2, section 3.6: reading the one a boot loader left. Nothing in it is trusted.
 */
#include "boot_source.h"

#include <stdlib.h>
#include <string.h>

enum { /* section 3.6 */
       TAG_END = 0,
       TAG_CMDLINE = 1,
       TAG_LOADER = 2,
       TAG_MODULE = 3,
       TAG_MMAP = 6,
       TAG_FRAMEBUFFER = 8,
       TAG_EFI32 = 11,
       TAG_EFI64 = 12,
       TAG_RSDP1 = 14,
       TAG_RSDP2 = 15,
       INFO_MAX = 16 * 1024 * 1024,
       TAG_HEADER = 8,
       MMAP_ENTRY_LEAST = 24,
       MEMORY_MAX = CHAIN_BOOT_MMAP_MAX / MMAP_ENTRY_LEAST,
};
static const char subject[] = "Multiboot 2 information";

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static uint64_t u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static enum chain_status bad_tag(uint32_t type, uint32_t bytes, struct chain_error *err)
{
	return CHAIN_FAIL(err, DOOR_TAG, .subject = subject, .type = type, .bytes = bytes);
}

static enum chain_status too_many(const char *what, uint64_t count, uint64_t limit, struct chain_error *err)
{
	return CHAIN_FAIL(err, MULTIBOOT_INFO_LIMIT, .subject = subject, .detail = what, .value = count,
			  .limit = limit);
}

static enum chain_status put_string(const uint8_t *text, uint32_t bytes, char **out, struct chain_error *err)
{
	if (bytes > CHAIN_BOOT_STRING_MAX)
		return too_many("bytes of a string", bytes, CHAIN_BOOT_STRING_MAX, err);
	char *copy = malloc((size_t)bytes + 1);
	if (!copy)
		return chain_fail_no_memory(err, subject, bytes);
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	free(*out);
	*out = copy;
	return CHAIN_OK;
}

static enum chain_status read_module(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out,
				     struct chain_error *err)
{
	enum { FIXED = 16 };
	char *string = NULL;
	if (bytes < FIXED || u32(tag + 12) < u32(tag + 8))
		return bad_tag(TAG_MODULE, bytes, err);
	if (out->module_count == CHAIN_BOOT_MODULES_MAX)
		return too_many("modules", out->module_count + 1, CHAIN_BOOT_MODULES_MAX, err);
	enum chain_status status = put_string(tag + FIXED, bytes - FIXED, &string, err);
	if (!status)
		status = chain_bootinfo_add_module(out, u32(tag + 8), u32(tag + 12) - u32(tag + 8), string, err);
	free(string);
	return status;
}

static enum chain_status read_mmap(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out,
				   struct chain_error *err)
{
	enum { FIXED = 16 };
	uint32_t step = bytes < FIXED ? 0 : u32(tag + 8);
	if (step < MMAP_ENTRY_LEAST || (bytes - FIXED) % step)
		return bad_tag(TAG_MMAP, bytes, err);
	for (uint32_t at = FIXED; at < bytes; at += step) {
		if (out->mem_count == MEMORY_MAX)
			return too_many("memory map entries", out->mem_count + 1, MEMORY_MAX, err);
		enum chain_status status =
			chain_bootinfo_add_mem(out, u64(tag + at), u64(tag + at + 8), u32(tag + at + 16), err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status read_framebuffer(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out,
					  struct chain_error *err)
{
	/* Section 3.6.12; the colours' place is that of its structure, which loaders use: two reserved bytes before
	 * them. */
	enum { TYPE = 29, FIXED = 31, COLORS = 32 };
	struct chain_framebuffer *fb = &out->framebuffer;
	if (bytes < FIXED || (tag[TYPE] == CHAIN_FRAMEBUFFER_RGB && bytes < COLORS + sizeof(fb->colors)))
		return bad_tag(TAG_FRAMEBUFFER, bytes, err);
	*fb = (struct chain_framebuffer){ .phys = u64(tag + 8),
					  .pitch_bytes = u32(tag + 16),
					  .width = u32(tag + 20),
					  .height = u32(tag + 24),
					  .bpp = tag[28],
					  .type = tag[TYPE] };
	if (fb->type == CHAIN_FRAMEBUFFER_RGB)
		memcpy(fb->colors, tag + COLORS, sizeof(fb->colors));
	return CHAIN_OK;
}

/* Sections 3.6.15 and 3.6.16: the system table of a firmware whose words are 4 or 8 bytes wide. */
static enum chain_status read_efi(const uint8_t *tag, uint32_t type, uint32_t bytes, struct chain_bootinfo *out,
				  struct chain_error *err)
{
	uint32_t width = type == TAG_EFI64 ? 8 : 4;
	if (bytes < TAG_HEADER + width)
		return bad_tag(type, bytes, err);
	out->efi_system_table = width == 8 ? u64(tag + TAG_HEADER) : u32(tag + TAG_HEADER);
	return CHAIN_OK;
}

/* Sections 3.6.17 and 3.6.18: a copy of the RSDP, of ACPI 1.0 or of 2.0, which counts more. */
static enum chain_status read_rsdp(uint64_t phys, uint32_t type, uint32_t bytes, struct chain_bootinfo *out,
				   struct chain_error *err)
{
	enum { RSDP1_BYTES = 20, RSDP2_BYTES = 36 };
	if (bytes < TAG_HEADER + (type == TAG_RSDP1 ? RSDP1_BYTES : RSDP2_BYTES))
		return bad_tag(type, bytes, err);
	if (type == TAG_RSDP2 || !out->acpi_rsdp)
		out->acpi_rsdp = phys + TAG_HEADER;
	return CHAIN_OK;
}

/* The tag lies at `phys` and is seen at `tag`. */
static enum chain_status read_tag(uint64_t phys, const uint8_t *tag, uint32_t type, uint32_t bytes,
				  struct chain_bootinfo *out, struct chain_error *err)
{
	switch (type) {
	case TAG_CMDLINE:
		return put_string(tag + TAG_HEADER, bytes - TAG_HEADER, &out->cmdline, err);
	case TAG_LOADER:
		return put_string(tag + TAG_HEADER, bytes - TAG_HEADER, &out->loader, err);
	case TAG_MODULE:
		return read_module(tag, bytes, out, err);
	case TAG_MMAP:
		return read_mmap(tag, bytes, out, err);
	case TAG_FRAMEBUFFER:
		return read_framebuffer(tag, bytes, out, err);
	case TAG_EFI32:
	case TAG_EFI64:
		return read_efi(tag, type, bytes, out, err);
	case TAG_RSDP1:
	case TAG_RSDP2:
		return read_rsdp(phys, type, bytes, out, err);
	default:
		return CHAIN_OK;
	}
}

static enum chain_status read_tags(uint64_t phys, const uint8_t *bytes, uint32_t total, struct chain_bootinfo *out,
				   struct chain_error *err)
{
	for (uint32_t at = TAG_HEADER; at <= total - TAG_HEADER;) {
		uint32_t type = u32(bytes + at), size = u32(bytes + at + 4);
		if (type == TAG_END)
			return CHAIN_OK;
		if (size < TAG_HEADER || size > total - at)
			return bad_tag(type, size, err);
		enum chain_status status = read_tag(phys + at, bytes + at, type, size, out, err);
		if (status)
			return status;
		at += (size + 7) & ~7u;
	}
	return bad_tag(TAG_END, 0, err);
}

enum chain_status chain_multiboot2_info_read(uint64_t phys, chain_boot_map *map, void *ctx, struct chain_bootinfo *out,
					     struct chain_error *err)
{
	const struct boot_source source = { map, ctx, subject, err };
	const void *bytes;
	enum chain_status status = boot_source_fetch(&source, "structure", phys, TAG_HEADER, &bytes);
	if (status)
		return status;
	uint32_t total = u32(bytes);
	if (total < 2 * TAG_HEADER)
		return CHAIN_FAIL(err, DOOR_TAG, .subject = subject, .type = 0, .bytes = total);
	if (total > INFO_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes of boot information", .value = total,
				  .limit = INFO_MAX);
	status = boot_source_fetch(&source, "structure", phys, total, &bytes);
	if (!status)
		status = read_tags(phys, bytes, total, out, err);
	return status ? status : boot_source_end_map(&source, out, 0);
}
