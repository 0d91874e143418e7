/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* PVH's start information as a loader leaves it: whole, cut at each byte, and wrong in each way that has a name. */
#include "chain/boot_read.h"
#include "chain/door.h"
#include "chain/pvh_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One page: strings are looked at to the end of theirs. */
enum { AT = 0x6000, MAP_AT = AT + 0x40, LIST_AT = AT + 0x100, TEXT_AT = AT + 0x200, FILE_AT = AT + 0x300, END = 4096 };

/* Memory from AT on, as long as a test says. */
struct memory {
	uint8_t bytes[END];
	uint64_t end;
};

static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	const struct memory *memory = ctx;
	assert_true(bytes >= 1 && phys + bytes <= (uint64_t)UINT32_MAX + 1);
	if (phys < AT || phys + bytes > AT + memory->end)
		return NULL;
	return memory->bytes + (phys - AT);
}

/* As QEMU leaves it: a map, the command line, the tables' place, one module without a string, and one with. */
static struct memory usual(void)
{
	static const struct chain_pvh_mmap_entry map[] = { { 0, 0x9fc00, 1, 0 },
							   { 0x100000, 0x7ee0000, 1, 0 },
							   { 0x100000000, 0x40000000, 1, 0 },
							   { 0xfffc0000, 0x40000, 2, 0 } };
	static const struct chain_pvh_module list[] = { { FILE_AT, 8, 0, 0 }, { 0x140000000, 4096, TEXT_AT + 8, 0 } };
	const struct chain_pvh_info info = { .magic = CHAIN_PVH_MAGIC,
					     .version = 1,
					     .module_count = 2,
					     .modules = LIST_AT,
					     .cmdline = TEXT_AT,
					     .rsdp = 0xf59d0,
					     .mmap = MAP_AT,
					     .mmap_count = 4 };
	struct memory memory = { .end = END };
	memcpy(memory.bytes, &info, sizeof(info));
	memcpy(memory.bytes + (MAP_AT - AT), map, sizeof(map));
	memcpy(memory.bytes + (LIST_AT - AT), list, sizeof(list));
	memcpy(memory.bytes + (TEXT_AT - AT), "one two\0high up", 16);
	memcpy(memory.bytes + (FILE_AT - AT), "{\"a\": 1}", 8);
	return memory;
}

static enum chain_status read_all(struct memory *memory, struct chain_error *err)
{
	struct chain_bootinfo info;
	chain_bootinfo_init(&info);
	const enum chain_status status = chain_pvh_info_read(AT, view, memory, &info, err);
	chain_bootinfo_free(&info);
	return status;
}

static void what_a_loader_leaves_is_read(void **state)
{
	struct memory memory = usual();
	struct chain_bootinfo info;
	(void)state;
	chain_bootinfo_init(&info);
	assert_int_equal(chain_pvh_info_read(AT, view, &memory, &info, NULL), CHAIN_OK);
	assert_string_equal(info.cmdline, "one two");
	assert_string_equal(info.loader, "");
	assert_int_equal(info.acpi_rsdp, 0xf59d0);
	assert_int_equal(info.mem_count, 4);
	assert_true(info.mem[1].range.end == 0x7fe0000 && info.mem[2].type == CHAIN_MEM_RESERVED &&
		    info.mem[3].range.base == 0x100000000);
	assert_int_equal(info.module_count, 2);
	assert_string_equal(info.modules[0].string, "kchain-handoff");
	assert_true(info.modules[0].range.base == FILE_AT && info.modules[0].range.end == FILE_AT + 8);
	assert_string_equal(info.modules[1].string, "high up");
	assert_true(info.modules[1].range.base == 0x140000000 && info.modules[1].range.end == 0x140001000);
	chain_bootinfo_free(&info);
}

