/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A UEFI firmware's configuration tables, the MP table, and tables that are searched: whole, cut at each byte, with
 * each bit flipped, and wrong in each way that has a name. test_boot.c has ACPI's. */
#include "../../chain/tests/random.h"
#include "fake_memory.h"

#include "stage/boot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void sum_to_zero(uint8_t *bytes, size_t count, size_t sum_at)
{
	uint8_t sum = 0;
	bytes[sum_at] = 0;
	for (size_t i = 0; i < count; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[sum_at] = (uint8_t)-sum;
}

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
	memcpy(at, &value, bytes);
}

/* --- UEFI --- */

/* Far above 4 GiB, as large machines have them; with words of 32 bits it lies low. */
#define HIGH UINT64_C(0x3f00000000)
enum {
	LOW = 0x7f000000,
	KEPT = 0x2000,
	TABLE_AT = 0x18,
	ENTRIES_AT = 0x200,
	RSDP1_AT = 0x800,
	RSDP2_AT = 0x814,
	SMBIOS_AT = 0x900,
	SMBIOS3_AT = 0x940
};
static const uint8_t acpi2[16] = { 0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11,
				   0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 };
static const uint8_t acpi1[16] = { 0x30, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11,
				   0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d };
static const uint8_t sm3[16] = { 0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a,
				 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94 };
static const uint8_t sm2[16] = { 0x31, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11,
				 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d };
static const uint8_t other[16] = { 0x31, 0x2d };
static uint8_t kept[KEPT];

/* The entries in this order; a null pointer ends them. */
static uint64_t make_efi(bool wide, const uint8_t *const *guids, const uint32_t *places)
{
	uint64_t base = wide ? HIGH : LOW, count = 0;
	size_t width = wide ? 8 : 4;
	memset(kept, 0, sizeof(kept));
	for (; guids[count]; count++) {
		uint8_t *entry = kept + ENTRIES_AT + count * (16 + width);
		memcpy(entry, guids[count], 16);
		put(entry + 16, places[count] ? base + places[count] : 0, width);
	}
	memcpy(kept + TABLE_AT, "IBI SYST", 8);
	put(kept + TABLE_AT + 12, wide ? 120 : 72, 4);
	put(kept + TABLE_AT + (wide ? 104 : 64), count, width);
	put(kept + TABLE_AT + (wide ? 112 : 68), base + ENTRIES_AT, width);
	memcpy(kept + RSDP1_AT, "RSD PTR ", 8);
	sum_to_zero(kept + RSDP1_AT, 20, 8);
	memcpy(kept + RSDP2_AT, "RSD PTR ", 8);
	kept[RSDP2_AT + 15] = 2;
	sum_to_zero(kept + RSDP2_AT, 20, 8);
	sum_to_zero(kept + RSDP2_AT, 36, 32);
	memcpy(kept + SMBIOS_AT, "_SM_", 4);
	sum_to_zero(kept + SMBIOS_AT, 31, 4);
	memcpy(kept + SMBIOS3_AT, "_SM3_", 5);
	sum_to_zero(kept + SMBIOS3_AT, 24, 5);
	fake_memory_set(base, kept, sizeof(kept));
	return base;
}

static const uint8_t *const all_guids[] = { other, sm2, acpi1, sm3, acpi2, NULL };
static const uint32_t all_places[] = { 0, SMBIOS_AT, RSDP1_AT, SMBIOS3_AT, RSDP2_AT };

static struct chain_bootinfo look(uint64_t table)
{
	struct chain_bootinfo info = { .efi_system_table = table };
	stage_efi_find(&info);
	fake_memory_forget();
	return info;
}

