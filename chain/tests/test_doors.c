/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The boot protocols beside Multiboot 1: what their headers say, exactly what is wrong with malformed ones, and what a
 * kernel finds that was started by them. Multiboot 1 has a program of its own (test_multiboot.c). */

#include "chain/door.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/image.h"
#include "chain/initrd.h"
#include "chain/linux_format.h"
#include "chain/multiboot2_format.h"
#include "chain/plan.h"
#include "chain/pvh_format.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 40000, MIB = 1 << 20, PAGE = 4096 };
#define GIB ((uint64_t)1 << 30)

static uint8_t file[FILE_BYTES];

static void put16(size_t at, unsigned value)
{
	memcpy(file + at, &(uint16_t){ (uint16_t)value }, 2);
}
static void put32(size_t at, uint64_t value)
{
	memcpy(file + at, &(uint32_t){ (uint32_t)value }, 4);
}
static void put64(size_t at, uint64_t value)
{
	memcpy(file + at, &value, 8);
}

static enum chain_status read_by(const char *door, uint64_t bytes, struct chain_kernel *out, struct chain_error *err)
{
	*err = (struct chain_error){ 0 };
	return chain_door_named(door)->read(file, bytes, "k", out, err);
}

static void expect(const char *door, enum chain_status want)
{
	struct chain_kernel kernel;
	struct chain_error err;
	enum chain_status got = read_by(door, sizeof(file), &kernel, &err);
	if (got != want)
		fail_msg("%s: %s wanted, %s found", door, chain_status_slug(want), chain_status_slug(got));
	assert_int_equal(err.status, want);
}

/* --- Multiboot 2 --- */

enum { HEADER = 64, LOAD = 0x200000 };

static size_t tags_end;

static void put_tag(unsigned type, unsigned flags, const uint32_t *words, size_t count)
{
	put16(HEADER + tags_end, type);
	put16(HEADER + tags_end + 2, flags);
	put32(HEADER + tags_end + 4, 8 + 4 * count);
	if (count)
		memcpy(file + HEADER + tags_end + 8, words, 4 * count);
	tags_end += (8 + 4 * count + 7) & ~(size_t)7;
}

static void begin_mb2(void)
{
	memset(file, 0, sizeof(file));
	tags_end = 16;
}

/* Ends the list of tags and seals the header. */
static void end_mb2(void)
{
	put_tag(CHAIN_MB2_HEADER_END, 0, NULL, 0);
	put32(HEADER, CHAIN_MB2_HEADER_MAGIC);
	put32(HEADER + 4, CHAIN_MB2_ARCHITECTURE_I386);
	put32(HEADER + 8, tags_end);
	put32(HEADER + 12, 0u - (CHAIN_MB2_HEADER_MAGIC + (uint32_t)tags_end));
}

static void put_addresses(void)
{
	const uint32_t address[] = { LOAD + HEADER, LOAD, LOAD + FILE_BYTES, LOAD + FILE_BYTES + 100 },
		       entry[] = { LOAD + 4096 };
	put_tag(CHAIN_MB2_HEADER_ADDRESS, 0, address, 4);
	put_tag(CHAIN_MB2_HEADER_ENTRY, 0, entry, 1);
}

static void mb2_header_is_read(void **state)
{
	const uint32_t video[] = { 800, 600, 32 }, where[] = { 0x100000, 0x7ffffff, 0x200000, CHAIN_MB2_PREFER_HIGH };
	struct chain_kernel kernel;
	struct chain_error err;
	(void)state;
	begin_mb2();
	put_addresses();
	put_tag(CHAIN_MB2_HEADER_FRAMEBUFFER, 0, video, 3);
	put_tag(CHAIN_MB2_HEADER_MODULE_ALIGN, 0, NULL, 0);
	put_tag(CHAIN_MB2_HEADER_RELOCATABLE, 0, where, 4);
	put_tag(77, CHAIN_MB2_TAG_OPTIONAL, NULL, 0);
	end_mb2();
	assert_ptr_equal(chain_door_probe(file, sizeof(file)), chain_door_named("multiboot2"));
	assert_int_equal(read_by("multiboot2", sizeof(file), &kernel, &err), CHAIN_OK);
	assert_true(kernel.segment_count == 1 && kernel.segments[0].phys.base == LOAD &&
		    kernel.segments[0].phys.end == LOAD + FILE_BYTES + 100);
	assert_true(kernel.segments[0].file_offset == 0 && kernel.segments[0].file_bytes == FILE_BYTES &&
		    kernel.entry == LOAD + 4096);
	assert_true(kernel.align_modules && kernel.video.asked && kernel.video.height == 600);
	assert_true(kernel.movable && kernel.move_align == 0x200000 && kernel.move_high &&
		    kernel.move_within.end == 0x8000000);
}

/* One tag of a header. */
struct tag {
	unsigned type, flags;
	size_t count;
	uint32_t words[6];
};
#define ADDRESS(header, load, end, bss)                                                                                \
	{                                                                                                              \
		CHAIN_MB2_HEADER_ADDRESS, 0, 4,                                                                        \
		{                                                                                                      \
			header, load, end, bss                                                                         \
		}                                                                                                      \
	}
#define ENTRY(at)                                                                                                      \
	{                                                                                                              \
		CHAIN_MB2_HEADER_ENTRY, 0, 1,                                                                          \
		{                                                                                                      \
			at                                                                                             \
		}                                                                                                      \
	}
#define GOOD_ADDRESS ADDRESS(LOAD + HEADER, LOAD, LOAD + FILE_BYTES, LOAD + FILE_BYTES + 100)
#define GOOD_ENTRY   ENTRY(LOAD + 4096)
#define MAY_LIE(min, max, align)                                                                                       \
	{                                                                                                              \
		CHAIN_MB2_HEADER_RELOCATABLE, 0, 4,                                                                    \
		{                                                                                                      \
			min, max, align, 0                                                                             \
		}                                                                                                      \
	}

