/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The information structure of Multiboot 1, section 3.3: building one. */
#include "chain/multiboot.h"

#include "chain/boot_read.h"
#include "doors.h"

#include <string.h>

enum { PLACE_ALIGN = 8 }; /* the structure is padded so that what follows it is aligned */

/* The parts of the block, as offsets from its start: structure, modules, memory map, strings. */
struct layout {
	uint64_t modules, mmap, strings, bytes;
};

static enum chain_status make_layout(const struct chain_multiboot_info *info, struct layout *out,
				     struct chain_error *err)
{
	if (info->module_count > CHAIN_BOOT_MODULES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = info->subject, .detail = "modules",
				  .value = info->module_count, .limit = CHAIN_BOOT_MODULES_MAX);
	uint64_t mmap_bytes = (uint64_t)info->mem_count * sizeof(struct multiboot_mmap_entry);
	if (mmap_bytes > CHAIN_BOOT_MMAP_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = info->subject, .detail = "bytes of memory map",
				  .value = mmap_bytes, .limit = CHAIN_BOOT_MMAP_MAX);
	out->modules = (sizeof(struct multiboot_info) + PLACE_ALIGN - 1) & ~(uint64_t)(PLACE_ALIGN - 1);
	out->mmap = out->modules + info->module_count * sizeof(struct multiboot_mod_list);
	out->strings = out->mmap + mmap_bytes;
	out->bytes = out->strings + strlen(info->cmdline) + 1 + strlen(info->loader_name) + 1;
	for (size_t i = 0; i < info->module_count; i++)
		out->bytes += strlen(info->modules[i].string) + 1;
	return CHAIN_OK;
}

enum chain_status chain_multiboot_info_bytes(const struct chain_multiboot_info *info, uint64_t *out,
					     struct chain_error *err)
{
	struct layout layout;
	enum chain_status status = make_layout(info, &layout, err);
	if (!status)
		*out = layout.bytes;
	return status;
}

/* Puts strings one behind the other and says where each will lie. */
struct string_writer {
	uint8_t *buf;
	uint64_t phys, at;
};

static uint32_t put_string(struct string_writer *writer, const char *text)
{
	size_t bytes = strlen(text) + 1;
	uint64_t where = writer->phys + writer->at;
	memcpy(writer->buf + writer->at, text, bytes);
	writer->at += bytes;
	return (uint32_t)where; /* the block was checked to end below 4 GiB */
}

static void put_mmap(const struct chain_multiboot_info *info, uint8_t *at)
{
	for (size_t i = 0; i < info->mem_count; i++) {
		struct multiboot_mmap_entry entry = {
			.size = sizeof(entry) - sizeof(entry.size),
			.addr = info->mem[i].range.base,
			.len = chain_range_bytes(info->mem[i].range),
			.type = info->mem[i].type,
		};
		memcpy(at + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static enum chain_status put_modules(const struct chain_multiboot_info *info, struct string_writer *strings,
				     uint8_t *at, struct chain_error *err)
{
	for (size_t i = 0; i < info->module_count; i++) {
		struct chain_range range = info->modules[i].range;
		if (range.end >= CHAIN_4G)
			return CHAIN_FAIL(err, MULTIBOOT_MODULE_PLACE, .subject = info->subject, .index = i,
					  .base = range.base, .end = range.end);
		struct multiboot_mod_list module = { (uint32_t)range.base, (uint32_t)range.end,
						     put_string(strings, info->modules[i].string), 0 };
		memcpy(at + i * sizeof(module), &module, sizeof(module));
	}
	return CHAIN_OK;
}

static void put_framebuffer(const struct chain_framebuffer *from, struct multiboot_info *out)
{
	out->flags |= MULTIBOOT_INFO_FRAMEBUFFER_INFO;
	out->framebuffer_addr = from->phys;
	out->framebuffer_pitch = from->pitch_bytes;
	out->framebuffer_width = from->width;
	out->framebuffer_height = from->height;
	out->framebuffer_bpp = from->bpp;
	out->framebuffer_type = from->type;
	if (from->type == CHAIN_FRAMEBUFFER_RGB) /* else zero: of an indexed one's palette, no colours are known */
		memcpy((uint8_t *)out + CHAIN_MB1_COLORS_AT, from->colors, sizeof(from->colors));
}

enum chain_status chain_multiboot_info_build(const struct chain_multiboot_info *info, uint64_t phys, void *buf,
					     struct chain_error *err)
{
	struct layout layout;
	enum chain_status status = make_layout(info, &layout, err);
	if (status)
		return status;
	if (layout.bytes > CHAIN_4G || phys > CHAIN_4G - layout.bytes)
		return CHAIN_FAIL(err, MULTIBOOT_INFO_PLACE, .subject = info->subject, .base = phys,
				  .bytes = layout.bytes);
	uint8_t *block = buf;
	memset(block, 0, layout.strings);
	struct string_writer strings = { block, phys, layout.strings };
	struct multiboot_info out = {
		.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MEM_MAP |
			 MULTIBOOT_INFO_BOOT_LOADER_NAME,
		/* Lower memory ends at 640 KiB at most; upper memory is what follows 1 MiB without a hole. */
		.mem_lower = chain_memory_contiguous_kib(info->mem, info->mem_count, 0, 640 * 1024),
		.mem_upper = chain_memory_contiguous_kib(info->mem, info->mem_count, 1 << 20, CHAIN_4G),
		.cmdline = put_string(&strings, info->cmdline),
		.boot_loader_name = put_string(&strings, info->loader_name),
		.mods_count = (uint32_t)info->module_count, /* that there are none is an answer */
		.mods_addr = (uint32_t)(phys + layout.modules),
		.mmap_length = (uint32_t)(layout.strings - layout.mmap),
		.mmap_addr = (uint32_t)(phys + layout.mmap),
	};
	if (info->framebuffer.phys)
		put_framebuffer(&info->framebuffer, &out);
	memcpy(block, &out, sizeof(out));
	put_mmap(info, block + layout.mmap);
	return put_modules(info, &strings, block + layout.modules, err);
}