static void the_better_tables_are_taken(void **state)
{
	static const struct {
		const uint8_t *guids[5];
		uint32_t places[4], rsdp, smbios;
	} cases[] = {
		{ { sm2, acpi1 }, { SMBIOS_AT, RSDP1_AT }, RSDP1_AT, SMBIOS_AT },
		{ { acpi1, acpi2, sm3, sm2 }, { RSDP1_AT, RSDP2_AT, SMBIOS3_AT, SMBIOS_AT }, RSDP2_AT, SMBIOS3_AT },
		{ { acpi2, acpi1, sm2, sm3 }, { RSDP2_AT, RSDP1_AT, SMBIOS_AT, SMBIOS3_AT }, RSDP2_AT, SMBIOS3_AT },
		{ { acpi2, acpi1, sm3, sm2 },
		  { RSDP2_AT + 1, RSDP1_AT, SMBIOS3_AT + 1, SMBIOS_AT },
		  RSDP1_AT,
		  SMBIOS_AT }, /* one leads nowhere */
		{ { acpi2, acpi2 }, { 0, RSDP2_AT }, RSDP2_AT, 0 },
		{ { acpi2, acpi1 }, { SMBIOS_AT, KEPT - 19 }, 0, 0 }, /* something else, and past the end */
		{ { sm3, sm2 }, { KEPT - 8, RSDP2_AT }, 0, 0 },
		{ { other }, { RSDP2_AT }, 0, 0 },
		{ { NULL }, { 0 }, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t base = make_efi(i % 2, cases[i / 2].guids, cases[i / 2].places);
		struct chain_bootinfo info = look(base + TABLE_AT);
		if (info.acpi_rsdp != (cases[i / 2].rsdp ? base + cases[i / 2].rsdp : 0) ||
		    info.smbios != (cases[i / 2].smbios ? base + cases[i / 2].smbios : 0))
			fail_msg("case %zu: %llx, %llx", i, (unsigned long long)info.acpi_rsdp,
				 (unsigned long long)info.smbios);
	}
	uint64_t base = make_efi(true, all_guids, all_places);
	struct chain_bootinfo known = { .efi_system_table = base + TABLE_AT, .acpi_rsdp = 1, .smbios = 2 };
	stage_efi_find(&known);
	assert_true(known.acpi_rsdp == 1 && known.smbios == 2); /* what is known stays */
}

static void a_lying_system_table_is_none(void **state)
{
	static const struct {
		uint32_t at, bytes;
		uint64_t value;
	} cases[] = {
		{ 0, 1, 'i' },
		{ 12, 4, 0 },
		{ 12, 4, 119 },
		{ 12, 4, 72 },
		{ 12, 4, UINT32_MAX },
		{ 104, 8, 0 },
		{ 104, 8, 1025 },
		{ 104, 8, UINT64_MAX },
		{ 104, 8, UINT64_C(0x0aaaaaaaaaaaaaab) },
		{ 104, 8, 400 },
		{ 112, 8, 0 },
		{ 112, 8, HIGH - 1 },
		{ 112, 8, HIGH + KEPT - 8 },
		{ 112, 8, UINT64_MAX },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t base = make_efi(true, all_guids, all_places);
		put(kept + TABLE_AT + cases[i].at, cases[i].value, cases[i].bytes);
		struct chain_bootinfo info = look(base + TABLE_AT);
		if (info.acpi_rsdp || info.smbios)
			fail_msg("case %zu: %llx, %llx", i, (unsigned long long)info.acpi_rsdp,
				 (unsigned long long)info.smbios);
	}
	const uint64_t nowhere[] = { 0, 1, HIGH - 1, HIGH + KEPT - 71, UINT64_MAX, UINT64_MAX - 71 };
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		make_efi(true, all_guids, all_places);
		assert_int_equal(look(nowhere[i]).acpi_rsdp, 0);
	}
}

/* Memory that ends anywhere, and any bit the other way: no more is looked at than there is, and what is found has the
 * right sum. */