/* Lists of tags, each with the end's behind it, and what is wrong. */
static const struct {
	const char *what;
	struct tag tags[4];
	enum chain_status want;
	const char *detail;
} mb2_cases[] = {
	{ "nothing", { GOOD_ADDRESS, GOOD_ENTRY }, CHAIN_OK, "" },
	{ "a tag nobody knows", { { 77, 0, 0, { 0 } } }, CHAIN_E_MB2_REQUIRED, "" },
	{ "the same, optional", { { 77, 1, 0, { 0 } }, GOOD_ADDRESS, GOOD_ENTRY }, CHAIN_OK, "" },
	{ "boot services", { { CHAIN_MB2_HEADER_EFI_SERVICES, 0, 0, { 0 } } }, CHAIN_E_MB2_REQUIRED, "" },
	{ "a request of nothing", { { CHAIN_MB2_HEADER_INFO_REQUEST, 0, 1, { 22 } } }, CHAIN_E_MB2_REQUEST, "" },
	{ "of more", { { CHAIN_MB2_HEADER_INFO_REQUEST, 0, 2, { 1, UINT32_MAX } } }, CHAIN_E_MB2_REQUEST, "" },
	{ "the same, optional",
	  { { CHAIN_MB2_HEADER_INFO_REQUEST, 1, 1, { 22 } }, GOOD_ADDRESS, GOOD_ENTRY },
	  CHAIN_OK,
	  "" },
	{ "requests twice",
	  { { CHAIN_MB2_HEADER_INFO_REQUEST, 0, 1, { 1 } },
	    { CHAIN_MB2_HEADER_INFO_REQUEST, 0, 1, { 6 } },
	    GOOD_ADDRESS,
	    GOOD_ENTRY },
	  CHAIN_OK,
	  "" },
	{ "addresses twice", { GOOD_ADDRESS, GOOD_ADDRESS, GOOD_ENTRY }, CHAIN_E_MB2_TAG, "there is one before it" },
	{ "entries twice", { GOOD_ADDRESS, GOOD_ENTRY, GOOD_ENTRY }, CHAIN_E_MB2_TAG, "there is one before it" },
	{ "flags twice",
	  { { CHAIN_MB2_HEADER_MODULE_ALIGN, 0, 0, { 0 } }, { CHAIN_MB2_HEADER_MODULE_ALIGN, 1, 0, { 0 } } },
	  CHAIN_E_MB2_TAG,
	  "there is one before it" },
	{ "addresses cut", { { CHAIN_MB2_HEADER_ADDRESS, 0, 3, { 0 } } }, CHAIN_E_MB2_TAG, "its size can't be" },
	{ "entry cut", { { CHAIN_MB2_HEADER_ENTRY, 0, 0, { 0 } } }, CHAIN_E_MB2_TAG, "its size can't be" },
	{ "screen cut", { { CHAIN_MB2_HEADER_FRAMEBUFFER, 0, 2, { 0 } } }, CHAIN_E_MB2_TAG, "its size can't be" },
	{ "console cut", { { CHAIN_MB2_HEADER_CONSOLE, 0, 0, { 0 } } }, CHAIN_E_MB2_TAG, "its size can't be" },
	{ "places cut", { { CHAIN_MB2_HEADER_RELOCATABLE, 0, 3, { 0 } } }, CHAIN_E_MB2_TAG, "its size can't be" },
	{ "no entry", { GOOD_ADDRESS }, CHAIN_E_MB2_NO_ENTRY, "" },
	{ "neither addresses nor ELF", { GOOD_ENTRY }, CHAIN_E_ELF_BAD_MAGIC, "" },
	{ "the header before the file",
	  { ADDRESS(LOAD - 1, LOAD, 0, 0), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_HEADER_ADDR,
	  "" },
	{ "more before the header than there is",
	  { ADDRESS(LOAD + HEADER + 1, LOAD, 0, 0), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_LOAD_ADDR,
	  "" },
	{ "the file's start below zero",
	  { ADDRESS(HEADER - 1, UINT32_MAX, 0, 0), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_HEADER_ADDR,
	  "" },
	{ "the file's start", { ADDRESS(LOAD + HEADER, UINT32_MAX, 0, 0), GOOD_ENTRY }, CHAIN_OK, "" },
	{ "an end before the start",
	  { ADDRESS(LOAD + HEADER, LOAD, LOAD, 0), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_LOAD_END,
	  "" },
	{ "an end behind the file",
	  { ADDRESS(LOAD + HEADER, LOAD, LOAD + FILE_BYTES + 1, 0), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_LOAD_FILE,
	  "" },
	{ "zeroes that end in the file",
	  { ADDRESS(LOAD + HEADER, LOAD, 0, LOAD + FILE_BYTES - 1), GOOD_ENTRY },
	  CHAIN_E_MULTIBOOT_BSS_END,
	  "" },
	{ "above 4 GiB",
	  { ADDRESS(0xffffff00u, 0xffffff00u - HEADER, 0, 0), ENTRY(0xffffff00u) },
	  CHAIN_E_KERNEL_ABOVE_4G,
	  "" },
	{ "an entry before", { GOOD_ADDRESS, ENTRY(LOAD - 1) }, CHAIN_E_ELF_BAD_ENTRY, "" },
	{ "an entry behind", { GOOD_ADDRESS, ENTRY(LOAD + FILE_BYTES + 100) }, CHAIN_E_ELF_BAD_ENTRY, "" },
	{ "no place", { GOOD_ADDRESS, GOOD_ENTRY, MAY_LIE(0x300000, 0x200000, 4096) }, CHAIN_E_MB2_RELOCATION, "" },
	{ "no alignment", { GOOD_ADDRESS, GOOD_ENTRY, MAY_LIE(0, 0x200000, 4095) }, CHAIN_E_MB2_RELOCATION, "" },
};

static void mb2_refusals_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mb2_cases) / sizeof(mb2_cases[0]); i++) {
		struct chain_kernel kernel;
		struct chain_error err;
		begin_mb2();
		for (size_t t = 0; t < 4 && mb2_cases[i].tags[t].type; t++)
			put_tag(mb2_cases[i].tags[t].type, mb2_cases[i].tags[t].flags, mb2_cases[i].tags[t].words,
				mb2_cases[i].tags[t].count);
		end_mb2();
		enum chain_status got = read_by("multiboot2", sizeof(file), &kernel, &err);
		if (got != mb2_cases[i].want || strcmp(err.detail, mb2_cases[i].detail) != 0)
			fail_msg("%s: %s %s", mb2_cases[i].what, chain_status_slug(got), err.detail);
		assert_true(got || kernel.segments[0].phys.base == LOAD);
	}
}

/* The header itself: where it lies, for what it is, how long it says it is. */
static void mb2_headers_that_lie(void **state)
{
	static const struct {
		uint32_t architecture, bytes;
		enum chain_status want;
	} cases[] = {
		{ 4, 72, CHAIN_E_MB2_ARCHITECTURE },
		{ 0, UINT32_MAX - 7, CHAIN_E_MB2_HEADER_CUT },
		{ 0, CHAIN_MB2_SEARCH_BYTES - HEADER + 1, CHAIN_E_MB2_HEADER_CUT },
		{ 0, 15, CHAIN_E_MB2_HEADER_CUT },
		{ 0, 0, CHAIN_E_MB2_HEADER_CUT },
	};
	(void)state;
	begin_mb2();
	expect("multiboot2", CHAIN_E_MB2_NO_HEADER);
	put_addresses();
	end_mb2();
	expect("multiboot2", CHAIN_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put32(HEADER + 4, cases[i].architecture);
		put32(HEADER + 8, cases[i].bytes);
		put32(HEADER + 12, 0u - (CHAIN_MB2_HEADER_MAGIC + cases[i].architecture + cases[i].bytes));
		expect("multiboot2", cases[i].want);
	}
	put32(HEADER + 12, 1); /* a wrong sum: no header */
	expect("multiboot2", CHAIN_E_MB2_NO_HEADER);
	end_mb2();
	memmove(file + HEADER + 4, file + HEADER, 200); /* not on a multiple of 8 */
	put32(HEADER, 0);
	expect("multiboot2", CHAIN_E_MB2_NO_HEADER);
	/* A list without an end: to the header's last byte, then not on. */
	begin_mb2();
	while (tags_end < 4096)
		put_tag(77, CHAIN_MB2_TAG_OPTIONAL, NULL, 0);
	end_mb2();
	put32(HEADER + tags_end - 8, 77 | CHAIN_MB2_TAG_OPTIONAL << 16);
	struct chain_kernel kernel;
	struct chain_error err;
	assert_int_equal(read_by("multiboot2", sizeof(file), &kernel, &err), CHAIN_E_MB2_TAG);
	assert_string_equal(err.detail, "it is missing");
}

/* Every length of a header that says less than there is: the end tag is missed, or the size of a tag. */
static void mb2_cut_anywhere(void **state)
{
	struct chain_kernel kernel;
	struct chain_error err;
	(void)state;
	begin_mb2();
	put_addresses();
	end_mb2();
	for (size_t bytes = 16; bytes < tags_end; bytes++) {
		put32(HEADER + 8, bytes);
		put32(HEADER + 12, 0u - (CHAIN_MB2_HEADER_MAGIC + (uint32_t)bytes));
		assert_int_equal(read_by("multiboot2", sizeof(file), &kernel, &err), CHAIN_E_MB2_TAG);
	}
	end_mb2();
	for (size_t bytes = 0; bytes < HEADER + tags_end; bytes++)
		assert_int_not_equal(read_by("multiboot2", bytes, &kernel, &err), CHAIN_OK);
}

/* --- plans by each door, and what the kernel finds --- */

struct planned {
	struct chain_bootinfo info;
	struct chain_plan plan;
	struct chain_error err;
	uint8_t *memory; /* of the machine, as the kernel finds it; what nobody wrote is 0xee */
	size_t bytes;
};

static const char handoff[] = "{\"kchain_handoff\":1}";
static uint8_t initrd[3001];

static void carry_out(struct planned *p)
{
	for (size_t i = 0; i < p->plan.move_count; i++) {
		const struct chain_move *move = &p->plan.moves[i];
		assert_true(move->dest.end <= p->bytes);
		if (move->kind == CHAIN_MOVE_COPY)
			memmove(p->memory + move->dest.base, move->bytes, chain_range_bytes(move->dest));
		else
			memset(p->memory + move->dest.base, 0, chain_range_bytes(move->dest));
	}
}

static enum chain_status plan_by(struct planned *p, const char *door, uint64_t file_bytes, size_t modules,
				 uint64_t memory_bytes)
{
	const struct chain_plan_module list[] = {
		{ .blob = { initrd, sizeof(initrd), CHAIN_PHYS_UNKNOWN }, .string = "one", .movable = true },
		{ .blob = { initrd, 5, CHAIN_PHYS_UNKNOWN }, .string = "two", .movable = true }
	};
	*p = (struct planned){ .bytes = memory_bytes };
	assert_int_equal(chain_bootinfo_qemu("pc", memory_bytes, 1, &p->info, NULL), CHAIN_OK);
	p->info.image = (struct chain_range){ 0x100000, 0x180000 };
	p->err = (struct chain_error){ 0 };
	p->info.acpi_rsdp = 0xf59d0;
	memcpy(p->info.rsdp, "RSD PTR ", 8);
	p->info.rsdp_bytes = 20;
	const struct chain_plan_request request = {
		.subject = "k",
		.door = chain_door_named(door),
		.kernel = { file, file_bytes, CHAIN_PHYS_UNKNOWN },
		.args = "a=1 b",
		.loader_name = "kchain",
		.modules = list,
		.module_count = modules,
		.handoff = { (const uint8_t *)handoff, sizeof(handoff) - 1, CHAIN_PHYS_UNKNOWN },
		.handoff_string = "kchain-handoff",
		.handoff_at = CHAIN_HANDOFF_LAST,
		.bootinfo = &p->info,
	};
	enum chain_status status = chain_plan_build(&request, &p->plan, &p->err);
	if (status)
		return status;
	p->memory = malloc(p->bytes);
	assert_non_null(p->memory);
	memset(p->memory, 0xee, p->bytes);
	carry_out(p);
	return CHAIN_OK;
}

static void forget(struct planned *p)
{
	chain_plan_free(&p->plan);
	chain_bootinfo_free(&p->info);
	free(p->memory);
}

static uint32_t seen32(const struct planned *p, uint64_t at)
{
	uint32_t v;
	assert_true(at + 4 <= p->bytes);
	memcpy(&v, p->memory + at, 4);
	return v;
}
static uint64_t seen64(const struct planned *p, uint64_t at)
{
	return seen32(p, at) | (uint64_t)seen32(p, at + 4) << 32;
}

static void mb2_kernel_finds_everything(void **state)
{
	struct planned p;
	unsigned seen = 0, modules = 0;
	const char *strings[] = { "one", "two", "kchain-handoff" };
	(void)state;
	begin_mb2();
	put_addresses();
	end_mb2();
	assert_int_equal(plan_by(&p, "multiboot2", sizeof(file), 2, 32 * MIB), CHAIN_OK);
	uint64_t info = p.plan.entry.registers[CHAIN_RBX];
	assert_true(p.plan.entry.registers[CHAIN_RAX] == CHAIN_MB2_ENTRY_MAGIC && info % 8 == 0 &&
		    p.plan.entry.mode == CHAIN_ENTRY_PROTECTED32);
	for (uint64_t at = info + 8, end = info + seen32(&p, info);;) {
		uint32_t type = seen32(&p, at), bytes = seen32(&p, at + 4);
		assert_true(at % 8 == 0 && bytes >= 8 && at + bytes <= end);
		seen |= 1u << type;
		if (type == CHAIN_MB2_END)
			break;
		if (type == CHAIN_MB2_CMDLINE)
			assert_string_equal((char *)p.memory + at + 8, "a=1 b");
		if (type == CHAIN_MB2_RSDP_OLD)
			assert_memory_equal(p.memory + at + 8, "RSD PTR ", 8);
		if (type == CHAIN_MB2_MMAP)
			assert_true(seen32(&p, at + 8) == 24 && (bytes - 16) / 24 == p.plan.mem_count);
		if (type == CHAIN_MB2_MODULE) {
			assert_string_equal((char *)p.memory + at + 16, strings[modules]);
			uint32_t base = seen32(&p, at + 8), count = seen32(&p, at + 12) - base;
			const void *want = modules == 2 ? (const void *)handoff : initrd;
			assert_int_equal(count, modules == 0 ? sizeof(initrd) : modules == 1 ? 5 : sizeof(handoff) - 1);
			assert_memory_equal(p.memory + base, want, count);
			modules++;
		}
		at += (bytes + 7) & ~7u;
	}
	assert_int_equal(modules, 3);
	assert_int_equal(seen, 1u << CHAIN_MB2_END | 1u << CHAIN_MB2_CMDLINE | 1u << CHAIN_MB2_LOADER |
				       1u << CHAIN_MB2_MODULE | 1u << CHAIN_MB2_MEMORY | 1u << CHAIN_MB2_MMAP |
				       1u << CHAIN_MB2_FRAMEBUFFER | 1u << CHAIN_MB2_RSDP_OLD);
	forget(&p);
}

/* What can't be answered on this machine is refused by its number, and a kernel that may lie elsewhere is moved where
 * it has to be. */
static void mb2_requests_and_relocation(void **state)
{
	const uint32_t network[] = { 16 }, smbios[] = { CHAIN_MB2_SMBIOS },
		       rsdp[] = { CHAIN_MB2_RSDP_OLD, CHAIN_MB2_MMAP };
	const uint32_t high[] = { 0x400000, 0xffffff, 0x100000, CHAIN_MB2_PREFER_HIGH };
	struct planned p;
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		begin_mb2();
		put_addresses();
		put_tag(CHAIN_MB2_HEADER_INFO_REQUEST, 0, i ? smbios : network, 1);
		end_mb2();
		assert_int_equal(plan_by(&p, "multiboot2", sizeof(file), 0, 32 * MIB), CHAIN_E_MB2_REQUEST);
		chain_bootinfo_free(&p.info);
	}
	begin_mb2();
	put_addresses();
	put_tag(CHAIN_MB2_HEADER_INFO_REQUEST, 0, rsdp, 2);
	put_tag(CHAIN_MB2_HEADER_RELOCATABLE, 0, high, 4);
	end_mb2();
	assert_int_equal(plan_by(&p, "multiboot2", sizeof(file), 0, 32 * MIB), CHAIN_OK);
	assert_int_equal(p.plan.entry.address,
			 0xf00000 + 4096); /* the highest multiple of 1 MiB that leaves room below 16 MiB */
	assert_memory_equal(p.memory + 0xf00000, file, sizeof(file));
	forget(&p);
}

/* --- Linux --- */

enum { SETUP = 2 * CHAIN_LINUX_SECTOR, CODE_BYTES = 20000, KERNEL_BYTES = SETUP + CODE_BYTES, INIT_BYTES = 0x10000 };

static void make_bzimage(void)
{
	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 7 + i / 256);
	memset(file, 0, SETUP);
	file[CHAIN_LINUX_SETUP_SECTS] = 1;
	put16(CHAIN_LINUX_BOOT_FLAG, CHAIN_LINUX_BOOT_FLAG_VALUE);
	file[CHAIN_LINUX_JUMP_BYTES] = 0x6a;
	put32(CHAIN_LINUX_MAGIC, CHAIN_LINUX_MAGIC_VALUE);
	put16(CHAIN_LINUX_VERSION, 0x20f);
	file[CHAIN_LINUX_LOADFLAGS] = CHAIN_LINUX_LOADED_HIGH;
	put32(CHAIN_LINUX_INITRD_ADDR_MAX, 0x7fffffff);
	put32(CHAIN_LINUX_ALIGNMENT, 0x200000);
	file[CHAIN_LINUX_RELOCATABLE] = 1;
	put16(CHAIN_LINUX_XLOADFLAGS, CHAIN_LINUX_KERNEL_64);
	put32(CHAIN_LINUX_CMDLINE_SIZE, 2047);
	put64(CHAIN_LINUX_PREF_ADDRESS, 0x1000000);
	put32(CHAIN_LINUX_INIT_SIZE, INIT_BYTES);
}

