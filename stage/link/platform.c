/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/platform.h"

#include "stage/boot.h"
#include "stage/pages.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void take_over(const json_t *parent, const char *key, bool (*is_good)(uint64_t phys), uint64_t *out)
{
	const char *text = json_string_value(json_object_get(json_object_get(parent, "platform"), key));
	uint64_t phys = text && !*out ? strtoull(text, NULL, 16) : 0;
	if (phys && is_good(phys))
		*out = phys;
}

/* ACPI 6.5, table 5.3: revision 0 ends before the extended fields. */
static uint32_t rsdp_length(const uint8_t *at)
{
	return at[15] ? 36 : 20;
}
/* SMBIOS 3.6, 5.2: the length stands at 6 behind the longer anchor, else at 5. */
static uint32_t smbios_length(const uint8_t *at)
{
	return at[3] == '3' ? at[6] : at[5];
}

/* What lies at a structure's address, for kernels that are told of it by a copy; 0: nothing that could be read, or
 * nothing known. */
static uint32_t copy_of(uint64_t phys, uint8_t *out, uint32_t room, uint32_t (*length)(const uint8_t *at))
{
	enum { LENGTH_IS_WITHIN = 20 };
	const uint8_t *at = phys ? stage_phys_view(phys, LENGTH_IS_WITHIN) : NULL;
	uint32_t bytes = at ? length(at) : 0;
	if (!bytes || bytes > room || !stage_phys_view(phys, bytes))
		return 0;
	memcpy(out, at, bytes);
	return bytes;
}

void stage_platform_complete(struct chain_bootinfo *info, const json_t *parent)
{
	uint64_t known = info->acpi_rsdp;
	take_over(parent, "smbios", stage_is_smbios, &info->smbios);
	take_over(parent, "acpi_rsdp", stage_is_rsdp, &info->acpi_rsdp);
	uint32_t cpus = known == info->acpi_rsdp && known ? info->cpus : stage_list_cpus(info->acpi_rsdp, NULL, 0);
	if (!cpus) {
		stage_search_kept(info);
		cpus = stage_list_cpus(info->acpi_rsdp, NULL, 0);
		if (cpus)
			stage_say("machine",
				  "%s does not say where ACPI's tables are; a search found them, from 0x%" PRIx64 " on",
				  info->door, info->acpi_rsdp);
		else
			stage_say("machine", "no table of the firmware's lists the processors: one is used");
	}
	info->cpus = cpus ? cpus : 1;
	info->rsdp_bytes = copy_of(info->acpi_rsdp, info->rsdp, sizeof(info->rsdp), rsdp_length);
	info->smbios_bytes = copy_of(info->smbios, info->smbios_entry, sizeof(info->smbios_entry), smbios_length);
}
