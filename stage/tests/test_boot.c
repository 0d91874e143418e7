/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a boot loader and the firmware left, whole, cut at each byte, and wrong in each way that has a name.
 * chain/tests/test_multiboot.c has Multiboot 1. */
#include "../boot/doors.h"
#include "chain/multiboot2_format.h"
#include "fake_memory.h"

#include "stage/boot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { INFO_AT = 0x9000 };

static uint8_t block[8192];
static size_t used;
static uint32_t rsdp2_at;

static void put32(uint32_t v)
{
	memcpy(block + used, &v, 4);
	used += 4;
}

static void put_tag(uint32_t type, const void *bytes, uint32_t count)
{
	put32(type);
	put32(8 + count);
	memcpy(block + used, bytes, count);
	used += (count + 7) & ~7u;
}

static void begin(void)
{
	memset(block, 0, sizeof(block));
	used = 8;
}

/* As GRUB leaves it: command line, loader, a module, the memory map, a framebuffer with its colours, the system table,
 * copies of both RSDPs, the end. */
static void make_usual(void)
{
	static const struct {
		uint32_t start, end;
		char string[12];
	} module = { 0x600000, 0x601000, "kchain-hand" };
	static const struct {
		uint32_t step, version;
		struct {
			uint64_t base, bytes;
			uint32_t type, zero;
		} e[3];
	} map = { 24, 0, { { 0, 0x9fc00, 1, 0 }, { 0x100000, 0x7ee0000, 1, 0 }, { 0xfffc0000, 0x40000, 2, 0 } } };
	static const struct __attribute__((packed)) {
		uint64_t addr;
		uint32_t pitch, width, height;
		uint8_t bpp, type, zero[2], color[6];
	} framebuffer = { 0xfd000000, 4096, 1024, 768, 32, 1, { 0, 0 }, { 0, 8, 8, 8, 16, 8 } };

	begin();
	put_tag(1, "one two", 8);
	put_tag(2, "GRUB 2.06", 10);
	put_tag(3, &module, 8 + 12);
	put_tag(6, &map, sizeof(map));
	put_tag(8, &framebuffer, sizeof(framebuffer));
	put_tag(12, &(uint64_t){ 0x17f5eb018 }, 8);
	put_tag(14, "RSD PTR one23456789", 20);
	rsdp2_at = INFO_AT + (uint32_t)used + 8;
	put_tag(15, "RSD PTR two23456789012345678901234567", 36);
	put_tag(0, "", 0);
	memcpy(block, &(uint32_t){ (uint32_t)used }, 4);
}

static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	return stage_phys_view(phys, bytes);
}

static enum chain_status read_block(size_t count, struct chain_bootinfo *out)
{
	struct chain_error err = { 0 };

	fake_memory_set(INFO_AT, block, count);
	chain_bootinfo_init(out);
	enum chain_status status = stage_doors_read(CHAIN_MB2_ENTRY_MAGIC, INFO_AT, view, NULL, out, &err);
	assert_int_equal(err.status, status);
	fake_memory_forget();
	return status;
}

static enum chain_status refused(size_t count)
{
	struct chain_bootinfo info;
	enum chain_status status = read_block(count, &info);

	chain_bootinfo_free(&info);
	return status;
}

static void multiboot2_is_read(void **state)
{
	struct chain_bootinfo info;

	(void)state;
	make_usual();
	assert_int_equal(read_block(used, &info), CHAIN_OK);
	assert_string_equal(info.door, "multiboot2");
	assert_string_equal(info.cmdline, "one two");
	assert_string_equal(info.loader, "GRUB 2.06");
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.modules[0].string, "kchain-hand");
	assert_true(info.modules[0].range.base == 0x600000 && info.modules[0].range.end == 0x601000);
	assert_int_equal(info.mem_count, 3);
	assert_true(info.mem[1].range.end == 0x7fe0000 && info.mem[2].type == CHAIN_MEM_RESERVED);
	assert_true(info.framebuffer.phys == 0xfd000000 && info.framebuffer.width == 1024 &&
		    info.framebuffer.bpp == 32);
	assert_memory_equal(info.framebuffer.colors, ((uint8_t[]){ 0, 8, 8, 8, 16, 8 }), 6);
	assert_true(info.efi_system_table == 0x17f5eb018 && info.acpi_rsdp == rsdp2_at);
	chain_bootinfo_free(&info);
}

