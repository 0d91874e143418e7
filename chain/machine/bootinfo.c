/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/bootinfo.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = malloc(bytes);
	return copy ? memcpy(copy, text, bytes) : NULL;
}

void chain_bootinfo_init(struct chain_bootinfo *info)
{
	*info = (struct chain_bootinfo){ .cpus = 1, .loader = copy_text(""), .cmdline = copy_text("") };
}

void chain_bootinfo_free(struct chain_bootinfo *info)
{
	if (!info)
		return;
	for (size_t i = 0; i < info->module_count; i++)
		free(info->modules[i].string);
	free(info->modules);
	free(info->mem);
	free(info->loader);
	free(info->cmdline);
	*info = (struct chain_bootinfo){ 0 };
}

static enum chain_status no_memory(uint64_t bytes, struct chain_error *err)
{
	return chain_fail_no_memory(err, "boot information", bytes);
}

enum chain_status chain_bootinfo_make(struct chain_bootinfo *info, struct chain_error *err)
{
	chain_bootinfo_init(info);
	return info->loader && info->cmdline ? CHAIN_OK : no_memory(sizeof(*info), err);
}

/* Room for one more; arrays double at powers of two, so the count alone says when. */
static void *grow(void *array, size_t count, size_t each)
{
	if (count & (count - 1))
		return array;
	return realloc(array, (count ? 2 * count : 1) * each);
}

enum chain_status chain_bootinfo_add_mem(struct chain_bootinfo *info, uint64_t base, uint64_t bytes, uint32_t type,
					 struct chain_error *err)
{
	struct chain_range range;
	if (!bytes)
		return CHAIN_OK;
	enum chain_status status = chain_range_make(base, bytes, "memory map", &range, err);
	if (status)
		return status;
	struct chain_mem_entry *grown = grow(info->mem, info->mem_count, sizeof(*grown));
	if (!grown)
		return no_memory((info->mem_count + 1) * sizeof(*grown), err);
	info->mem = grown;
	info->mem[info->mem_count++] = (struct chain_mem_entry){ range, type };
	return CHAIN_OK;
}

enum chain_status chain_bootinfo_add_module(struct chain_bootinfo *info, uint64_t base, uint64_t bytes,
					    const char *string, struct chain_error *err)
{
	struct chain_range range;
	enum chain_status status = chain_range_make(base, bytes, "boot module", &range, err);
	if (status)
		return status;
	struct chain_boot_module *grown = grow(info->modules, info->module_count, sizeof(*grown));
	if (!grown)
		return no_memory((info->module_count + 1) * sizeof(*grown), err);
	info->modules = grown;
	char *copy = copy_text(string);
	if (!copy)
		return no_memory(strlen(string) + 1, err);
	info->modules[info->module_count++] = (struct chain_boot_module){ range, copy };
	return CHAIN_OK;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* What a stretch between two neighbouring bounds is: the strongest claim on it; 0: nobody speaks of it. */
static uint32_t type_at(const struct chain_bootinfo *info, uint64_t address)
{
	uint32_t type = 0;
	for (size_t i = 0; i < info->mem_count; i++) {
		const struct chain_mem_entry *entry = &info->mem[i];
		if (address < entry->range.base || address >= entry->range.end)
			continue;
		if (!type ||
		    (entry->type != CHAIN_MEM_AVAILABLE && (type == CHAIN_MEM_AVAILABLE || entry->type > type)))
			type = entry->type;
	}
	return type;
}

enum chain_status chain_bootinfo_normalise(struct chain_bootinfo *info, struct chain_error *err)
{
	size_t count = 2 * info->mem_count, used = 0;
	uint64_t *bounds = malloc((count ? count : 1) * sizeof(*bounds));
	struct chain_mem_entry *mem = malloc((count ? count : 1) * sizeof(*mem));
	if (!bounds || !mem) {
		free(bounds);
		free(mem);
		return no_memory((count ? count : 1) * sizeof(*mem), err);
	}
	for (size_t i = 0; i < info->mem_count; i++) {
		bounds[2 * i] = info->mem[i].range.base;
		bounds[2 * i + 1] = info->mem[i].range.end;
	}
	qsort(bounds, count, sizeof(*bounds), by_address);
	for (size_t i = 0; i + 1 < count; i++) {
		uint32_t type = bounds[i] < bounds[i + 1] ? type_at(info, bounds[i]) : 0;
		if (!type)
			continue;
		if (used && mem[used - 1].type == type && mem[used - 1].range.end == bounds[i])
			mem[used - 1].range.end = bounds[i + 1];
		else
			mem[used++] = (struct chain_mem_entry){ { bounds[i], bounds[i + 1] }, type };
	}
	/* add_mem grows at powers of two: give it the room it expects. */
	size_t room = 1;
	while (room < used)
		room *= 2;
	struct chain_mem_entry *fitted = realloc(mem, room * sizeof(*mem));
	free(bounds);
	if (!fitted) {
		free(mem);
		return no_memory(room * sizeof(*mem), err);
	}
	free(info->mem);
	info->mem = fitted;
	info->mem_count = used;
	return CHAIN_OK;
}

uint32_t chain_memory_contiguous_kib(const struct chain_mem_entry *mem, size_t count, uint64_t base, uint64_t limit)
{
	uint64_t end = base;
	for (size_t i = 0; i < count; i++)
		if (mem[i].type == CHAIN_MEM_AVAILABLE && mem[i].range.base <= end && mem[i].range.end > end)
			end = mem[i].range.end;
	return (uint32_t)(((end < limit ? end : limit) - base) / 1024);
}
