/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a PC's low megabyte: the BIOS data area's pointer to the EBDA, ACPI's tables from the
 * RSDP on, SMBIOS, the MP table; as what a UEFI firmware kept: its system table, its configuration tables. The input
 * lies at the megabyte's end, where tables are searched; its first two bytes are the EBDA's segment, the next four the
 * place of an RSDP and of a system table. */
#include "../../chain/tests/fuzz.h"
#include "fake_memory.h"
#include "stage/boot.h"

enum { LOW_BYTES = 0x100000, SEGMENT_AT = 0x40e, ROM_AT = 0xe0000, HEAD = 6, IDS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t low[LOW_BYTES];
	static size_t last;
	uint32_t ids[IDS + 1], rsdp;

	if (size < HEAD || size - HEAD > LOW_BYTES - ROM_AT)
		return 0;
	memset(low + ROM_AT, 0, last);
	memcpy(low + ROM_AT, data + HEAD, size - HEAD);
	last = size - HEAD;
	memcpy(low + SEGMENT_AT, data, 2);
	memcpy(&rsdp, data + 2, 4);
	fake_memory_set(0, low, LOW_BYTES);
	/* The searches take their time: with every second segment only. */
	uint64_t found = data[0] & 1 ? stage_find_rsdp() : 0, smbios = data[0] & 1 ? stage_find_smbios() : 0;
	FUZZ_HOLDS(!found || (found % 16 == 0 && found < LOW_BYTES && !memcmp(low + found, "RSD PTR ", 8)));
	FUZZ_HOLDS(!smbios || (smbios % 16 == 0 && smbios >= 0xf0000 && !memcmp(low + smbios, "_SM", 3)));
	const uint64_t places[] = { found, rsdp, (uint64_t)rsdp << 20, 0 };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		memset(ids, 0xa5, sizeof(ids));
		uint32_t count = stage_list_cpus(places[i], ids, IDS);
		FUZZ_HOLDS(ids[IDS] == 0xa5a5a5a5);
		FUZZ_HOLDS(count == stage_list_cpus(places[i], NULL, 0));
		FUZZ_HOLDS(count <= (1u << 20) / 8); /* an entry has at least 8 bytes */
		struct stage_config_space space;
		FUZZ_HOLDS(!stage_find_config_space(places[i], &space) || space.first_bus <= space.last_bus);
	}
	struct chain_mem_entry mem = { { ROM_AT, LOW_BYTES }, CHAIN_MEM_ACPI };
	struct chain_bootinfo efi = { .efi_system_table = rsdp }, kept = { .mem = &mem, .mem_count = 1 };
	stage_efi_find(&efi);
	FUZZ_HOLDS(!efi.acpi_rsdp || stage_is_rsdp(efi.acpi_rsdp));
	FUZZ_HOLDS(!efi.smbios || stage_is_smbios(efi.smbios));
	if (data[0] & 1) {
		stage_search_kept(&kept);
		FUZZ_HOLDS(kept.acpi_rsdp || !found || found < ROM_AT);
		FUZZ_HOLDS(!kept.smbios || stage_is_smbios(kept.smbios));
	}
	FUZZ_HOLDS(fake_memory.calls < 8 * 300 * 1000);
	fake_memory_forget();
	return 0;
}