/* Whatever their order, the copy of an RSDP of ACPI 2.0 counts, and a system table of either width. */
static void firmware_tags_are_read(void **state)
{
	static const struct {
		uint32_t type, bytes;
	} tags[] = { { 11, 4 }, { 12, 8 }, { 14, 20 }, { 15, 36 }, { 15, 40 } };
	static const struct {
		uint32_t count, tags[3];
		uint64_t efi;
		uint32_t rsdp;
	} cases[] = {
		{ 1, { 0 }, 0x81234560, 0 },
		{ 1, { 1 }, 0x812345670, 0 },
		{ 1, { 2 }, 0, 1 },
		{ 1, { 3 }, 0, 1 },
		{ 2, { 2, 3 }, 0, 2 },
		{ 2, { 3, 2 }, 0, 1 },
		{ 3, { 4, 1, 2 }, 0x812345670, 1 },
	};
	static const uint8_t map[] = { 24, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				       0,  16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_bootinfo info;
		uint32_t at[4] = { 0 };
		begin();
		put_tag(6, map, sizeof(map));
		for (uint32_t t = 0; t < cases[i].count; t++) {
			uint64_t payload[5] = { tags[cases[i].tags[t]].type == 11 ? 0x81234560 : 0x812345670 };
			at[t + 1] = INFO_AT + (uint32_t)used + 8;
			put_tag(tags[cases[i].tags[t]].type, payload, tags[cases[i].tags[t]].bytes);
		}
		put_tag(0, "", 0);
		memcpy(block, &(uint32_t){ (uint32_t)used }, 4);
		assert_int_equal(read_block(used, &info), CHAIN_OK);
		if (info.efi_system_table != cases[i].efi || info.acpi_rsdp != at[cases[i].rsdp])
			fail_msg("case %zu: %llx, %llx", i, (unsigned long long)info.efi_system_table,
				 (unsigned long long)info.acpi_rsdp);
		chain_bootinfo_free(&info);
	}
}

static void every_cut_is_refused(void **state)
{
	(void)state;
	make_usual();
	for (size_t count = 0; count < used; count++) {
		assert_int_equal(refused(count), CHAIN_E_MULTIBOOT_INFO_UNREADABLE); /* memory ends */
		if (count < 16 || count % 4)
			continue;
		memcpy(block, &(uint32_t){ (uint32_t)count }, 4); /* the structure says that it ends */
		enum chain_status status = refused(used);
		assert_int_equal(status, CHAIN_E_DOOR_TAG);
		memcpy(block, &(uint32_t){ (uint32_t)used }, 4);
	}
	memcpy(block, &(uint32_t){ 15 }, 4);
	assert_int_equal(refused(used), CHAIN_E_DOOR_TAG);
	memcpy(block, &(uint32_t){ UINT32_MAX }, 4);
	assert_int_equal(refused(used), CHAIN_E_LIMIT);
}

static void lying_tags_are_refused(void **state)
{
	static const struct {
		uint32_t type, bytes, words[6];
		enum chain_status status;
	} cases[] = {
		{ 3, 8 + 4, { 1 }, CHAIN_E_DOOR_TAG },                     /* no room for a module */
		{ 3, 8 + 9, { 0x2000, 0x1000 }, CHAIN_E_DOOR_TAG },        /* ends before it starts */
		{ 6, 8 + 4, { 24 }, CHAIN_E_DOOR_TAG },                    /* no room for the map's head */
		{ 6, 8 + 8, { 20 }, CHAIN_E_DOOR_TAG },                    /* entries shorter than an entry */
		{ 6, 8 + 8 + 16, { 24 }, CHAIN_E_DOOR_TAG },               /* part of one */
		{ 6, 8 + 8, { 24 }, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY },    /* none */
		{ 8, 8 + 12, { 0 }, CHAIN_E_DOOR_TAG },                    /* no room for a framebuffer */
		{ 8, 8 + 24, { 0, 0, 0, 0, 0, 0x120 }, CHAIN_E_DOOR_TAG }, /* of type 1, none for its colours */
		{ 8, 8 + 24, { 0, 0, 0, 0, 0, 0x210 }, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY }, /* text has none */
		{ 11, 8 + 3, { 0 }, CHAIN_E_DOOR_TAG },
		{ 12, 8 + 7, { 0 }, CHAIN_E_DOOR_TAG }, /* half a pointer */
		{ 14, 8 + 19, { 0 }, CHAIN_E_DOOR_TAG },
		{ 15, 8 + 35, { 0 }, CHAIN_E_DOOR_TAG }, /* a part of an RSDP */
		{ 1, 4, { 0 }, CHAIN_E_DOOR_TAG },       /* shorter than its own head */
		{ 77, UINT32_MAX, { 0 }, CHAIN_E_DOOR_TAG },
		{ 77, 8, { 0 }, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY }, /* unknown ones are passed over */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		put32(cases[i].type);
		put32(cases[i].bytes);
		memcpy(block + used, cases[i].words, sizeof(cases[i].words));
		used = 8 + ((cases[i].bytes < 64 ? cases[i].bytes : 64) + 7u) / 8 * 8;
		put_tag(0, "", 0);
		memcpy(block, &(uint32_t){ (uint32_t)used }, 4);
		enum chain_status status = refused(used);
		if (status != cases[i].status)
			fail_msg("case %zu: %s", i, chain_status_slug(status));
	}
}

