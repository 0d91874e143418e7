/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Which processors a firmware without ACPI reports: the MP configuration table (Multiprocessor Specification 1.4,
 * chapter 4). A table whose sum or length is wrong counts as none, and an entry that does not fit ends it. The machines
 * of chapter 5, which have no table, have no 64-bit mode. */

#include "stage/boot.h"
#include "stage/pages.h"

#include <string.h>

enum {
	POINTER_TABLE = 4, /* 4.1 */
	HEADER_BYTES = 44,
	HEADER_LENGTH = 4, /* 4.2 */
	ENTRY_PROCESSOR = 0,
	PROCESSOR_BYTES = 20,
	PROCESSOR_ID = 1,
	PROCESSOR_FLAGS = 3,
	ENABLED = 1, /* 4.3.1 */
	ENTRY_LAST = 4,
	OTHER_BYTES = 8, /* 4.3.2 to 4.3.5 */
};

/* A whole table with the right sum, or null. */
static const uint8_t *open_table(uint32_t phys, uint16_t *out_bytes)
{
	const uint8_t *header = phys ? stage_phys_view(phys, HEADER_BYTES) : NULL;
	if (!header || memcmp(header, "PCMP", 4))
		return NULL;
	memcpy(out_bytes, header + HEADER_LENGTH, 2);
	const uint8_t *table = *out_bytes >= HEADER_BYTES ? stage_phys_view(phys, *out_bytes) : NULL;
	return table && stage_sums_to_zero(table, *out_bytes) ? table : NULL;
}

uint32_t stage_list_mp_cpus(uint32_t *apic_ids, uint32_t room)
{
	const uint8_t *pointer = stage_find_mp_pointer();
	uint32_t phys = 0, cpus = 0;
	uint16_t bytes = 0;
	if (pointer)
		memcpy(&phys, pointer + POINTER_TABLE, sizeof(phys));
	const uint8_t *table = open_table(phys, &bytes);
	for (uint32_t at = HEADER_BYTES, step; table && at < bytes; at += step) {
		step = table[at] == ENTRY_PROCESSOR ? PROCESSOR_BYTES : OTHER_BYTES;
		if (table[at] > ENTRY_LAST || step > bytes - at)
			break;
		if (table[at] != ENTRY_PROCESSOR || !(table[at + PROCESSOR_FLAGS] & ENABLED))
			continue;
		if (cpus < room)
			apic_ids[cpus] = table[at + PROCESSOR_ID];
		cpus++;
	}
	return cpus;
}
