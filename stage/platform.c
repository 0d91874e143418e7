/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/platform.h"

#include "stage/boot.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdlib.h>

static void take_over(const json_t *parent, const char *key, bool (*is_good)(uint64_t phys), uint64_t *out)
{
	const char *text = json_string_value(json_object_get(json_object_get(parent, "platform"), key));
	uint64_t phys = text && !*out ? strtoull(text, NULL, 16) : 0;
	if (phys && is_good(phys))
		*out = phys;
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
			stage_say("machine", "%s does not say where ACPI's tables are; a search found them, from 0x%" PRIx64 " on", info->door,
				  info->acpi_rsdp);
		else
			stage_say("machine", "no table of the firmware's lists the processors: one is used");
	}
	info->cpus = cpus ? cpus : 1;
}