static void any_system_table_is_survived(void **state)
{
	(void)state;
	for (unsigned wide = 0; wide < 2; wide++) {
		for (uint64_t count = 1; count < KEPT; count += 1 + count / 400) {
			uint64_t base = make_efi(wide, all_guids, all_places);
			fake_memory_set(base, kept, count);
			struct chain_bootinfo info = look(base + TABLE_AT);
			assert_int_equal(info.acpi_rsdp, count >= RSDP2_AT + 20 ? base + RSDP2_AT :
							 count >= RSDP1_AT + 20 ? base + RSDP1_AT :
										  0);
			assert_int_equal(info.smbios, count >= SMBIOS3_AT + 24 ? base + SMBIOS3_AT :
						      count >= SMBIOS_AT + 31  ? base + SMBIOS_AT :
										 0);
		}
		for (uint32_t flip = 0; flip < 0xa00 * 8; flip++) {
			uint64_t base = make_efi(wide, all_guids, all_places);
			kept[flip / 8] ^= (uint8_t)(1u << flip % 8);
			struct chain_bootinfo info = look(base + TABLE_AT);
			fake_memory_set(base, kept, sizeof(kept));
			assert_true(!info.acpi_rsdp || stage_is_rsdp(info.acpi_rsdp));
			assert_true(!info.smbios || stage_is_smbios(info.smbios));
		}
	}
}

/* --- the MP table --- */

enum { LOW_BYTES = 0x100000, EBDA = 0x9fc00, BASE_END = 0x9f000, ROM = 0xf0000, MP_AT = 0xf5000 };
static uint8_t low[LOW_BYTES];

static void put_pointer(uint32_t at, uint32_t table)
{
	memcpy(low + at, "_MP_", 4);
	put(low + at + 4, table, 4);
	low[at + 8] = 1;
	low[at + 9] = 4;
	sum_to_zero(low + at, 16, 10);
}

/* Processors 0, 1, 5 and one that is off; a bus, an I/O APIC, an interrupt. */
static const uint8_t entries[] = {
	0, 0, 0x14, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,   0,   0,   0,    0,    0, 1, 0x14, 1, 0, 0, 0,    0,
	0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 'I',  'S', 'A', ' ', ' ',  ' ',  0, 2, 0x14, 0, 0, 0, 0,    0,
	0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 6, 0x20, 1,   0,   0,   0xc0, 0xfe, 3, 0, 0,    0, 0, 1, 6,    1,
	0, 5, 0x14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,   0,   0,   0,    0,    4, 3, 0,    0, 0, 0, 0xff, 0,
};

static void make_mp(uint32_t pointer_at)
{
	memset(low, 0, sizeof(low));
	put(low + 0x40e, EBDA >> 4, 2);
	put(low + 0x413, BASE_END / 1024, 2);
	put_pointer(pointer_at, MP_AT);
	memcpy(low + MP_AT, "PCMP", 4);
	put(low + MP_AT + 4, 44 + sizeof(entries), 2);
	put(low + MP_AT + 34, 8, 2);
	memcpy(low + MP_AT + 44, entries, sizeof(entries));
	sum_to_zero(low + MP_AT, 44 + sizeof(entries), 7);
	fake_memory_set(0, low, sizeof(low));
}

static uint32_t count(void)
{
	uint32_t ids[4] = { 9, 9, 9, 9 }, cpus = stage_list_mp_cpus(ids, 3);
	assert_int_equal(cpus, stage_list_cpus(0, NULL, 0)); /* without ACPI, it is what counts */
	fake_memory_forget();
	assert_int_equal(ids[3], 9);
	return cpus;
}

