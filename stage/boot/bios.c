/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Tables that are found by looking for how they begin: those that a PC's firmware leaves below 1 MiB, and, where a UEFI
 * firmware's loader does not say where they are, in the memory that the firmware kept. */

#include "stage/boot.h"
#include "stage/pages.h"

#include <string.h>

enum {
	EBDA_SEGMENT = 0x40e,
	BASE_KIB = 0x413,
	ROM_BASE = 0xe0000,
	UPPER_ROM_BASE = 0xf0000,
	ROM_END = 0x100000,
	STEP = 16,
	KIB = 1024
};

/* Of memory that the firmware kept: more than this of one range is not mapped where it may be devices', and of all not
 * looked at. */
enum { KEPT_STEP = 4, KEPT_RANGE_MAX = 16 << 20, KEPT_BYTES_MAX = 64 << 20 };

struct anchor {
	const char *magic;
	uint8_t magic_bytes, sum_bytes, revision; /* the least in byte 15; 0: that is no revision */
};
static const struct anchor rsdp2 = { "RSD PTR ", 8, 36, 2 },
			   rsdp = { "RSD PTR ", 8, 20, 0 },             /* ACPI 6.5 section 5.2.5.3 */
	smbios3 = { "_SM3_", 5, 24, 0 }, smbios = { "_SM_", 4, 31, 0 }, /* SMBIOS 3.6 section 5.2 */
	mp_pointer = { "_MP_", 4, 16, 0 };                              /* MP 1.4 section 4.1 */

bool stage_sums_to_zero(const uint8_t *bytes, size_t count)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

static bool begins(const uint8_t *at, const struct anchor *a)
{
	enum { REVISION = 15 };
	return !memcmp(at, a->magic, a->magic_bytes) && at[REVISION] >= a->revision &&
	       stage_sums_to_zero(at, a->sum_bytes);
}

static bool is_at(uint64_t phys, const struct anchor *a)
{
	const uint8_t *at = phys ? stage_phys_view(phys, a->sum_bytes) : NULL;
	return at && begins(at, a);
}

bool stage_is_rsdp(uint64_t phys)
{
	return is_at(phys, &rsdp);
}
bool stage_is_smbios(uint64_t phys)
{
	return is_at(phys, &smbios3) || is_at(phys, &smbios);
}

static bool holds(const uint8_t *at, uint32_t wanted)
{
	uint32_t here;
	memcpy(&here, at, sizeof(here));
	return here == wanted;
}

/* The first place of [at, last], of which there is one at least, that holds `wanted`, or null. Thousands are looked at
 * in every boot, so four are looked at a turn: in a function of its own that is three instructions for each. */
static __attribute__((noinline)) const uint8_t *scan(const uint8_t *at, const uint8_t *last, uint32_t wanted,
						     size_t step)
{
	for (; last - at >= (ptrdiff_t)(3 * step); at += 4 * step) {
		if (holds(at, wanted))
			return at;
		if (holds(at + step, wanted))
			return at + step;
		if (holds(at + 2 * step, wanted))
			return at + 2 * step;
		if (holds(at + 3 * step, wanted))
			return at + 3 * step;
	}
	for (; at <= last; at += step)
		if (holds(at, wanted))
			return at;
	return NULL;
}

static uint64_t find(uint64_t base, uint64_t end, const struct anchor *a, size_t step)
{
	const uint8_t *first = end - base >= a->sum_bytes ? stage_phys_view(base, end - base) : NULL;
	uint32_t wanted;
	if (!first)
		return 0;
	const uint8_t *last = first + (end - base) - a->sum_bytes;
	memcpy(&wanted, a->magic, sizeof(wanted));
	for (const uint8_t *at = first; at <= last && (at = scan(at, last, wanted, step)); at += step)
		if (begins(at, a))
			return base + (uint64_t)(at - first);
	return 0;
}

static uint64_t find_upper_rom(const struct anchor *a)
{
	return find(UPPER_ROM_BASE, ROM_END, a, STEP);
}

static uint64_t bios_word(uint64_t phys)
{
	uint16_t word = 0;
	const void *at = stage_phys_view(phys, sizeof(word));
	if (at)
		memcpy(&word, at, sizeof(word));
	return word;
}