static enum chain_status read_linux(struct chain_kernel *out)
{
	struct chain_error err;
	return read_by("linux", KERNEL_BYTES, out, &err);
}

static void linux_header_is_read(void **state)
{
	struct chain_kernel kernel;
	(void)state;
	make_bzimage();
	assert_ptr_equal(chain_door_probe(file, KERNEL_BYTES), chain_door_named("linux"));
	assert_int_equal(read_linux(&kernel), CHAIN_OK);
	assert_true(kernel.mode == CHAIN_ENTRY_LONG64 && kernel.entry == 0x1000200 && kernel.limit == 0x80000000 &&
		    kernel.movable);
	assert_true(kernel.segments[0].phys.end == 0x1000000 + INIT_BYTES &&
		    kernel.segments[0].file_bytes == CODE_BYTES);
	put16(CHAIN_LINUX_XLOADFLAGS, 0); /* for 32 bits only */
	assert_int_equal(read_linux(&kernel), CHAIN_OK);
	assert_true(kernel.mode == CHAIN_ENTRY_PROTECTED32 && kernel.entry == 0x1000000);
	put16(CHAIN_LINUX_VERSION, 0x202); /* it can't say where it lies, nor how much it needs */
	assert_int_equal(read_linux(&kernel), CHAIN_OK);
	assert_true(kernel.entry == 0x100000 && !kernel.movable && kernel.limit == 0x38000000 &&
		    kernel.segments[0].phys.end == 0x100000 + 8 * CODE_BYTES &&
		    kernel.segments[0].file_bytes == CODE_BYTES);
}