/* By its first byte, where it has no string of its own; a later version may have said more behind the structure. */
static void only_an_object_without_a_string_is_the_handoff(void **state)
{
	static const struct {
		struct chain_pvh_module module;
		char first;
		const char *string;
	} cases[] = {
		{ { FILE_AT, 1, 0, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, 0, 0 }, '0', "" },
		{ { FILE_AT, 0, 0, 0 }, '{', "" },
		{ { FILE_AT, 1, TEXT_AT, 0 }, '{', "one two" },
		{ { FILE_AT, 1, TEXT_AT + 7, 0 }, '{', "kchain-handoff" },
		{ { AT + END, 1, 0, 0 }, '{', "" },
		/* Where its string is said to lie there is no memory, no end, or no text: firmware left it unset. */
		{ { FILE_AT, 1, AT + END, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, 0x202000f18f5, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, UINT64_MAX, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, TEXT_AT + 64, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, TEXT_AT + 68, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, TEXT_AT + 72, 0 }, '{', "kchain-handoff" },
		{ { FILE_AT, 1, TEXT_AT + 72, 0 }, '0', "" },
		{ { 0x100000000 + FILE_AT, 1, 0, 0 }, '{', "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct memory memory = usual();
		struct chain_bootinfo info;
		chain_bootinfo_init(&info);
		memory.bytes[4] = 2;
		memory.bytes[FILE_AT - AT] = (uint8_t)cases[i].first;
		memcpy(memory.bytes + (TEXT_AT - AT) + 64, "a\x01z\0b\x7f\0\0c\xff", 11);
		memcpy(memory.bytes + (LIST_AT - AT), &cases[i].module, sizeof(cases[i].module));
		assert_int_equal(chain_pvh_info_read(AT, view, &memory, &info, NULL), CHAIN_OK);
		if (strcmp(info.modules[0].string, cases[i].string) != 0)
			fail_msg("case %zu: '%s'", i, info.modules[0].string);
		chain_bootinfo_free(&info);
	}
}

static void every_cut_is_refused(void **state)
{
	(void)state;
	for (uint64_t end = 0; end < END; end++) {
		struct memory memory = usual();
		struct chain_error err = { 0 };
		memory.end = end;
		const enum chain_status status = read_all(&memory, &err);
		assert_int_equal(status, CHAIN_E_MULTIBOOT_INFO_UNREADABLE);
		assert_int_equal(err.status, status);
	}
}

#define I(field) offsetof(struct chain_pvh_info, field)
#define M(field) (LIST_AT - AT + offsetof(struct chain_pvh_module, field))
#define E(field) (MAP_AT - AT + offsetof(struct chain_pvh_mmap_entry, field))
static const struct {
	size_t offset, bytes;
	uint64_t value;
	enum chain_status want;
} lies[] = {
	{ I(magic), 4, 0x2badb002, CHAIN_E_PVH_MAGIC },
	{ I(version), 4, 0, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY }, /* it had no map yet */
	{ I(mmap), 8, 0, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY },
	{ I(mmap), 8, AT + END, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap), 8, 0x100000000 + MAP_AT, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap), 8, UINT64_MAX, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap_count), 4, 0, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY },
	{ I(mmap_count), 4, (END - (MAP_AT - AT)) / 24 + 1, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap_count), 4, CHAIN_BOOT_MMAP_MAX / 24 + 1, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ I(mmap_count), 4, UINT32_MAX, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ E(bytes), 8, UINT64_MAX, CHAIN_OK }, /* from 0 to the last address */
	{ E(base), 8, UINT64_MAX, CHAIN_E_OVERFLOW },
	{ I(module_count), 4, 0, CHAIN_OK },
	{ I(module_count), 4, (END - (LIST_AT - AT)) / 32 + 1, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(module_count), 4, CHAIN_BOOT_MODULES_MAX + 1, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ I(module_count), 4, UINT32_MAX, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ I(modules), 8, 0, CHAIN_OK },
	{ I(modules), 8, AT + END - 63, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(modules), 8, UINT64_MAX - 63, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ M(base), 8, UINT64_MAX, CHAIN_E_OVERFLOW },
	{ M(bytes), 8, UINT64_MAX, CHAIN_E_OVERFLOW },
	{ M(cmdline), 8, AT + END, CHAIN_OK }, /* no string */
	{ M(cmdline), 8, 0x100000000 + TEXT_AT, CHAIN_OK },
	{ M(cmdline), 8, UINT64_MAX, CHAIN_OK },
	{ I(cmdline), 8, 0, CHAIN_OK },
	{ I(cmdline), 8, AT - 1, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(cmdline), 8, UINT64_MAX, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(rsdp), 8, UINT64_MAX, CHAIN_OK }, /* what lies there is looked at with the firmware's tables */
};

static void lies_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct memory memory = usual();
		struct chain_error err = { 0 };
		memcpy(memory.bytes + lies[i].offset, &lies[i].value, lies[i].bytes);
		const enum chain_status status = read_all(&memory, &err);
		if (status != lies[i].want || err.status != status)
			fail_msg("case %zu: %s", i, chain_status_slug(status));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_loader_leaves_is_read),
		cmocka_unit_test(only_an_object_without_a_string_is_the_handoff),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(lies_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