static void mp_pointers_are_where_they_may_be(void **state)
{
	static const struct {
		uint32_t at, cpus;
	} cases[] = {
		{ EBDA, 3 },
		{ EBDA + 1024 - 16, 3 },
		{ EBDA + 1024, 0 },
		{ EBDA + 8, 0 },
		{ BASE_END - 1024, 3 },
		{ BASE_END - 16, 3 },
		{ BASE_END - 1040, 0 },
		{ BASE_END, 0 },
		{ ROM, 3 },
		{ LOW_BYTES - 16, 3 },
		{ ROM - 16, 0 },
		{ 0xe0000, 0 },
		{ 0x80000, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_mp(cases[i].at);
		uint32_t cpus = count();
		if (cpus != cases[i].cpus)
			fail_msg("case %zu: %u", i, cpus);
	}
	make_mp(BASE_END - 16); /* numbers that no BIOS has */
	for (uint32_t kib = 0; kib < 0x10000; kib += 641) {
		put(low + 0x413, kib, 2);
		fake_memory_set(0, low, sizeof(low));
		assert_int_equal(count(), 0);
	}
	uint32_t ids[3];
	make_mp(ROM);
	assert_int_equal(stage_list_mp_cpus(ids, 3), 3);
	assert_true(ids[0] == 0 && ids[1] == 1 && ids[2] == 5);
}

static void a_lying_mp_table_is_none(void **state)
{
	static const struct {
		uint32_t at, bytes;
		uint64_t value;
		uint32_t cpus;
	} cases[] = {
		/* the sums are put right */
		{ 0, 1, 'p', 0 },
		{ 4, 2, 0, 0 },
		{ 4, 2, 43, 0 },
		{ 4, 2, 44, 0 },
		{ 4, 2, 44 + 19, 0 },
		{ 4, 2, 44 + 20, 1 },
		{ 4, 2, 44 + sizeof(entries) - 1, 3 },
		{ 44, 1, 5, 0 },
		{ 44 + 20, 1, 0x80, 1 },
		{ 44 + 3, 1, 2, 2 },
		{ 44 + 40, 1, 0, 4 },
		{ 34, 2, 9999, 3 }, /* the length is what counts */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t bytes;
		make_mp(ROM);
		put(low + MP_AT + cases[i].at, cases[i].value, cases[i].bytes);
		memcpy(&bytes, low + MP_AT + 4, 2);
		sum_to_zero(low + MP_AT, bytes, 7);
		fake_memory_set(0, low, sizeof(low));
		uint32_t cpus = count();
		if (cpus != cases[i].cpus)
			fail_msg("case %zu: %u", i, cpus);
	}
	const uint32_t nowhere[] = { 0, MP_AT + 1, LOW_BYTES - 10, LOW_BYTES - 44, 0xffffffff };
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		make_mp(ROM);
		put_pointer(ROM, nowhere[i]);
		fake_memory_set(0, low, sizeof(low));
		assert_int_equal(count(), 0);
	}
	for (uint32_t flip = 0; flip < (16 + 44 + sizeof(entries)) * 8; flip++) { /* each is told by a sum */
		make_mp(ROM);
		low[(flip < 128 ? ROM : MP_AT - 16) + flip / 8] ^= (uint8_t)(1u << flip % 8);
		fake_memory_set(0, low, sizeof(low));
		assert_int_equal(count(), 0);
	}
}

/* With the right sum, but any entries. */
static void any_mp_entries_are_bounded(void **state)
{
	uint32_t most = 0;
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t bytes = 44 + (uint32_t)rnd(0x2000);
		make_mp(ROM);
		for (uint32_t i = 44; i < bytes; i++)
			low[MP_AT + i] = (uint8_t)(rnd(60) ? rnd(5) : rnd(256));
		put(low + MP_AT + 4, bytes, 2);
		sum_to_zero(low + MP_AT, bytes, 7);
		fake_memory_set(0, low, sizeof(low));
		uint32_t cpus = count();
		assert_true(cpus <= bytes / 20);
		most = cpus > most ? cpus : most;
	}
	assert_true(most > 5);
}

/* --- what is searched --- */

static struct chain_bootinfo map_of(struct chain_mem_entry *mem, size_t entries_count, uint64_t at, uint64_t bytes,
				    uint32_t type)
{
	const struct chain_mem_entry rows[] = { { { 0, 0xa0000 }, 1 },
						{ { 0x100000, at }, 1 },
						{ { at, at + bytes }, type },
						{ { at + bytes, at + bytes + 0x100000 }, 1 } };
	memcpy(mem, rows, sizeof(rows));
	return (struct chain_bootinfo){ .mem = mem, .mem_count = entries_count };
}