static void linux_headers_that_lie(void **state)
{
	static const struct {
		size_t at, bytes;
		uint64_t value;
		enum chain_status want;
		const char *detail;
	} cases[] = {
		{ CHAIN_LINUX_VERSION, 2, 0x201, CHAIN_E_LINUX_VERSION, "" },
		{ CHAIN_LINUX_VERSION, 2, 0, CHAIN_E_LINUX_VERSION, "" },
		{ CHAIN_LINUX_LOADFLAGS, 1, 0, CHAIN_E_LINUX_REAL_MODE, "" },
		{ CHAIN_LINUX_SETUP_SECTS, 1, 255, CHAIN_E_LINUX_HEADER, "the size of the setup code" },
		{ CHAIN_LINUX_SETUP_SECTS, 1, 40, CHAIN_E_LINUX_HEADER, "the 64-bit entry point" },
		{ CHAIN_LINUX_SYSSIZE, 4, CODE_BYTES / 16 + 1, CHAIN_E_LINUX_HEADER, "the size of the kernel" },
		{ CHAIN_LINUX_SYSSIZE, 4, CODE_BYTES / 16, CHAIN_OK, "" },
		{ CHAIN_LINUX_SYSSIZE, 4, UINT32_MAX, CHAIN_E_LINUX_HEADER, "the size of the kernel" },
		{ CHAIN_LINUX_JUMP_BYTES, 1, 0xff, CHAIN_E_LINUX_HEADER, "the end of the setup header" },
		{ CHAIN_LINUX_JUMP_BYTES, 1, 0x8f, CHAIN_E_LINUX_HEADER, "the end of the setup header" },
		{ CHAIN_LINUX_JUMP_BYTES, 1, 4, CHAIN_E_LINUX_HEADER, "the end of the setup header" },
		{ CHAIN_LINUX_ALIGNMENT, 4, 0, CHAIN_E_LINUX_HEADER, "the alignment" },
		{ CHAIN_LINUX_ALIGNMENT, 4, 0x300000, CHAIN_E_LINUX_HEADER, "the alignment" },
		{ CHAIN_LINUX_ALIGNMENT, 4, UINT32_MAX, CHAIN_E_LINUX_HEADER, "the alignment" },
		{ CHAIN_LINUX_INIT_SIZE, 4, 10, CHAIN_E_LINUX_HEADER, "init_size" },
		{ CHAIN_LINUX_INIT_SIZE, 4, CODE_BYTES - 1, CHAIN_E_LINUX_HEADER, "init_size" },
		{ CHAIN_LINUX_INIT_SIZE, 4, UINT32_MAX, CHAIN_E_KERNEL_ABOVE_4G, "" },
		{ CHAIN_LINUX_INITRD_ADDR_MAX, 4, 0x1000, CHAIN_E_LINUX_HEADER, "initrd_addr_max" },
		{ CHAIN_LINUX_INITRD_ADDR_MAX, 4, 0xfffff, CHAIN_E_LINUX_HEADER, "initrd_addr_max" },
		{ CHAIN_LINUX_PREF_ADDRESS, 8, UINT64_MAX - 10, CHAIN_E_OVERFLOW, "" },
		{ CHAIN_LINUX_PREF_ADDRESS, 8, 0x100000000, CHAIN_E_KERNEL_ABOVE_4G, "" },
	};
	struct chain_kernel kernel;
	struct chain_error err;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_bzimage();
		memcpy(file + cases[i].at, &cases[i].value, cases[i].bytes);
		enum chain_status got = read_by("linux", KERNEL_BYTES, &kernel, &err);
		if (got != cases[i].want || (*cases[i].detail && strcmp(err.detail, cases[i].detail) != 0))
			fail_msg("case %zu: %s %s", i, chain_status_slug(got), err.detail);
	}
}

