/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The information structure of Multiboot 1, section 3.3: reading the one a boot loader left. Nothing in it is trusted.
 */
#include "chain/multiboot.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_4G ((uint64_t)UINT32_MAX + 1)
enum { PAGE_BYTES = 4096 };
static const char subject[] = "multiboot information";

struct source {
	chain_multiboot_map *map;
	void *ctx;
	struct chain_error *err;
};

/* The gate to the loader's memory. `what` names the field in errors. */
static enum chain_status fetch(const struct source *source, const char *what, uint64_t phys, uint64_t bytes,
			       const void **out)
{
	const void *at = NULL;
	if (bytes && bytes <= LIMIT_4G && phys <= LIMIT_4G - bytes)
		at = source->map(source->ctx, phys, bytes);
	if (!at)
		return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_UNREADABLE, subject, what, phys, bytes, 0, 0);
	*out = at;
	return CHAIN_OK;
}

/* Length of a terminated string, looked at page by page, since what lies behind its end may not be memory. */
static enum chain_status string_length(const struct source *source, const char *what, uint32_t phys, size_t *out)
{
	uint64_t length = 0;
	while (length < CHAIN_MULTIBOOT_STRING_MAX) {
		uint64_t at = phys + length, chunk = PAGE_BYTES - at % PAGE_BYTES;
		const void *bytes = NULL;
		if (chunk > CHAIN_MULTIBOOT_STRING_MAX - length)
			chunk = CHAIN_MULTIBOOT_STRING_MAX - length;
		enum chain_status status = fetch(source, what, at, chunk, &bytes);
		if (status)
			return status;
		const char *end = memchr(bytes, 0, (size_t)chunk);
		if (end) {
			*out = (size_t)(length + (uint64_t)(end - (const char *)bytes));
			return CHAIN_OK;
		}
		length += chunk;
	}
	return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_STRING, subject, what, phys, CHAIN_MULTIBOOT_STRING_MAX,
			  0, 0);
}

/* A copy of a terminated string: *out is the caller's to free. A null address is an empty string. */
static enum chain_status copy_string(const struct source *source, const char *what, uint32_t phys, char **out)
{
	size_t length = 0;
	const void *bytes = "";
	enum chain_status status = CHAIN_OK;
	if (phys) {
		status = string_length(source, what, phys, &length);
		if (!status)
			status = fetch(source, what, phys, (uint64_t)length + 1, &bytes);
		if (status)
			return status;
	}
	char *copy = malloc(length + 1);
	if (!copy)
		return chain_fail(source->err, CHAIN_E_NO_MEMORY, what, NULL, (uint64_t)length + 1, 0, 0, 0);
	memcpy(copy, bytes, length);
	copy[length] = '\0'; /* whatever happened to the loader's memory in between */
	*out = copy;
	return CHAIN_OK;
}

/* Replaces a string that the bootinfo owns. */
static enum chain_status set_string(const struct source *source, const char *what, uint32_t phys, char **owned)
{
	char *copy = NULL;
	enum chain_status status = copy_string(source, what, phys, &copy);
	if (status)
		return status;
	free(*owned);
	*owned = copy;
	return CHAIN_OK;
}

static enum chain_status read_mmap(const struct source *source, const struct chain_mb1_info *info,
				   struct chain_bootinfo *out)
{
	const void *map = NULL;
	if (info->mmap_length > CHAIN_MULTIBOOT_MMAP_MAX)
		return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_LIMIT, subject, "bytes of memory map",
				  info->mmap_length, CHAIN_MULTIBOOT_MMAP_MAX, 0, 0);
	enum chain_status status = fetch(source, "memory map", info->mmap_addr, info->mmap_length, &map);
	if (status)
		return status;
	for (uint32_t at = 0; at < info->mmap_length;) {
		struct chain_mb1_mmap_entry entry = { 0 };
		uint32_t left = info->mmap_length - at;
		memcpy(&entry, (const uint8_t *)map + at, left < sizeof(entry) ? left : sizeof(entry));
		uint64_t step = (uint64_t)entry.size + sizeof(entry.size);
		if (left < sizeof(entry) || step < sizeof(entry) || step > left)
			return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_MMAP, subject, NULL,
					  (uint64_t)info->mmap_addr + at, step, left, 0);
		status = chain_bootinfo_add_mem(out, entry.base, entry.bytes, entry.type, source->err);
		if (status)
			return status;
		at += (uint32_t)step;
	}
	return CHAIN_OK;
}

