/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* PVH's start information (Xen's public header arch-x86/hvm/start_info.h): reading the one a boot loader left. Nothing
 * in it is trusted. What has address 0 is not there. */
#include "boot_source.h"

#include "chain/pvh_format.h"
#include "abi/module_name.h"

#include <stdlib.h>
#include <string.h>

static const char subject[] = "PVH start information";

static enum chain_status read_map(const struct boot_source *source, const struct chain_pvh_info *info,
				  struct chain_bootinfo *out)
{
	const void *table = NULL;
	struct chain_pvh_mmap_entry entry;
	const uint64_t bytes = (uint64_t)info->mmap_count * sizeof(entry);
	enum chain_status status = CHAIN_OK;
	if (bytes && info->mmap) {
		status = boot_source_limit(source, "bytes of memory map", bytes, CHAIN_BOOT_MMAP_MAX);
		if (!status)
			status = boot_source_fetch(source, "memory map", info->mmap, bytes, &table);
	}
	for (uint64_t at = 0; !status && table && at < bytes; at += sizeof(entry)) {
		memcpy(&entry, (const uint8_t *)table + at, sizeof(entry));
		status = chain_bootinfo_add_mem(out, entry.base, entry.bytes, entry.type, source->err);
	}
	return status ? status : boot_source_end_map(source, out, info->flags);
}

/* Those who start kernels so have one initial RAM disk to give, and no string with it: a JSON object is the handoff. */
static bool is_handoff(const struct boot_source *source, const struct chain_pvh_module *module)
{
	const char *first =
		module->bytes && module->base <= UINT32_MAX ? source->map(source->ctx, module->base, 1) : NULL;
	return first && *first == '{';
}

static bool is_text(const char *string)
{
	for (const char *c = string; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	}
	return chain_is_utf8(string);
}

/* qboot, the firmware of QEMU's microvm, leaves the address of a module's string as its stack had it: what is not
 * text in memory is no string. */
static enum chain_status copy_module_string(const struct boot_source *source, uint64_t phys, char **out)
{
	struct chain_error unread = { 0 };
	const struct boot_source quiet = { source->map, source->ctx, source->subject, &unread };
	enum chain_status status = boot_source_copy_string(&quiet, "module string", phys, out);
	if (!status && !is_text(*out))
		**out = '\0';
	if (status && status != CHAIN_E_NO_MEMORY)
		status = boot_source_copy_string(source, "module string", 0, out);
	else if (status && source->err)
		*source->err = unread;
	return status;
}

/* Whether there is memory where a module is said to lie, perhaps above 4 GiB, is for others to see. */
static enum chain_status read_module(const struct boot_source *source, const struct chain_pvh_module *module,
				     struct chain_bootinfo *out)
{
	char *string = NULL;
	enum chain_status status = copy_module_string(source, module->cmdline, &string);
	if (!status)
		status = chain_bootinfo_add_module(
			out, module->base, module->bytes,
			!*string && is_handoff(source, module) ? KCHAIN_HANDOFF_NAME : string, source->err);
	free(string);
	return status;
}

static enum chain_status read_modules(const struct boot_source *source, const struct chain_pvh_info *info,
				      struct chain_bootinfo *out)
{
	const void *table = NULL;
	struct chain_pvh_module module;
	if (!info->module_count || !info->modules)
		return CHAIN_OK;
	enum chain_status status = boot_source_limit(source, "modules", info->module_count, CHAIN_BOOT_MODULES_MAX);
	if (!status)
		status = boot_source_fetch(source, "module list", info->modules,
					   (uint64_t)info->module_count * sizeof(module), &table);
	for (uint32_t i = 0; !status && i < info->module_count; i++) {
		memcpy(&module, (const uint8_t *)table + i * sizeof(module), sizeof(module));
		status = read_module(source, &module, out);
	}
	return status;
}

/* Version 0 has no memory map, and may end where that would begin. */
static enum chain_status fetch_info(const struct boot_source *source, uint64_t phys, struct chain_pvh_info *out)
{
	const void *at = NULL;
	*out = (struct chain_pvh_info){ 0 };
	enum chain_status status =
		boot_source_fetch(source, "structure", phys, offsetof(struct chain_pvh_info, mmap), &at);
	if (status)
		return status;
	memcpy(out, at, offsetof(struct chain_pvh_info, mmap));
	if (out->magic != CHAIN_PVH_MAGIC)
		return CHAIN_FAIL(source->err, PVH_MAGIC, .subject = subject, .magic = out->magic,
				  .wanted = CHAIN_PVH_MAGIC);
	if (out->version < CHAIN_PVH_VERSION)
		return CHAIN_OK;
	status = boot_source_fetch(source, "structure", phys, sizeof(*out), &at);
	if (!status)
		memcpy(out, at, sizeof(*out));
	return status;
}

enum chain_status chain_pvh_info_read(uint64_t phys, chain_boot_map *map, void *ctx, struct chain_bootinfo *out,
				      struct chain_error *err)
{
	const struct boot_source source = { map, ctx, subject, err };
	struct chain_pvh_info info;
	enum chain_status status = fetch_info(&source, phys, &info);
	if (status)
		return status;
	out->acpi_rsdp = info.rsdp;
	status = read_map(&source, &info, out);
	if (!status)
		status = boot_source_set_string(&source, "command line", info.cmdline, &out->cmdline);
	return status ? status : read_modules(&source, &info, out);
}
