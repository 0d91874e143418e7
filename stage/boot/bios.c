/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Tables that a PC's firmware leaves below 1 MiB. */

#include "stage/boot.h"
#include "stage/pages.h"

#include <string.h>

enum { EBDA_SEGMENT = 0x40e, ROM_BASE = 0xe0000, SMBIOS_BASE = 0xf0000, ROM_END = 0x100000, STEP = 16, RSDP_BYTES = 20, SMBIOS_BYTES = 31 };

static bool sums_to_zero(const uint8_t *bytes, size_t count)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

/* Some ten thousand places are looked at in every boot: first at four bytes, without a call. */
static uint64_t find(uint64_t base, uint64_t end, const char *magic, size_t magic_bytes, size_t sum_bytes)
{
	const uint8_t *first = stage_phys_view(base, end - base);
	uint32_t wanted, here;
	if (!first)
		return 0;
	const uint8_t *last = first + (end - base) - sum_bytes;
	memcpy(&wanted, magic, sizeof(wanted));
	for (const uint8_t *at = first; at <= last; at += STEP) {
		memcpy(&here, at, sizeof(here));
		if (here == wanted && !memcmp(at, magic, magic_bytes) && sums_to_zero(at, sum_bytes))
			return base + (uint64_t)(at - first);
	}
	return 0;
}

uint64_t stage_find_rsdp(void)
{
	enum { EBDA_BYTES = 1024, EBDA_LOWEST = 0x400 };
	uint16_t segment = 0;
	const void *at = stage_phys_view(EBDA_SEGMENT, sizeof(segment));
	if (at)
		memcpy(&segment, at, sizeof(segment));
	uint64_t ebda = (uint64_t)segment << 4, found = 0;
	if (ebda >= EBDA_LOWEST && ebda < ROM_BASE)
		found = find(ebda, ebda + EBDA_BYTES, "RSD PTR ", 8, RSDP_BYTES);
	return found ? found : find(ROM_BASE, ROM_END, "RSD PTR ", 8, RSDP_BYTES);
}

uint64_t stage_find_smbios(void)
{
	enum { SMBIOS3_BYTES = 24 };
	uint64_t found = find(SMBIOS_BASE, ROM_END, "_SM3_", 5, SMBIOS3_BYTES);
	return found ? found : find(SMBIOS_BASE, ROM_END, "_SM_", 4, SMBIOS_BYTES);
}
