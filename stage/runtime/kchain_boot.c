/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The machine for authors of native kernels that are booted. */

#include <kchain.h>

#include "stage/boot.h"
#include "stage/pages.h"
#include "stage/runtime.h"

/* Null: it was called. */
static const struct chain_bootinfo *bootinfo(void)
{
	return stage_boot.face->owns_machine ? stage_bootinfo() : NULL;
}

bool kchain_boot(struct kchain_boot *out)
{
	const struct chain_bootinfo *info = bootinfo();
	if (info)
		*out = (struct kchain_boot){ info->door, info->loader, info->acpi_rsdp };
	return info;
}

bool kchain_module(unsigned index, struct kchain_module *out)
{
	const struct chain_bootinfo *info = bootinfo();
	if (!info || index >= info->module_count)
		return false;
	const struct chain_boot_module *module = &info->modules[index];
	*out = (struct kchain_module){ module->string, stage_phys_to_virt(module->range.base),
				       chain_range_bytes(module->range), module->range.base };
	return true;
}

bool kchain_memory(unsigned index, struct kchain_memory *out)
{
	const struct chain_bootinfo *info = bootinfo();
	if (!info || index >= info->mem_count)
		return false;
	*out = (struct kchain_memory){ info->mem[index].range.base, info->mem[index].range.end, info->mem[index].type };
	return true;
}
