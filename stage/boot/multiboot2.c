/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "multiboot2.h"

#include <stdlib.h>
#include <string.h>

enum { /* section 3.6 */
	TAG_END = 0, TAG_CMDLINE = 1, TAG_LOADER = 2, TAG_MODULE = 3, TAG_MMAP = 6, TAG_FRAMEBUFFER = 8,
	INFO_MAX = 16 * 1024 * 1024, TAG_HEADER = 8,
};

static uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof(v)); return v; }
static uint64_t u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, sizeof(v)); return v; }

static enum chain_status bad_tag(uint32_t type, uint32_t bytes, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_DOOR_TAG, "Multiboot 2 information", NULL, type, bytes, 0, 0);
}

static enum chain_status put_string(const uint8_t *text, uint32_t bytes, char **out, struct chain_error *err)
{
	char *copy = malloc((size_t)bytes + 1);
	if (!copy)
		return chain_fail(err, CHAIN_E_NO_MEMORY, "Multiboot 2 information", NULL, bytes, 0, 0, 0);
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	free(*out);
	*out = copy;
	return CHAIN_OK;
}

static enum chain_status read_module(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out, struct chain_error *err)
{
	enum { FIXED = 16 };
	char *string = NULL;
	if (bytes < FIXED || u32(tag + 12) < u32(tag + 8))
		return bad_tag(TAG_MODULE, bytes, err);
	enum chain_status status = put_string(tag + FIXED, bytes - FIXED, &string, err);
	if (!status)
		status = chain_bootinfo_add_module(out, u32(tag + 8), u32(tag + 12) - u32(tag + 8), string, err);
	free(string);
	return status;
}

static enum chain_status read_mmap(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out, struct chain_error *err)
{
	enum { FIXED = 16, ENTRY_LEAST = 24 };
	if (bytes < FIXED || u32(tag + 8) < ENTRY_LEAST)
		return bad_tag(TAG_MMAP, bytes, err);
	uint32_t step = u32(tag + 8);
	for (uint32_t at = FIXED; at <= bytes - ENTRY_LEAST && bytes - at >= step; at += step) {
		enum chain_status status = chain_bootinfo_add_mem(out, u64(tag + at), u64(tag + at + 8), u32(tag + at + 16), err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status read_framebuffer(const uint8_t *tag, uint32_t bytes, struct chain_bootinfo *out, struct chain_error *err)
{
	enum { FIXED = 31 };
	if (bytes < FIXED)
		return bad_tag(TAG_FRAMEBUFFER, bytes, err);
	out->framebuffer = (struct chain_framebuffer){ .phys = u64(tag + 8), .pitch_bytes = u32(tag + 16), .width = u32(tag + 20),
						       .height = u32(tag + 24), .bpp = tag[28], .type = tag[29] };
	return CHAIN_OK;
}

static enum chain_status read_tag(const uint8_t *tag, uint32_t type, uint32_t bytes, struct chain_bootinfo *out, struct chain_error *err)
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
	default:
		return CHAIN_OK;
	}
}

enum chain_status stage_multiboot2_read(const uint8_t *bytes, struct chain_bootinfo *out, struct chain_error *err)
{
	uint32_t total = u32(bytes), at = TAG_HEADER;
	if (total < 2 * TAG_HEADER || total > INFO_MAX)
		return chain_fail(err, CHAIN_E_LIMIT, "Multiboot 2 information", NULL, total, INFO_MAX, 0, 0);
	memcpy(out->door, "multiboot2", sizeof("multiboot2"));
	while (at <= total - TAG_HEADER) {
		uint32_t type = u32(bytes + at), size = u32(bytes + at + 4);
		if (type == TAG_END)
			return chain_bootinfo_normalise(out, err);
		if (size < TAG_HEADER || size > total - at)
			return bad_tag(type, size, err);
		enum chain_status status = read_tag(bytes + at, type, size, out, err);
		if (status)
			return status;
		at += (size + 7) & ~7u;
	}
	return bad_tag(TAG_END, 0, err);
}