/* Cut anywhere: within the header it is no bzImage any more, and behind it the header tells that something is missing.
 */
static void linux_cut_anywhere(void **state)
{
	struct chain_kernel kernel;
	struct chain_error err;
	enum chain_kernel_kind kind;
	(void)state;
	make_bzimage();
	put32(CHAIN_LINUX_SYSSIZE, (CODE_BYTES + 15) / 16);
	for (size_t bytes = 0; bytes <= KERNEL_BYTES; bytes++) {
		bool whole = bytes > KERNEL_BYTES - 16, header = bytes >= CHAIN_LINUX_HEADER_END_MAX;
		enum chain_status got = read_by("linux", bytes, &kernel, &err);
		assert_int_equal(got, whole ? CHAIN_OK : header ? CHAIN_E_LINUX_HEADER : CHAIN_E_ELF_BAD_MAGIC);
		if (header && !whole)
			assert_string_equal(err.detail,
					    bytes <= SETUP ? "the size of the setup code" : "the size of the kernel");
	}
	for (size_t bytes = 0; bytes < CHAIN_LINUX_HEADER_END_MAX; bytes += 8) {
		err = (struct chain_error){ 0 };
		assert_int_equal(chain_kernel_probe(file, bytes, "k", &kind, &err), CHAIN_E_NOT_A_KERNEL);
		if (bytes >= CHAIN_LINUX_MAGIC + 4)
			assert_string_equal(err.detail,
					    "it begins as a Linux bzImage does, but lacks the rest of its header");
	}
}

/* Whatever the header says, what is read from it stays within the file and within bounds. */
static void linux_random_headers(void **state)
{
	unsigned accepted = 0;
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct chain_kernel kernel;
		make_bzimage();
		for (unsigned i = 0; i <= random_next() % 3; i++)
			file[CHAIN_LINUX_SETUP_SECTS + random_next() % 0x90] = (uint8_t)random_next();
		put32(CHAIN_LINUX_MAGIC, CHAIN_LINUX_MAGIC_VALUE);
		put16(CHAIN_LINUX_BOOT_FLAG, CHAIN_LINUX_BOOT_FLAG_VALUE);
		if (read_linux(&kernel))
			continue;
		const struct chain_segment *s = &kernel.segments[0];
		accepted++;
		assert_true(s->file_offset + s->file_bytes == KERNEL_BYTES &&
			    s->file_bytes <= chain_range_bytes(s->phys));
		assert_true(kernel.entry >= s->phys.base && kernel.entry < s->phys.base + s->file_bytes &&
			    (s->phys.end <= 4 * GIB || kernel.limit == CHAIN_MEMORY_END));
		assert_true(kernel.limit <= 4 * GIB ||
			    (kernel.mode == CHAIN_ENTRY_LONG64 && file[CHAIN_LINUX_XLOADFLAGS] & CHAIN_LINUX_ABOVE_4G));
		assert_true(!kernel.movable || (kernel.move_align && !(kernel.move_align & (kernel.move_align - 1))));
	}
	assert_true(accepted > 5000 && accepted < 20000);
}

static void linux_kernel_finds_everything(void **state)
{
	struct planned p;
	(void)state;
	make_bzimage();
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 2, 64 * MIB), CHAIN_OK);
	uint64_t params = p.plan.entry.registers[CHAIN_RSI], ramdisk = seen32(&p, params + CHAIN_LINUX_RAMDISK_IMAGE);
	uint32_t size = seen32(&p, params + CHAIN_LINUX_RAMDISK_SIZE);
	assert_true(p.plan.entry.mode == CHAIN_ENTRY_LONG64 && p.plan.entry.address == 0x1000200);
	assert_true(p.plan.entry.descriptors[CHAIN_ENTRY_CODE / 8] == 0x00af9b000000ffff &&
		    p.plan.entry.cr0 & 0x80000000u);
	assert_memory_equal(p.memory + 0x1000000, file + SETUP, CODE_BYTES);
	assert_string_equal((char *)p.memory + seen32(&p, params + CHAIN_LINUX_CMD_LINE_PTR), "a=1 b");
	assert_int_equal(p.memory[params + CHAIN_LINUX_LOADER_TYPE], CHAIN_LINUX_LOADER_OTHER);
	assert_int_equal(p.memory[params + CHAIN_LINUX_E820_COUNT], p.plan.mem_count);
	for (size_t i = 0; i < p.plan.mem_count; i++) {
		uint64_t at = params + CHAIN_LINUX_E820 + i * CHAIN_LINUX_E820_BYTES;
		assert_true(seen64(&p, at) == p.plan.mem[i].range.base &&
			    seen64(&p, at + 8) == chain_range_bytes(p.plan.mem[i].range) &&
			    seen32(&p, at + 16) == p.plan.mem[i].type);
	}
	assert_int_equal(seen64(&p, params + CHAIN_LINUX_RSDP), 0xf59d0);
	/* Two initrds and the handoff's archive behind each other, each on a multiple of four, with zeros between. */
	assert_memory_equal(p.memory + ramdisk, initrd, sizeof(initrd));
	assert_memory_equal(p.memory + ramdisk + 3001, "\0\0\0", 3);
	assert_memory_equal(p.memory + ramdisk + 3004, initrd, 5);
	uint64_t archive = ramdisk + 3012;
	assert_memory_equal(p.memory + archive, "070701", 6);
	assert_int_equal(size, 3012 + chain_initrd_bytes(sizeof(handoff) - 1));
	assert_memory_equal(p.memory + archive + chain_initrd_text_at(), handoff, sizeof(handoff) - 1);
	assert_int_equal(p.plan.handoff.base, archive + chain_initrd_text_at());
	forget(&p);
}