static void doors_are_distinguished(void **state)
{
	const uint32_t unknown[] = { 0, 1, CHAIN_MB2_ENTRY_MAGIC + 1, UINT32_MAX };

	(void)state;
	for (const struct stage_door *door = stage_doors; door->name; door++) {
		struct chain_bootinfo info;
		chain_bootinfo_init(&info);
		assert_true(strlen(door->name) < sizeof(info.door));
		fake_memory_set(INFO_AT, block, 1); /* there is nothing to read, and whose it was is known */
		assert_int_equal(stage_doors_read(door->number, INFO_AT, view, NULL, &info, NULL),
				 CHAIN_E_MULTIBOOT_INFO_UNREADABLE);
		assert_string_equal(info.door, door->name);
		for (const struct stage_door *other = stage_doors; other != door; other++)
			assert_true(other->number != door->number && strcmp(other->name, door->name) != 0);
		chain_bootinfo_free(&info);
		fake_memory_forget();
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct chain_bootinfo info;
		struct chain_error err = { 0 };
		chain_bootinfo_init(&info);
		assert_int_equal(stage_doors_read(unknown[i], INFO_AT, view, NULL, &info, &err), CHAIN_E_DOOR_UNKNOWN);
		assert_int_equal(err.number[0], unknown[i]);
		assert_string_equal(info.door, "");
		chain_bootinfo_free(&info);
	}
}

/* --- ACPI --- */

enum { ROM = 0xe0000, LOW = 0x100000, RSDP_AT = 0xe0040, RSDT_AT = 0xe0100, XSDT_AT = 0xe0180, MADT_AT = 0xe0200 };
static uint8_t low[LOW];

static void table_at(uint32_t at, const char *signature, uint32_t bytes)
{
	memcpy(low + at, signature, 4);
	memcpy(low + at + 4, &bytes, 4);
}

static void sum_to_zero(uint32_t at, size_t bytes, size_t sum_at)
{
	uint8_t sum = 0;
	low[at + sum_at] = 0;
	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + low[at + i]);
	low[at + sum_at] = (uint8_t)-sum;
}

/* Processors 0 to 3 in use, one that is off, an I/O APIC between, and x2APIC 300. */
static void make_firmware(void)
{
	static const uint8_t madt[] = { 0,    8, 0, 0, 1, 0, 0, 0,  0, 8, 1,    1, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0xc0,
					0xfe, 0, 0, 0, 0, 0, 8, 2,  2, 1, 0,    0, 0, 0, 8, 3, 3, 1,  0, 0, 0, 0, 8,
					4,    4, 0, 0, 0, 0, 9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0,  9, 0, 0, 0 };

	memset(low, 0, sizeof(low));
	memcpy(low + RSDP_AT, "RSD PTR ", 8);
	low[RSDP_AT + 15] = 2;
	memcpy(low + RSDP_AT + 16, &(uint32_t){ RSDT_AT }, 4);
	memcpy(low + RSDP_AT + 24, &(uint64_t){ XSDT_AT }, 8);
	sum_to_zero(RSDP_AT, 20, 8);
	table_at(RSDT_AT, "RSDT", 36 + 4);
	memcpy(low + RSDT_AT + 36, &(uint32_t){ MADT_AT }, 4);
	table_at(XSDT_AT, "XSDT", 36 + 16);
	memcpy(low + XSDT_AT + 36, &(uint64_t[2]){ UINT64_MAX, MADT_AT }, 16);
	table_at(MADT_AT, "APIC", 44 + sizeof(madt));
	memcpy(low + MADT_AT + 44, madt, sizeof(madt));
	fake_memory_set(0, low, sizeof(low));
}

