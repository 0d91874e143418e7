/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The information structure of Multiboot 1, section 3.3: reading the one a boot loader left. Nothing in it is trusted.
 */
#include "boot_source.h"

#include "chain/multiboot1_format.h"

#include <stdlib.h>
#include <string.h>

static const char subject[] = "multiboot information";

static enum chain_status read_mmap(const struct boot_source *source, const struct multiboot_info *info,
				   struct chain_bootinfo *out)
{
	const void *map = NULL;
	enum chain_status status =
		boot_source_limit(source, "bytes of memory map", info->mmap_length, CHAIN_BOOT_MMAP_MAX);
	if (!status)
		status = boot_source_fetch(source, "memory map", info->mmap_addr, info->mmap_length, &map);
	if (status)
		return status;
	for (uint32_t at = 0; at < info->mmap_length;) {
		struct multiboot_mmap_entry entry = { 0 };
		uint32_t left = info->mmap_length - at;
		memcpy(&entry, (const uint8_t *)map + at, left < sizeof(entry) ? left : sizeof(entry));
		uint64_t step = (uint64_t)entry.size + sizeof(entry.size);
		if (left < sizeof(entry) || step < sizeof(entry) || step > left)
			return CHAIN_FAIL(source->err, MULTIBOOT_INFO_MMAP, .subject = subject,
					  .base = (uint64_t)info->mmap_addr + at, .bytes = step, .left = left);
		status = chain_bootinfo_add_mem(out, entry.addr, entry.len, entry.type, source->err);
		if (status)
			return status;
		at += (uint32_t)step;
	}
	return CHAIN_OK;
}

/* A loader that gave no map may have given the two sizes. */
static enum chain_status read_memory(const struct boot_source *source, const struct multiboot_info *info,
				     struct chain_bootinfo *out)
{
	enum chain_status status;
	if (info->flags & MULTIBOOT_INFO_MEM_MAP && info->mmap_length) {
		status = read_mmap(source, info, out);
	} else if (info->flags & MULTIBOOT_INFO_MEMORY) {
		status = chain_bootinfo_add_mem(out, 0, (uint64_t)info->mem_lower * 1024, CHAIN_MEM_AVAILABLE,
						source->err);
		if (!status)
			status = chain_bootinfo_add_mem(out, 1 << 20, (uint64_t)info->mem_upper * 1024,
							CHAIN_MEM_AVAILABLE, source->err);
	} else {
		status = CHAIN_FAIL(source->err, MULTIBOOT_INFO_NO_MEMORY, .subject = subject, .flags = info->flags);
	}
	return status ? status : boot_source_end_map(source, out, info->flags);
}

static enum chain_status read_module(const struct boot_source *source, uint32_t index,
				     const struct multiboot_mod_list *module, struct chain_bootinfo *out)
{
	char *string = NULL;
	const void *unused;
	if (module->mod_end < module->mod_start)
		return CHAIN_FAIL(source->err, MULTIBOOT_INFO_MODULE, .subject = subject, .index = index,
				  .base = module->mod_start, .end = module->mod_end);
	enum chain_status status = CHAIN_OK;
	if (module->mod_end > module->mod_start)
		status = boot_source_fetch(source, "module", module->mod_start,
					   (uint64_t)module->mod_end - module->mod_start, &unused);
	if (!status)
		status = boot_source_copy_string(source, "module string", module->cmdline, &string);
	if (!status)
		status = chain_bootinfo_add_module(out, module->mod_start,
						   (uint64_t)module->mod_end - module->mod_start, string, source->err);
	free(string);
	return status;
}

static enum chain_status read_modules(const struct boot_source *source, const struct multiboot_info *info,
				      struct chain_bootinfo *out)
{
	const void *table = NULL;
	if (!info->mods_count)
		return CHAIN_OK;
	enum chain_status status = boot_source_limit(source, "modules", info->mods_count, CHAIN_BOOT_MODULES_MAX);
	if (!status)
		status = boot_source_fetch(source, "module list", info->mods_addr,
					   (uint64_t)info->mods_count * sizeof(struct multiboot_mod_list), &table);
	for (uint32_t i = 0; !status && i < info->mods_count; i++) {
		struct multiboot_mod_list module;
		memcpy(&module, (const uint8_t *)table + i * sizeof(module), sizeof(module));
		status = read_module(source, i, &module, out);
	}
	return status;
}

static void read_framebuffer(const struct multiboot_info *info, struct chain_framebuffer *out)
{
	*out = (struct chain_framebuffer){
		.phys = info->framebuffer_addr,
		.pitch_bytes = info->framebuffer_pitch,
		.width = info->framebuffer_width,
		.height = info->framebuffer_height,
		.bpp = info->framebuffer_bpp,
		.type = info->framebuffer_type,
	};
	/* Red has bits: where it has none by the table, what stands there aligns the colours behind it. */
	const uint8_t *bytes = (const uint8_t *)info, *by_table = bytes + CHAIN_MB1_TABLE_COLORS_AT;
	if (out->type == CHAIN_FRAMEBUFFER_RGB)
		memcpy(out->colors, by_table[1] ? by_table : bytes + CHAIN_MB1_COLORS_AT, sizeof(out->colors));
}

/* The structure itself. Loaders older than the framebuffer fields may have left less than all of it at the end of
 * memory. */
static enum chain_status fetch_info(const struct boot_source *source, uint64_t phys, struct multiboot_info *out)
{
	const void *at = NULL;
	uint64_t bytes = CHAIN_MB1_INFO_TABLE_BYTES;
	*out = (struct multiboot_info){ 0 };
	enum chain_status status = boot_source_fetch(source, "structure", phys, sizeof(out->flags), &at);
	if (status)
		return status;
	memcpy(&out->flags, at, sizeof(out->flags));
	if (!(out->flags & MULTIBOOT_INFO_FRAMEBUFFER_INFO))
		bytes = offsetof(struct multiboot_info, framebuffer_addr);
	else if (source->map(source->ctx, phys, sizeof(*out))) /* the table's may end where memory does */
		bytes = sizeof(*out);
	status = boot_source_fetch(source, "structure", phys, bytes, &at);
	if (!status)
		memcpy(out, at, (size_t)bytes);
	return status;
}

enum chain_status chain_multiboot1_info_read(uint64_t phys, chain_boot_map *map, void *ctx, struct chain_bootinfo *out,
					     struct chain_error *err)
{
	struct boot_source source = { map, ctx, subject, err };
	struct multiboot_info info;
	enum chain_status status = fetch_info(&source, phys, &info);
	if (status)
		return status;
	status = read_memory(&source, &info, out);
	if (!status && info.flags & MULTIBOOT_INFO_CMDLINE)
		status = boot_source_set_string(&source, "command line", info.cmdline, &out->cmdline);
	if (!status && info.flags & MULTIBOOT_INFO_BOOT_LOADER_NAME)
		status = boot_source_set_string(&source, "boot loader name", info.boot_loader_name, &out->loader);
	if (!status && info.flags & MULTIBOOT_INFO_MODS)
		status = read_modules(&source, &info, out);
	if (!status && info.flags & MULTIBOOT_INFO_FRAMEBUFFER_INFO)
		read_framebuffer(&info, &out->framebuffer);
	return status;
}