/* A machine without memory at 16 MiB; one with none at all; a command line that is too long; more of a memory map than
 * fits the page. */
static void linux_on_odd_machines(void **state)
{
	struct planned p;
	(void)state;
	make_bzimage();
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 1, 8 * MIB), CHAIN_OK);
	assert_true(p.plan.entry.address % 0x200000 == CHAIN_LINUX_ENTRY_64 && p.plan.entry.address < 8 * MIB);
	assert_int_equal(seen32(&p, p.plan.entry.registers[CHAIN_RSI] + CHAIN_LINUX_CODE32_START),
			 p.plan.entry.address - CHAIN_LINUX_ENTRY_64);
	forget(&p);
	put32(CHAIN_LINUX_INIT_SIZE, 0x4000000);
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 1, 8 * MIB), CHAIN_E_NO_SPACE);
	chain_bootinfo_free(&p.info);
	make_bzimage();
	put32(CHAIN_LINUX_CMDLINE_SIZE, 4);
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 1, 64 * MIB), CHAIN_E_LINUX_CMDLINE);
	chain_bootinfo_free(&p.info);
}

/* A plan of that kernel and an initrd that has no bytes for a machine of so little memory below 4 GiB. */
static enum chain_status plan_low(uint64_t low_end, uint64_t initrd_bytes, struct chain_plan *plan,
				  struct chain_bootinfo *info, struct chain_error *err)
{
	static struct chain_mem_entry mem[2];
	const struct chain_plan_module module = { .blob = { initrd, initrd_bytes, CHAIN_PHYS_UNKNOWN },
						  .string = "one",
						  .movable = true };
	mem[0] = (struct chain_mem_entry){ { MIB, low_end }, CHAIN_MEM_AVAILABLE };
	mem[1] = (struct chain_mem_entry){ { 4 * GIB, 5 * GIB }, CHAIN_MEM_AVAILABLE };
	*info = (struct chain_bootinfo){ .mem = mem, .mem_count = 2, .cpus = 1 };
	*err = (struct chain_error){ 0 };
	const struct chain_plan_request request = {
		.subject = "k",
		.door = chain_door_named("linux"),
		.kernel = { file, KERNEL_BYTES, CHAIN_PHYS_UNKNOWN },
		.args = "a=1 b",
		.loader_name = "kchain",
		.modules = &module,
		.module_count = 1,
		.bootinfo = info,
	};
	return chain_plan_build(&request, plan, err);
}

static uint64_t wide(const struct chain_plan *plan, unsigned low_at, unsigned high_at)
{
	return chain_le32(plan->made + low_at) | (uint64_t)chain_le32(plan->made + high_at) << 32;
}

/* What a kernel says that it reaches is used where there is no room below, and only then. */
static void linux_above_4_gib(void **state)
{
	struct chain_bootinfo info;
	struct chain_error err;
	struct chain_plan plan;
	char text[256];
	uint64_t phys;
	(void)state;
	make_bzimage();
	assert_int_equal(plan_low(24 * MIB, 32 * MIB, &plan, &info, &err), CHAIN_E_NO_SPACE);
	chain_error_format(&err, text, sizeof(text));
	assert_string_equal(text,
			    "k: module 0: no room for 33554432 bytes between 0x100000 and 0x80000000: the largest "
			    "free place there has 15728640");
	put16(CHAIN_LINUX_XLOADFLAGS, CHAIN_LINUX_ABOVE_4G); /* for 32 bits only: it can't be true */
	assert_int_equal(plan_low(24 * MIB, 32 * MIB, &plan, &info, &err), CHAIN_E_NO_SPACE);
	put16(CHAIN_LINUX_XLOADFLAGS, CHAIN_LINUX_KERNEL_64 | CHAIN_LINUX_ABOVE_4G);
	assert_int_equal(plan_low(24 * MIB, 32 * MIB, &plan, &info, &err), CHAIN_OK);
	assert_int_equal(wide(&plan, CHAIN_LINUX_RAMDISK_IMAGE, CHAIN_LINUX_RAMDISK_IMAGE_HIGH), 4 * GIB);
	assert_int_equal(wide(&plan, CHAIN_LINUX_RAMDISK_SIZE, CHAIN_LINUX_RAMDISK_SIZE_HIGH), 32 * MIB);
	assert_true(plan.entry.address == 0x1000200 && plan.info.end <= 24 * MIB);
	chain_plan_free(&plan);
	assert_int_equal(plan_low(24 * MIB, 2 * MIB, &plan, &info, &err), CHAIN_OK);
	assert_true(wide(&plan, CHAIN_LINUX_RAMDISK_IMAGE, CHAIN_LINUX_RAMDISK_IMAGE_HIGH) < 24 * MIB);
	chain_plan_free(&plan);
	/* The kernel too, what it is told behind it, and the code that enters it. */
	put32(CHAIN_LINUX_INIT_SIZE, 8 * MIB);
	assert_int_equal(plan_low(3 * MIB, 32 * MIB, &plan, &info, &err), CHAIN_OK);
	assert_true(plan.entry.address == 4 * GIB + CHAIN_LINUX_ENTRY_64 &&
		    plan.entry.registers[CHAIN_RSI] == plan.info.base && plan.info.base >= 4 * GIB);
	assert_int_equal(wide(&plan, CHAIN_LINUX_CMD_LINE_PTR, CHAIN_LINUX_CMD_LINE_PTR_HIGH), plan.info.base + PAGE);
	assert_int_equal(chain_plan_find_trampoline(&plan, &info, NULL, 3 * MIB, &phys, &err), CHAIN_OK);
	assert_true(phys >= 4 * GIB);
	plan.entry.mode = CHAIN_ENTRY_PROTECTED32;
	assert_int_equal(chain_plan_find_trampoline(&plan, &info, NULL, 3 * MIB, &phys, &err), CHAIN_E_NO_SPACE);
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_REACH);
	chain_plan_free(&plan);
}