static uint32_t count(void)
{
	uint32_t ids[8] = { 0 }, cpus = stage_list_cpus(RSDP_AT, ids, 8);

	fake_memory_forget();
	for (uint32_t i = 0; i < cpus && i < 5; i++)
		assert_int_equal(ids[i], i < 4 ? i : 300);
	return cpus;
}

static void processors_are_listed(void **state)
{
	uint32_t ids[2] = { 7, 7 };

	(void)state;
	make_firmware();
	assert_int_equal(stage_find_rsdp(), RSDP_AT);
	assert_int_equal(count(), 5);
	low[RSDP_AT + 15] = 0; /* ACPI 1.0: the RSDT alone */
	assert_int_equal(count(), 5);
	assert_int_equal(stage_list_cpus(RSDP_AT, ids, 1), 5);
	assert_true(ids[0] == 0 && ids[1] == 7);
	fake_memory_forget();
}

static void lying_tables_end_the_search(void **state)
{
	(void)state;
	make_firmware();
	assert_int_equal(stage_list_cpus(0, NULL, 0), 0);
	assert_int_equal(stage_list_cpus(LOW - 10, NULL, 0), 0);
	assert_int_equal(stage_list_cpus(UINT64_MAX, NULL, 0), 0);
	table_at(MADT_AT, "APIC", UINT32_MAX);
	assert_int_equal(count(), 0);
	table_at(MADT_AT, "APIC", LOW - MADT_AT + 1); /* a byte more than there is memory */
	assert_int_equal(count(), 0);
	table_at(MADT_AT, "APIC", LOW - MADT_AT); /* all of it: the entry of length 0 ends the walk */
	assert_int_equal(count(), 5);
	table_at(MADT_AT, "APIC", 44);
	assert_int_equal(count(), 0);
	table_at(MADT_AT, "APIC", 10);
	assert_int_equal(count(), 0);
	make_firmware();
	table_at(XSDT_AT, "XSDT", UINT32_MAX); /* the RSDT stands in */
	assert_int_equal(count(), 5);
	memcpy(low + RSDT_AT + 36, &(uint32_t){ LOW - 4 }, 4);
	assert_int_equal(count(), 0);
	for (uint32_t flip = 0; flip < 0x300 * 8; flip++) { /* any bit of them */
		make_firmware();
		low[ROM + flip / 8] ^= (uint8_t)(1u << flip % 8);
		(void)stage_find_rsdp();
		assert_true(stage_list_cpus(RSDP_AT, NULL, 0) <= 6);
		fake_memory_forget();
	}
}

static void configuration_space_is_reported(void **state)
{
	static const struct {
		uint16_t segment;
		uint8_t first, last;
		uint32_t bytes; /* of the table: two entries */
		bool found;
		uint64_t phys; /* 1: the first entry's; 2: the second's, which is good */
	} cases[] = {
		{ 0, 0, 255, 76, true, 1 },          { 0, 3, 3, 76, true, 1 },
		{ 1, 0, 255, 76, true, 2 },          { 0, 4, 3, 76, true, 2 },
		{ 0, 0, 255, 60, true, 1 },          { 0, 0, 255, 59, false, 0 },
		{ 0, 0, 255, 36, false, 0 },         { 1, 0, 255, 60, false, 0 },
		{ 1, 0, 255, 75, false, 0 },         { 0, 0, 255, 35, false, 0 },
		{ 0, 0, 255, UINT32_MAX, false, 0 },
	};
	enum { MCFG_AT = 0xe0300 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_config_space space;
		make_firmware();
		memcpy(low + XSDT_AT + 36, &(uint64_t){ MCFG_AT }, 8);
		table_at(MCFG_AT, "MCFG", cases[i].bytes);
		memcpy(low + MCFG_AT + 44, &(uint64_t){ UINT64_C(0x1b0000000) }, 8);
		memcpy(low + MCFG_AT + 52, &cases[i].segment, 2);
		low[MCFG_AT + 54] = cases[i].first;
		low[MCFG_AT + 55] = cases[i].last;
		memcpy(low + MCFG_AT + 60, &(uint64_t){ UINT64_C(0x2b0000000) }, 8);
		low[MCFG_AT + 71] = 7;
		bool found = stage_find_config_space(RSDP_AT, &space);
		if (found != cases[i].found || (found && space.phys >> 32 != cases[i].phys) ||
		    (found && space.last_bus != (cases[i].phys == 1 ? cases[i].last : 7)))
			fail_msg("case %zu: %d, 0x%llx", i, found, (unsigned long long)space.phys);
		assert_int_equal(count(), 5);
	}
	assert_false(stage_find_config_space(0, &(struct stage_config_space){ 0 }));
}

