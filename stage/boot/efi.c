/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where a UEFI firmware's configuration tables say that ACPI and SMBIOS begin (UEFI 2.10 sections 4.3 and 4.6). Boot
 * services are over: nothing of the firmware is called, and its tables are bounded like anybody's. */

#include "stage/boot.h"
#include "stage/pages.h"

#include <string.h>

enum { TABLE_BYTES = 72, HEADER_SIZE_AT = 12, GUID_BYTES = 16, TABLES_MAX = 1024 };
/* The table of a firmware with words of 32 bits, and of 64; its header says which. The count of configuration tables
 * and their place come last in both. */
enum { TABLE64_BYTES = 120, COUNT_AT = 64, COUNT64_AT = 104 };

/* A first field of 32 bits, two of 16, eight bytes: as UEFI 2.10 appendix A lays GUIDs out in memory. The better one of
 * each comes first. */
static const struct row {
	uint8_t guid[GUID_BYTES];
	bool is_smbios;
} rows[] = {
	{ { 0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 },
	  false }, /* ACPI 2.0 */
	{ { 0x30, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d },
	  false }, /* ACPI 1.0 */
	{ { 0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a, 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94 },
	  true }, /* SMBIOS 3 */
	{ { 0x31, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d },
	  true }, /* SMBIOS */
};

static uint64_t word(const uint8_t *at, bool wide)
{
	uint64_t value = 0;
	memcpy(&value, at, 4);
	if (wide)
		memcpy(&value, at, 8);
	return value;
}

/* The first entry of that kind that leads to what it promises. */
static uint64_t find(const struct row *row, const uint8_t *entries, uint64_t count, bool wide)
{
	for (; count; count--, entries += GUID_BYTES + (wide ? 8 : 4)) {
		uint64_t phys = word(entries + GUID_BYTES, wide);
		if (!memcmp(entries, row->guid, GUID_BYTES) &&
		    (row->is_smbios ? stage_is_smbios(phys) : stage_is_rsdp(phys)))
			return phys;
	}
	return 0;
}

void stage_efi_find(struct chain_bootinfo *info)
{
	const uint8_t *table = info->efi_system_table ? stage_phys_view(info->efi_system_table, TABLE_BYTES) : NULL;
	if (!table || memcmp(table, "IBI SYST", 8))
		return;
	uint32_t bytes = (uint32_t)word(table + HEADER_SIZE_AT, false);
	bool wide = bytes == TABLE64_BYTES;
	table = wide || bytes == TABLE_BYTES ? stage_phys_view(info->efi_system_table, bytes) : NULL;
	if (!table)
		return;
	const uint8_t *at = table + (wide ? COUNT64_AT : COUNT_AT);
	uint64_t count = word(at, wide), entry_bytes = GUID_BYTES + (wide ? 8 : 4);
	const uint8_t *entries = count && count <= TABLES_MAX ?
					 stage_phys_view(word(at + (wide ? 8 : 4), wide), count * entry_bytes) :
					 NULL;
	for (size_t i = 0; entries && i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t *out = rows[i].is_smbios ? &info->smbios : &info->acpi_rsdp;
		if (!*out)
			*out = find(&rows[i], entries, count, wide);
	}
}