/* An initrd goes where the kernel reaches it, and stays only where it does. */
static void linux_initrd_and_its_limit(void **state)
{
	struct planned p;
	(void)state;
	make_bzimage();
	put64(CHAIN_LINUX_PREF_ADDRESS, 0x200000);
	put32(CHAIN_LINUX_ALIGNMENT, 0x100000);
	put32(CHAIN_LINUX_INITRD_ADDR_MAX, 0x3fffff);
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 1, 64 * MIB), CHAIN_OK);
	uint64_t params = p.plan.entry.registers[CHAIN_RSI], at = seen32(&p, params + CHAIN_LINUX_RAMDISK_IMAGE);
	assert_true(at + seen32(&p, params + CHAIN_LINUX_RAMDISK_SIZE) <= 0x400000);
	assert_memory_equal(p.memory + at, initrd, sizeof(initrd));
	forget(&p);
	/* The kernel fills what it could reach. */
	put64(CHAIN_LINUX_PREF_ADDRESS, 0x100000);
	put32(CHAIN_LINUX_INIT_SIZE, 0x300000);
	assert_int_equal(plan_by(&p, "linux", KERNEL_BYTES, 1, 64 * MIB), CHAIN_E_NO_SPACE);
	char text[256];
	chain_error_format(&p.err, text, sizeof(text));
	assert_string_equal(text, "k: boot information 0: no room for 4102 bytes between 0x100000 and 0x400000: "
				  "the largest free place there has 0");
	chain_bootinfo_free(&p.info);
}

/* The highest byte that it may have is one that the kernel reaches. */
static void linux_initrd_above_what_is_reached(void **state)
{
	struct chain_bootinfo machine = { .acpi_rsdp = 0 };
	struct chain_mem_entry mem = { { 0, 64 * MIB }, CHAIN_MEM_AVAILABLE };
	struct chain_door_module modules[] = { { { 0x200000, 0x300000 }, "a" }, { { 0x300000, 0x400000 }, "b" } };
	struct chain_kernel kernel;
	static uint8_t buf[2 * PAGE];
	uint64_t bytes;
	(void)state;
	make_bzimage();
	put32(CHAIN_LINUX_INITRD_ADDR_MAX, 0x3fffff);
	assert_int_equal(read_linux(&kernel), CHAIN_OK);
	const struct chain_door_info info = { .subject = "k",
					      .file = file,
					      .file_bytes = KERNEL_BYTES,
					      .kernel = &kernel,
					      .cmdline = "a",
					      .loader_name = "kchain",
					      .modules = modules,
					      .module_count = 2,
					      .mem = &mem,
					      .mem_count = 1,
					      .machine = &machine };
	for (uint64_t end = 0x3ffffe; end < 0x400003; end++) {
		struct chain_error err = { 0 };
		char text[256], want[256];
		modules[1].range.end = end;
		assert_int_equal(kernel.door->info_bytes(&info, &bytes, &err), CHAIN_OK);
		assert_true(bytes <= sizeof(buf));
		assert_int_equal(kernel.door->info_build(&info, 0x10000, buf, &err),
				 end <= 0x400000 ? CHAIN_OK : CHAIN_E_LINUX_INITRD);
		if (end <= 0x400000)
			continue;
		chain_error_format(&err, text, sizeof(text));
		snprintf(want, sizeof(want),
			 "k: the initial file system at 0x200000 to 0x%llx lies above 0x400000, and the kernel reaches "
			 "no further",
			 (unsigned long long)end);
		assert_string_equal(text, want);
	}
}

/* One that is too old to be told of more memory than its page has room for is not started with less. */
static void linux_map_of_many_entries(void **state)
{
	static struct chain_mem_entry mem[CHAIN_LINUX_E820_MAX + 2];
	struct chain_bootinfo machine = { .acpi_rsdp = 0 };
	struct chain_kernel kernel;
	struct chain_error err = { 0 };
	uint8_t *buf = malloc(2 * PAGE);
	uint64_t bytes;
	(void)state;
	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(mem) / sizeof(mem[0]); i++)
		mem[i] = (struct chain_mem_entry){ { i * MIB, (i + 1) * MIB }, (uint32_t)(1 + i % 2) };
	make_bzimage();
	assert_int_equal(read_linux(&kernel), CHAIN_OK);
	const struct chain_door_info info = { .subject = "k",
					      .file = file,
					      .file_bytes = KERNEL_BYTES,
					      .kernel = &kernel,
					      .cmdline = "a",
					      .loader_name = "kchain",
					      .mem = mem,
					      .mem_count = CHAIN_LINUX_E820_MAX + 2,
					      .machine = &machine };
	assert_int_equal(kernel.door->info_bytes(&info, &bytes, &err), CHAIN_OK);
	assert_true(bytes <= 2 * PAGE);
	assert_int_equal(kernel.door->info_build(&info, 0x10000, buf, &err), CHAIN_OK);
	uint64_t data = chain_le64(buf + CHAIN_LINUX_SETUP_DATA) - 0x10000;
	assert_int_equal(buf[CHAIN_LINUX_E820_COUNT], CHAIN_LINUX_E820_MAX);
	assert_true(chain_le64(buf + data) == 0 && chain_le32(buf + data + 8) == CHAIN_LINUX_DATA_E820 &&
		    chain_le32(buf + data + 12) == 2 * CHAIN_LINUX_E820_BYTES);
	assert_int_equal(chain_le64(buf + data + 16), CHAIN_LINUX_E820_MAX * (uint64_t)MIB);
	put16(CHAIN_LINUX_VERSION, 0x208);
	assert_int_equal(kernel.door->info_bytes(&info, &bytes, &err), CHAIN_E_LIMIT);
	assert_true(err.number[0] == CHAIN_LINUX_E820_MAX + 2 && err.number[1] == CHAIN_LINUX_E820_MAX);
	free(buf);
}

/* --- PVH --- */

enum { NOTE_AT = 0x200, CODE_AT = 0x1000 };

/* An ELF64 file of one segment and one note. */
static void make_pvh(uint32_t note_bytes, uint64_t entry)
{
	memset(file, 0, sizeof(file));
	memcpy(file, "\177ELF\2\1\1", 7);
	put16(16, 2);
	put16(18, CHAIN_ELF_MACHINE_X86_64);
	put32(20, 1);
	put64(24, LOAD);
	put64(32, 64);
	put16(54, 56);
	put16(56, 2);
	put32(64, CHAIN_ELF_PT_LOAD);
	put64(72, CODE_AT);
	put64(80, LOAD);
	put64(88, LOAD);
	put64(96, 0x2000);
	put64(104, 0x3000);
	put32(120, CHAIN_ELF_PT_NOTE);
	put64(128, NOTE_AT);
	put64(152, 12 + 4 + note_bytes);
	put64(168, 4);
	put32(NOTE_AT, 4);
	put32(NOTE_AT + 4, note_bytes);
	put32(NOTE_AT + 8, CHAIN_PVH_NOTE_ENTRY);
	memcpy(file + NOTE_AT + 12, "Xen", 4);
	put64(NOTE_AT + 16, entry);
	memset(file + CODE_AT, 0xcc, 0x2000);
}