/* A loader that gave no map may have given the two sizes. */
static enum chain_status read_memory(const struct source *source, const struct chain_mb1_info *info,
				     struct chain_bootinfo *out)
{
	enum chain_status status;
	if (info->flags & CHAIN_MB1_INFO_MMAP && info->mmap_length) {
		status = read_mmap(source, info, out);
	} else if (info->flags & CHAIN_MB1_INFO_MEMORY) {
		status = chain_bootinfo_add_mem(out, 0, (uint64_t)info->mem_lower * 1024, CHAIN_MEM_AVAILABLE,
						source->err);
		if (!status)
			status = chain_bootinfo_add_mem(out, 1 << 20, (uint64_t)info->mem_upper * 1024,
							CHAIN_MEM_AVAILABLE, source->err);
	} else {
		status = chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY, subject, NULL, info->flags, 0, 0, 0);
	}
	if (!status)
		status = chain_bootinfo_normalise(out, source->err);
	if (!status && !out->mem_count) /* entries without a byte, or of no type */
		status = chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY, subject, NULL, info->flags, 0, 0, 0);
	return status;
}

static enum chain_status read_module(const struct source *source, uint32_t index, const struct chain_mb1_module *module,
				     struct chain_bootinfo *out)
{
	char *string = NULL;
	const void *unused;
	if (module->end < module->start)
		return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_MODULE, subject, NULL, index, module->start,
				  module->end, 0);
	enum chain_status status = CHAIN_OK;
	if (module->end > module->start)
		status = fetch(source, "module", module->start, (uint64_t)module->end - module->start, &unused);
	if (!status)
		status = copy_string(source, "module string", module->string, &string);
	if (!status)
		status = chain_bootinfo_add_module(out, module->start, (uint64_t)module->end - module->start, string,
						   source->err);
	free(string);
	return status;
}

static enum chain_status read_modules(const struct source *source, const struct chain_mb1_info *info,
				      struct chain_bootinfo *out)
{
	const void *table = NULL;
	if (!info->mods_count)
		return CHAIN_OK;
	if (info->mods_count > CHAIN_MULTIBOOT_MODULES_MAX)
		return chain_fail(source->err, CHAIN_E_MULTIBOOT_INFO_LIMIT, subject, "modules", info->mods_count,
				  CHAIN_MULTIBOOT_MODULES_MAX, 0, 0);
	enum chain_status status = fetch(source, "module list", info->mods_addr,
					 (uint64_t)info->mods_count * sizeof(struct chain_mb1_module), &table);
	for (uint32_t i = 0; !status && i < info->mods_count; i++) {
		struct chain_mb1_module module;
		memcpy(&module, (const uint8_t *)table + i * sizeof(module), sizeof(module));
		status = read_module(source, i, &module, out);
	}
	return status;
}

static void read_framebuffer(const struct chain_mb1_info *info, struct chain_framebuffer *out)
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
	bool by_table = info->table_color[1] != 0;
	if (out->type == CHAIN_FRAMEBUFFER_RGB)
		memcpy(out->colors, by_table ? info->table_color : info->color, sizeof(out->colors));
}

/* The structure itself. Loaders older than the framebuffer fields may have left less than all of it at the end of
 * memory. */
static enum chain_status fetch_info(const struct source *source, uint64_t phys, struct chain_mb1_info *out)
{
	const void *at = NULL;
	uint64_t bytes = CHAIN_MB1_INFO_TABLE_BYTES;
	*out = (struct chain_mb1_info){ 0 };
	enum chain_status status = fetch(source, "structure", phys, sizeof(out->flags), &at);
	if (status)
		return status;
	memcpy(&out->flags, at, sizeof(out->flags));
	if (!(out->flags & CHAIN_MB1_INFO_FRAMEBUFFER))
		bytes = offsetof(struct chain_mb1_info, framebuffer_addr);
	else if (source->map(source->ctx, phys, sizeof(*out))) /* the table's may end where memory does */
		bytes = sizeof(*out);
	status = fetch(source, "structure", phys, bytes, &at);
	if (!status)
		memcpy(out, at, (size_t)bytes);
	return status;
}

enum chain_status chain_multiboot_info_read(uint32_t eax, uint64_t phys, chain_multiboot_map *map, void *ctx,
					    struct chain_bootinfo *out, struct chain_error *err)
{
	static const char door[] = "multiboot1";
	struct source source = { map, ctx, err };
	struct chain_mb1_info info;
	if (eax != CHAIN_MB1_ENTRY_MAGIC)
		return chain_fail(err, CHAIN_E_MULTIBOOT_BAD_MAGIC, subject, NULL, eax, CHAIN_MB1_ENTRY_MAGIC, 0, 0);
	enum chain_status status = fetch_info(&source, phys, &info);
	if (status)
		return status;
	memcpy(out->door, door, sizeof(door));
	status = read_memory(&source, &info, out);
	if (!status && info.flags & CHAIN_MB1_INFO_CMDLINE)
		status = set_string(&source, "command line", info.cmdline, &out->cmdline);
	if (!status && info.flags & CHAIN_MB1_INFO_LOADER)
		status = set_string(&source, "boot loader name", info.boot_loader_name, &out->loader);
	if (!status && info.flags & CHAIN_MB1_INFO_MODULES)
		status = read_modules(&source, &info, out);
	if (!status && info.flags & CHAIN_MB1_INFO_FRAMEBUFFER)
		read_framebuffer(&info, &out->framebuffer);
	return status;
}