/* In the first KiB of the extended BIOS data area. */
static uint64_t find_ebda(const struct anchor *a)
{
	enum { LOWEST = 0x400 };
	uint64_t ebda = bios_word(EBDA_SEGMENT) << 4;
	return ebda >= LOWEST && ebda < ROM_BASE ? find(ebda, ebda + KIB, a, STEP) : 0;
}

/* The upper half of the ROM first: that is where PCs have it, if it isn't in the EBDA. */
uint64_t stage_find_rsdp(void)
{
	uint64_t found = find_ebda(&rsdp);
	if (!found)
		found = find_upper_rom(&rsdp);
	return found ? found : find(ROM_BASE, UPPER_ROM_BASE, &rsdp, STEP);
}

uint64_t stage_find_smbios(void)
{
	uint64_t found = find_upper_rom(&smbios3);
	return found ? found : find_upper_rom(&smbios);
}

/* MP 1.4 chapter 4: the EBDA, or the last KiB of base memory where there is none; then the ROM. */
const uint8_t *stage_find_mp_pointer(void)
{
	enum { BASE_KIB_LEAST = 64, BASE_KIB_MAX = 640 };
	uint64_t found = find_ebda(&mp_pointer), base_kib = bios_word(BASE_KIB);
	if (!found && base_kib >= BASE_KIB_LEAST && base_kib <= BASE_KIB_MAX)
		found = find((base_kib - 1) * KIB, base_kib * KIB, &mp_pointer, STEP);
	if (!found)
		found = find_upper_rom(&mp_pointer);
	return found ? stage_phys_view(found, mp_pointer.sum_bytes) : NULL;
}

/* Memory that firmware keeps its tables in: of the two types for that, or reserved between stretches that are
 * available; what is reserved behind all of those are devices' registers. */
static bool may_hold_tables(const struct chain_bootinfo *info, size_t i)
{
	uint32_t type = info->mem[i].type;
	if (type == CHAIN_MEM_ACPI || type == CHAIN_MEM_NVS)
		return true;
	bool below = false;
	for (size_t k = i + 1; k < info->mem_count && !below; k++)
		below = info->mem[k].type == CHAIN_MEM_AVAILABLE;
	return type == CHAIN_MEM_RESERVED && below && info->mem[i].range.base >= ROM_END;
}

static uint64_t find_kept(const struct chain_bootinfo *info, const struct anchor *a)
{
	uint64_t found = 0, looked_at = 0;
	for (size_t i = 0; i < info->mem_count && !found; i++) {
		struct chain_range range = info->mem[i].range;
		uint64_t bytes = chain_range_bytes(range);
		if (!may_hold_tables(info, i) || bytes > KEPT_RANGE_MAX || bytes > KEPT_BYTES_MAX - looked_at)
			continue;
		looked_at += bytes;
		found = find(range.base, range.end, a, KEPT_STEP);
	}
	return found;
}

void stage_search_kept(struct chain_bootinfo *info)
{
	const struct {
		uint64_t *out;
		const struct anchor *anchor;
	} wanted[] = {
		{ &info->acpi_rsdp, &rsdp2 },
		{ &info->acpi_rsdp, &rsdp },
		{ &info->smbios, &smbios3 },
		{ &info->smbios, &smbios },
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!*wanted[i].out)
			*wanted[i].out = find_kept(info, wanted[i].anchor);
}

enum chain_status stage_keep_rsdp(struct chain_bootinfo *info, struct chain_error *err)
{
	enum { RSDP_BYTES = 36 };
	uint64_t copy = info->acpi_rsdp, first = chain_align_down(copy, STAGE_PAGE), end;
	info->acpi_rsdp = 0;
	if (!copy || info->efi_system_table)
		return CHAIN_OK;
	info->acpi_rsdp = stage_find_rsdp();
	if (info->acpi_rsdp || !stage_is_rsdp(copy) || !chain_align_up(copy + RSDP_BYTES, STAGE_PAGE, &end))
		return CHAIN_OK;
	info->acpi_rsdp = copy;
	enum chain_status status = chain_bootinfo_add_mem(info, first, end - first, CHAIN_MEM_ACPI, err);
	return status ? status : chain_bootinfo_normalise(info, err);
}