static void pvh_notes(void **state)
{
	static const struct {
		uint32_t bytes;
		uint64_t entry;
		enum chain_status want;
	} cases[] = {
		{ 4, LOAD + 16, CHAIN_OK },
		{ 8, LOAD + 16, CHAIN_OK },
		{ 0, LOAD, CHAIN_E_PVH_NOTE },
		{ 5, LOAD, CHAIN_E_PVH_NOTE },
		{ 16, LOAD, CHAIN_E_PVH_NOTE },
		{ 8, LOAD - 1, CHAIN_E_ELF_BAD_ENTRY },
		{ 8, LOAD + 0x3000, CHAIN_E_ELF_BAD_ENTRY },
		{ 8, UINT64_MAX, CHAIN_E_ELF_BAD_ENTRY },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_pvh(cases[i].bytes, cases[i].entry);
		expect("pvh", cases[i].want);
		assert_ptr_equal(chain_door_probe(file, sizeof(file)), chain_door_named("pvh"));
	}
}

/* Notes that don't fit where they are said to be: there is none then, for whoever looks what the file is. */
static void pvh_notes_that_lie(void **state)
{
	static const struct {
		size_t at, bytes;
		uint64_t value;
		enum chain_status want;
		bool pvh;
	} cases[] = {
		{ 152, 8, 12 + 4 + 7, CHAIN_E_ELF_BAD_NOTE, false }, /* the segment ends in the note */
		{ NOTE_AT + 4, 4, UINT32_MAX, CHAIN_E_ELF_BAD_NOTE, false },
		{ NOTE_AT, 4, UINT32_MAX, CHAIN_E_ELF_BAD_NOTE, false },
		{ 128, 8, FILE_BYTES - 8, CHAIN_E_ELF_SEGMENT_FILE, false },
		{ 128, 8, UINT64_MAX - 8, CHAIN_E_ELF_SEGMENT_FILE, false },
		{ NOTE_AT + 8, 4, 17, CHAIN_E_ELF_NO_NOTE, false }, /* of another type */
		{ NOTE_AT, 4, 3, CHAIN_E_ELF_NO_NOTE, false },      /* of another name */
		{ 88, 8, 0xfffff000, CHAIN_E_ELF_BAD_ENTRY, true },
		{ 104, 8, 0x1000, CHAIN_E_ELF_SEGMENT_SIZE, true },
		{ 18, 2, 40, CHAIN_E_ELF_BAD_MACHINE, true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_pvh(8, LOAD + 16);
		memcpy(file + cases[i].at, &cases[i].value, cases[i].bytes);
		expect("pvh", cases[i].want);
		assert_int_equal(chain_door_named("pvh")->probe(file, sizeof(file)), cases[i].pvh);
	}
	make_pvh(8, 0xfffff800);
	put64(80, 0xfffff000);
	put64(88, 0xfffff000);
	expect("pvh", CHAIN_E_KERNEL_ABOVE_4G);
}

/* --- a kernel with two headers --- */

static void a_step_says_which(void **state)
{
	static const struct {
		const char *door;
		enum chain_status want;
	} cases[] = {
		{ NULL, CHAIN_OK },
		{ "pvh", CHAIN_OK },
		{ "multiboot2", CHAIN_OK },
		{ "multiboot1", CHAIN_E_KERNEL_DOOR },
		{ "linux", CHAIN_E_KERNEL_DOOR },
	};
	(void)state;
	make_pvh(8, LOAD + 16);
	tags_end = 16;
	memset(file + 0x400, 0, 64);
	memcpy(file + 0x400, "\xd6\x50\x52\xe8\0\0\0\0\x18\0\0\0\x12\xaf\xad\x17\0\0\0\0\x8\0\0\0", 24);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct chain_door *door = cases[i].door ? chain_door_named(cases[i].door) : NULL;
		struct chain_error err = { 0 };
		enum chain_kernel_kind kind;
		assert_int_equal(chain_kernel_probe_by(door, file, sizeof(file), "k", &kind, &err), cases[i].want);
		if (cases[i].want)
			assert_string_equal(err.detail, cases[i].door);
		else
			assert_string_equal(chain_kernel_kind_name(kind), cases[i].door ? cases[i].door : "multiboot2");
		assert_int_equal(!cases[i].want, kind != CHAIN_KERNEL_UNKNOWN);
	}
}

static void pvh_kernel_finds_everything(void **state)
{
	struct planned p;
	struct chain_pvh_info info;
	struct chain_pvh_module modules[3];
	(void)state;
	make_pvh(8, LOAD + 16);
	assert_int_equal(plan_by(&p, "pvh", sizeof(file), 2, 32 * MIB), CHAIN_OK);
	assert_true(p.plan.entry.address == LOAD + 16 && p.plan.entry.mode == CHAIN_ENTRY_PROTECTED32);
	memcpy(&info, p.memory + p.plan.entry.registers[CHAIN_RBX], sizeof(info));
	assert_true(info.magic == CHAIN_PVH_MAGIC && info.version == 1 && info.module_count == 3 &&
		    info.rsdp == 0xf59d0);
	assert_string_equal((char *)p.memory + info.cmdline, "a=1 b");
	memcpy(modules, p.memory + info.modules, sizeof(modules));
	assert_memory_equal(p.memory + modules[0].base, initrd, sizeof(initrd));
	assert_string_equal((char *)p.memory + modules[2].cmdline, "kchain-handoff");
	assert_true(modules[2].bytes == sizeof(handoff) - 1);
	assert_memory_equal(p.memory + modules[2].base, handoff, sizeof(handoff) - 1);
	assert_int_equal(info.mmap_count, p.plan.mem_count);
	forget(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mb2_header_is_read),
		cmocka_unit_test(mb2_refusals_are_exact),
		cmocka_unit_test(mb2_headers_that_lie),
		cmocka_unit_test(mb2_cut_anywhere),
		cmocka_unit_test(mb2_kernel_finds_everything),
		cmocka_unit_test(mb2_requests_and_relocation),
		cmocka_unit_test(linux_header_is_read),
		cmocka_unit_test(linux_headers_that_lie),
		cmocka_unit_test(linux_cut_anywhere),
		cmocka_unit_test(linux_initrd_and_its_limit),
		cmocka_unit_test(linux_initrd_above_what_is_reached),
		cmocka_unit_test(linux_map_of_many_entries),
		cmocka_unit_test(linux_random_headers),
		cmocka_unit_test(linux_kernel_finds_everything),
		cmocka_unit_test(linux_on_odd_machines),
		cmocka_unit_test(linux_above_4_gib),
		cmocka_unit_test(pvh_notes),
		cmocka_unit_test(pvh_notes_that_lie),
		cmocka_unit_test(a_step_says_which),
		cmocka_unit_test(pvh_kernel_finds_everything),
	};
	for (size_t i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * 31 + 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
