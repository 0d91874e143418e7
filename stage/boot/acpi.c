/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the firmware reports: processors, by the Multiple APIC Description Table (ACPI 6.5 section 5.2.12), and where
 * PCI's configuration space lies in memory, by the MCFG table (PCI Firmware 3.3 section 4.1.2). The tables are the
 * firmware's, but they are bounded like anybody's: a length that does not fit ends the search. */

#include "stage/boot.h"
#include "stage/pages.h"

#include <string.h>

enum {
	RSDP_REVISION = 15,
	RSDP_RSDT = 16,
	RSDP_XSDT = 24, /* 5.2.5.3 */
	RSDP_BYTES = 20,
	RSDP2_BYTES = 36,
	HEADER_BYTES = 36,
	HEADER_LENGTH = 4,
	TABLE_MAX = 1 << 20, /* 5.2.6 */
	MADT_ENTRIES = 44,
	ENTRY_LAPIC = 0,
	LAPIC_BYTES = 8,
	LAPIC_ID = 3,
	LAPIC_FLAGS = 4, /* 5.2.12.2 */
	ENTRY_X2APIC = 9,
	X2APIC_BYTES = 16,
	X2APIC_ID = 4,
	X2APIC_FLAGS = 8, /* 5.2.12.12 */
	ENABLED = 1,
	MCFG_ENTRIES = 44,
	MCFG_ENTRY_BYTES = 16,
	MCFG_SEGMENT = 8,
	MCFG_FIRST_BUS = 10,
	MCFG_LAST_BUS = 11,
};

static uint64_t read(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;
	memcpy(&value, at, bytes);
	return value;
}

/* A whole table, or null. */
static const uint8_t *table(uint64_t phys, const char *signature, uint32_t *out_bytes)
{
	const uint8_t *header = phys ? stage_phys_view(phys, HEADER_BYTES) : NULL;
	uint32_t count = header ? (uint32_t)read(header + HEADER_LENGTH, 4) : 0;
	if (count < HEADER_BYTES || count > TABLE_MAX || memcmp(header, signature, 4))
		return NULL;
	*out_bytes = count;
	return stage_phys_view(phys, count);
}

static const uint8_t *find_table(uint64_t rsdp_phys, const char *signature, uint32_t *out_bytes)
{
	const uint8_t *rsdp = rsdp_phys ? stage_phys_view(rsdp_phys, RSDP_BYTES) : NULL;
	uint32_t root_bytes = 0;
	size_t width = 8;
	if (!rsdp)
		return NULL;
	const uint8_t *rsdp2 = rsdp[RSDP_REVISION] >= 2 ? stage_phys_view(rsdp_phys, RSDP2_BYTES) : NULL;
	const uint8_t *root = rsdp2 ? table(read(rsdp2 + RSDP_XSDT, 8), "XSDT", &root_bytes) : NULL;
	if (!root) {
		width = 4;
		root = table(read(rsdp + RSDP_RSDT, 4), "RSDT", &root_bytes);
	}
	for (uint32_t at = HEADER_BYTES; root && at + width <= root_bytes; at += (uint32_t)width) {
		const uint8_t *found = table(read(root + at, width), signature, out_bytes);
		if (found)
			return found;
	}
	return NULL;
}

/* The local APIC's id that an entry of the table tells, if it is one of a processor that can be used. */
static bool usable_processor(const uint8_t *entry, uint32_t *apic_id)
{
	uint32_t kind = entry[0], bytes = entry[1];
	if (kind == ENTRY_LAPIC && bytes >= LAPIC_BYTES) {
		*apic_id = entry[LAPIC_ID];
		return entry[LAPIC_FLAGS] & ENABLED;
	}
	if (kind == ENTRY_X2APIC && bytes >= X2APIC_BYTES) {
		*apic_id = (uint32_t)read(entry + X2APIC_ID, 4);
		return entry[X2APIC_FLAGS] & ENABLED;
	}
	return false;
}

uint32_t stage_list_cpus(uint64_t rsdp_phys, uint32_t *apic_ids, uint32_t room)
{
	uint32_t bytes = 0, cpus = 0, id;
	const uint8_t *madt = find_table(rsdp_phys, "APIC", &bytes);
	for (uint32_t at = MADT_ENTRIES; madt && at + 2 <= bytes;) {
		uint32_t count = madt[at + 1];
		if (count < 2 || count > bytes - at)
			break;
		if (usable_processor(madt + at, &id)) {
			if (cpus < room)
				apic_ids[cpus] = id;
			cpus++;
		}
		at += count;
	}
	return cpus ? cpus : stage_list_mp_cpus(apic_ids, room);
}

bool stage_find_config_space(uint64_t rsdp_phys, struct stage_config_space *out)
{
	uint32_t bytes = 0;
	const uint8_t *mcfg = find_table(rsdp_phys, "MCFG", &bytes);
	for (uint32_t at = MCFG_ENTRIES; mcfg && at + MCFG_ENTRY_BYTES <= bytes; at += MCFG_ENTRY_BYTES) {
		const uint8_t *entry = mcfg + at;
		*out = (struct stage_config_space){ read(entry, 8), entry[MCFG_FIRST_BUS], entry[MCFG_LAST_BUS] };
		if (!read(entry + MCFG_SEGMENT, 2) && out->first_bus <= out->last_bus)
			return true;
	}
	return false;
}