static void bios_areas_are_searched(void **state)
{
	(void)state;
	make_firmware();
	low[RSDP_AT + 8]++; /* a wrong sum */
	assert_int_equal(stage_find_rsdp(), 0);
	memcpy(low + 0x9fc10, low + RSDP_AT, 20);
	low[0x9fc10 + 8]--;
	fake_memory_set(0, low, sizeof(low));
	assert_int_equal(stage_find_rsdp(), 0);
	memcpy(low + 0x40e, &(uint16_t){ 0x9fc0 }, 2);
	fake_memory_set(0, low, sizeof(low));
	assert_int_equal(stage_find_rsdp(), 0x9fc10);
	memcpy(low + 0x40e, &(uint16_t){ 0xffff }, 2);
	fake_memory_set(0, low, sizeof(low));
	assert_int_equal(stage_find_rsdp(), 0);
	assert_int_equal(stage_find_smbios(), 0);
	memcpy(low + LOW - 16, "_SM3_", 5); /* no room for one */
	fake_memory_set(0, low, sizeof(low));
	assert_int_equal(stage_find_smbios(), 0);
	memcpy(low + LOW - 32, "_SM_", 4);
	sum_to_zero(LOW - 32, 31, 4);
	fake_memory_set(0, low, sizeof(low));
	assert_int_equal(stage_find_smbios(), LOW - 32);
	fake_memory_set(0, low, 0x1000); /* a machine without these areas */
	assert_int_equal(stage_find_smbios(), 0);
	assert_int_equal(stage_find_rsdp(), 0);
	fake_memory_forget();
}

/* The structure lies in memory that is anybody's: what is left of it is a place that lasts. */
static void a_copy_of_the_rsdp_is_kept_where_it_is_the_only_one(void **state)
{
	enum { COPY_AT = 0x8ff0 };
	static const struct {
		uint64_t efi, wanted;
		bool rom, good;
	} cases[] = {
		{ 0, COPY_AT, false, true }, { 0, RSDP_AT, true, true }, { 0, 0, false, false },
		{ 0, RSDP_AT, true, false }, { 0x1000, 0, false, true }, { 0x1000, 0, true, true },
	};
	struct chain_error err = { 0 };
	struct chain_bootinfo info;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_firmware();
		memcpy(low + COPY_AT, low + RSDP_AT, 36);
		low[COPY_AT] ^= !cases[i].good;
		low[RSDP_AT] ^= !cases[i].rom;
		fake_memory_set(0, low, sizeof(low));
		chain_bootinfo_init(&info);
		assert_int_equal(chain_bootinfo_add_mem(&info, 0x1000, 0x9000, CHAIN_MEM_AVAILABLE, &err), CHAIN_OK);
		info.acpi_rsdp = COPY_AT;
		info.efi_system_table = cases[i].efi;
		assert_int_equal(stage_keep_rsdp(&info, &err), CHAIN_OK);
		if (info.acpi_rsdp != cases[i].wanted)
			fail_msg("case %zu: 0x%llx", i, (unsigned long long)info.acpi_rsdp);
		if (cases[i].wanted != COPY_AT) {
			assert_int_equal(info.mem_count, 1);
		} else { /* it goes over the end of a page */
			assert_int_equal(info.mem_count, 2);
			assert_true(info.mem[0].range.end == 0x8000 && info.mem[1].range.end == 0xa000 &&
				    info.mem[1].type == CHAIN_MEM_ACPI);
		}
		chain_bootinfo_free(&info);
	}
	const uint64_t nowhere[] = { 0, UINT64_MAX, UINT64_MAX - 10, LOW - 19 };
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		struct chain_bootinfo none = { .acpi_rsdp = nowhere[i] };
		low[RSDP_AT] = 0;
		fake_memory_set(0, low, sizeof(low));
		assert_int_equal(stage_keep_rsdp(&none, &err), CHAIN_OK);
		assert_int_equal(none.acpi_rsdp, 0);
	}
	fake_memory_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiboot2_is_read),
		cmocka_unit_test(doors_are_distinguished),
		cmocka_unit_test(firmware_tags_are_read),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(lying_tags_are_refused),
		cmocka_unit_test(processors_are_listed),
		cmocka_unit_test(lying_tables_end_the_search),
		cmocka_unit_test(configuration_space_is_reported),
		cmocka_unit_test(bios_areas_are_searched),
		cmocka_unit_test(a_copy_of_the_rsdp_is_kept_where_it_is_the_only_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