static void kept_memory_is_searched(void **state)
{
	static const struct {
		uint32_t type, entries;
		uint64_t bytes;
		bool found;
	} cases[] = {
		{ CHAIN_MEM_ACPI, 4, KEPT, true },
		{ CHAIN_MEM_NVS, 4, KEPT, true },
		{ CHAIN_MEM_ACPI, 3, KEPT, true },
		{ CHAIN_MEM_NVS, 3, KEPT, true },
		{ CHAIN_MEM_RESERVED, 4, KEPT, true },
		{ CHAIN_MEM_RESERVED, 3, KEPT, false }, /* nothing available behind it */
		{ CHAIN_MEM_AVAILABLE, 4, KEPT, false },
		{ CHAIN_MEM_BAD, 4, KEPT, false },
		{ 20, 4, KEPT, false },
		{ CHAIN_MEM_PMEM, 4, KEPT, false },
		{ CHAIN_MEM_ACPI, 4, KEPT + 1, false }, /* not all of it is memory */
		{ CHAIN_MEM_ACPI, 4, (16 << 20) + 1, false },
		{ CHAIN_MEM_ACPI, 4, 16, false },
		{ CHAIN_MEM_ACPI, 4, 1, false },
	};
	struct chain_mem_entry mem[4];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_efi(false, all_guids, all_places);
		struct chain_bootinfo info = map_of(mem, cases[i].entries, LOW, cases[i].bytes, cases[i].type);
		stage_search_kept(&info);
		if (info.acpi_rsdp != (cases[i].found ? LOW + RSDP2_AT : 0) ||
		    info.smbios != (cases[i].found ? LOW + SMBIOS3_AT : 0))
			fail_msg("case %zu: %llx, %llx", i, (unsigned long long)info.acpi_rsdp,
				 (unsigned long long)info.smbios);
	}
	make_efi(false, all_guids, all_places);
	kept[RSDP2_AT] ^= 1;
	kept[SMBIOS3_AT] ^= 1;
	fake_memory_set(LOW, kept, sizeof(kept));
	struct chain_bootinfo info = map_of(mem, 4, LOW, KEPT, CHAIN_MEM_ACPI);
	stage_search_kept(&info);
	assert_true(info.acpi_rsdp == LOW + RSDP1_AT && info.smbios == LOW + SMBIOS_AT);
	fake_memory_forget();
}

/* However much of it there is, no more than 64 MiB is looked at. */
static void the_search_is_bounded(void **state)
{
	enum { RANGE = 8 << 20, RANGES = 20 };
	uint8_t *bytes = calloc(RANGES, RANGE);
	struct chain_mem_entry mem[RANGES];
	(void)state;
	assert_non_null(bytes);
	for (unsigned at = 0; at < RANGES; at++) {
		memset(bytes, 0, 20);
		uint8_t *place = bytes + (size_t)at * RANGE + 0x124;
		memcpy(place, "RSD PTR ", 8);
		sum_to_zero(place, 20, 8);
		for (unsigned i = 0; i < RANGES; i++)
			mem[i] = (struct chain_mem_entry){
				{ LOW + (uint64_t)i * RANGE, LOW + (uint64_t)(i + 1) * RANGE }, CHAIN_MEM_ACPI
			};
		fake_memory_set(LOW, bytes, (uint64_t)RANGES * RANGE);
		struct chain_bootinfo info = { .mem = mem, .mem_count = RANGES, .smbios = 1 };
		stage_search_kept(&info);
		assert_int_equal(info.acpi_rsdp, at < 8 ? LOW + (uint64_t)at * RANGE + 0x124 : 0);
		memset(place, 0, 20);
		fake_memory_forget();
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_better_tables_are_taken),  cmocka_unit_test(a_lying_system_table_is_none),
		cmocka_unit_test(any_system_table_is_survived), cmocka_unit_test(mp_pointers_are_where_they_may_be),
		cmocka_unit_test(a_lying_mp_table_is_none),     cmocka_unit_test(any_mp_entries_are_bounded),
		cmocka_unit_test(kept_memory_is_searched),      cmocka_unit_test(the_search_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
