/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Multiboot 1: kernels' headers, real kernels, the information structure built and read, honest and hostile. */
#include "chain/multiboot.h"
#include "chain/boot_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER_AT = 64, FILE_BYTES = 0x400 };

struct aout { /* a kernel loaded by the address fields */
	uint8_t before[HEADER_AT];
	struct multiboot_header header;
	uint8_t after[FILE_BYTES - HEADER_AT - sizeof(struct multiboot_header)];
};
static_assert(sizeof(struct aout) == FILE_BYTES, "file");

static struct aout good(void)
{
	return (struct aout){ .header = { .magic = MULTIBOOT_HEADER_MAGIC,
					  .flags = MULTIBOOT_AOUT_KLUDGE | 3,
					  .header_addr = 0x100000 + HEADER_AT,
					  .load_addr = 0x100000,
					  .load_end_addr = 0x100000 + FILE_BYTES,
					  .bss_end_addr = 0x101000,
					  .entry_addr = 0x100100 } };
}

static void sum(struct aout *file)
{
	file->header.checksum = 0u - file->header.magic - file->header.flags;
}

static void expect(const void *file, uint64_t bytes, enum chain_status want)
{
	struct chain_multiboot_kernel kernel;
	struct chain_error err = { 0 };
	enum chain_status status = chain_multiboot_kernel_read(&kernel, file, bytes, "k", &err);
	assert_string_equal(chain_status_slug(status), chain_status_slug(want));
	assert_int_equal(err.status, want);
}

static void address_fields_win(void **state)
{
	(void)state;
	struct aout file = good();
	struct chain_multiboot_kernel kernel;
	sum(&file);
	memcpy(file.before, "\177ELF", 4); /* an ELF magic with nothing behind it does not matter */
	assert_int_equal(chain_multiboot_kernel_read(&kernel, &file, sizeof(file), "k", NULL), CHAIN_OK);
	assert_int_equal(kernel.header_offset, HEADER_AT);
	assert_int_equal(kernel.segment_count, 1);
	assert_int_equal(kernel.segments[0].phys.base, 0x100000);
	assert_int_equal(kernel.segments[0].phys.end, 0x101000);
	assert_int_equal(kernel.segments[0].file_offset, 0);
	assert_int_equal(kernel.segments[0].file_bytes, FILE_BYTES);
	assert_int_equal(kernel.entry, 0x100100);
	file.header.load_addr = 0x100020; /* the first 32 bytes of the file are not loaded */
	file.header.load_end_addr = file.header.bss_end_addr = 0;
	assert_int_equal(chain_multiboot_kernel_read(&kernel, &file, sizeof(file), "k", NULL), CHAIN_OK);
	assert_int_equal(kernel.segments[0].file_offset, 0x20);
	assert_int_equal(kernel.segments[0].file_bytes, FILE_BYTES - 0x20);
	assert_int_equal(kernel.segments[0].phys.end, 0x100000 + FILE_BYTES);
}

struct change {
	size_t offset;
	uint32_t value;
	enum chain_status want;
};
#define H(field) offsetof(struct aout, header.field)
static const struct change changes[] = {
	{ H(header_addr), 0xfffff, CHAIN_E_MULTIBOOT_HEADER_ADDR },
	{ H(header_addr), 0x100000 + HEADER_AT + 1, CHAIN_E_MULTIBOOT_LOAD_ADDR },
	{ H(load_end_addr), 0x100000, CHAIN_E_MULTIBOOT_LOAD_END },
	{ H(load_end_addr), 0x100000 + FILE_BYTES + 1, CHAIN_E_MULTIBOOT_LOAD_FILE },
	{ H(bss_end_addr), 0x100000 + FILE_BYTES - 1, CHAIN_E_MULTIBOOT_BSS_END },
	{ H(bss_end_addr), 0x100000 + FILE_BYTES, CHAIN_OK },
	{ H(entry_addr), 0xfffff, CHAIN_E_MULTIBOOT_BAD_ENTRY },
	{ H(entry_addr), 0x101000, CHAIN_E_MULTIBOOT_BAD_ENTRY },
	{ H(entry_addr), 0x100fff, CHAIN_OK },
	{ H(flags), MULTIBOOT_AOUT_KLUDGE | 8, CHAIN_E_MULTIBOOT_UNKNOWN_FLAG },
	{ H(flags), MULTIBOOT_AOUT_KLUDGE | 0x8000, CHAIN_E_MULTIBOOT_UNKNOWN_FLAG },
	{ H(flags), MULTIBOOT_AOUT_KLUDGE | 0x20000, CHAIN_OK }, /* optional */
	{ H(flags), 3, CHAIN_E_ELF_BAD_MAGIC },
	{ H(magic), 0x1badb003, CHAIN_E_MULTIBOOT_NO_HEADER },
};

static void refusals_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct aout file = good();
		memcpy((uint8_t *)&file + changes[i].offset, &changes[i].value, sizeof(uint32_t));
		sum(&file);
		expect(&file, sizeof(file), changes[i].want);
	}
	struct aout file = good();
	expect(&file, sizeof(file), CHAIN_E_MULTIBOOT_BAD_CHECKSUM);
	sum(&file);
	file.header.load_end_addr = 0;
	file.header.bss_end_addr = 0;
	file.header.load_addr = 0xffffff00;
	file.header.header_addr = 0xffffff00 + HEADER_AT;
	file.header.entry_addr = 0xffffff00;
	expect(&file, sizeof(file), CHAIN_E_KERNEL_ABOVE_4G);
	expect("", 0, CHAIN_E_MULTIBOOT_NO_HEADER);
}

static void the_header_lies_in_8_kib(void **state)
{
	(void)state;
	uint8_t *file = calloc(1, 16384);
	struct multiboot_header header = { .magic = MULTIBOOT_HEADER_MAGIC, .checksum = 0u - MULTIBOOT_HEADER_MAGIC },
				found;
	uint64_t at;
	for (size_t offset = 8160; offset <= 8200; offset++) {
		memset(file, 0, 16384);
		memcpy(file + offset, &header, 12);
		enum chain_status status = chain_multiboot_find(file, 16384, "k", &at, &found, NULL);
		assert_int_equal(status,
				 offset % 4 == 0 && offset + 12 <= 8192 ? CHAIN_OK : CHAIN_E_MULTIBOOT_NO_HEADER);
	}
	memset(file, 0, 16384);
	header.flags = MULTIBOOT_AOUT_KLUDGE;
	header.checksum -= MULTIBOOT_AOUT_KLUDGE;
	memcpy(file + 8164, &header, 28); /* 28 bytes are left, the address fields need 32 */
	assert_int_equal(chain_multiboot_find(file, 16384, "k", &at, &found, NULL), CHAIN_E_MULTIBOOT_HEADER_CUT);
	free(file);
}

static uint8_t *read_kernel(const char *command, size_t *count)
{
	enum { MAX = 4 << 20 };
	FILE *pipe = popen(command, "r");
	if (!pipe)
		return NULL;
	uint8_t *bytes = malloc(MAX);
	*count = fread(bytes, 1, MAX, pipe);
	pclose(pipe);
	if (*count)
		return bytes;
	free(bytes);
	return NULL;
}

/* Each shorter file is refused or loads without reading past its end (what is cut may be symbols, say). */
static void sweep(const uint8_t *file, size_t count, size_t needed)
{
	for (size_t n = 0; n < count; n += n < 8192 ? 1 : 997) {
		struct chain_multiboot_kernel kernel;
		uint8_t *cut = malloc(n ? n : 1);
		memcpy(cut, file, n);
		if (n < needed)
			assert_int_not_equal(chain_multiboot_kernel_read(&kernel, cut, n, "cut", NULL), CHAIN_OK);
		else
			(void)!chain_multiboot_kernel_read(&kernel, cut, n, "cut", NULL);
		free(cut);
	}
}

static void grub_invaders_is_understood(void **state)
{
	(void)state;
	size_t count = 0;
	struct chain_multiboot_kernel kernel;
	uint8_t *file = read_kernel("cat /boot/invaders.exec 2>/dev/null", &count);
	if (!file)
		skip();
	assert_int_equal(chain_multiboot_kernel_read(&kernel, file, count, "invaders", NULL), CHAIN_OK);
	assert_true(kernel.header.flags & MULTIBOOT_AOUT_KLUDGE);
	assert_int_equal(kernel.segment_count, 1);
	assert_int_equal(kernel.entry, kernel.header.entry_addr); /* not the ELF header's, which is another */
	assert_int_equal(kernel.entry, 0x100024);
	assert_int_equal(kernel.segments[0].phys.base, 0x100000);
	sweep(file, count,
	      kernel.header.load_end_addr ? kernel.segments[0].file_offset + kernel.segments[0].file_bytes : 0);
	free(file);
}

static void gnu_mach_is_understood(void **state)
{
	(void)state;
	size_t count = 0;
	struct chain_multiboot_kernel kernel;
	uint8_t *file = read_kernel("zcat /boot/gnumach-1.8-486.gz /boot/gnumach-1.8-amd64-up.gz 2>/dev/null", &count);
	if (!file)
		skip();
	assert_int_equal(chain_multiboot_kernel_read(&kernel, file, count, "mach", NULL), CHAIN_OK);
	assert_int_equal(kernel.segment_count, 3);
	assert_int_equal(kernel.entry, 0x1000000);
	assert_int_equal(kernel.segments[1].phys.base, 0x100c000); /* not where it is linked */
	/* Debian 12's has 32 bits, Debian 13's 64. */
	assert_true(kernel.segments[1].virt.base == 0x4100c000 || kernel.segments[1].virt.base == 0xffffffff8100c000);
	sweep(file, count, kernel.segments[2].file_offset + kernel.segments[2].file_bytes);
	free(file);
}

/* A loader's memory: one array that lies at physical PHYS. */
enum { PHYS = 0x9000, ROOM = 0x4000 };
static const void *map_room(void *ctx, uint64_t phys, uint64_t bytes)
{
	assert_true(bytes >= 1 && phys + bytes <= (uint64_t)1 << 32);
	if (phys < PHYS || bytes > ROOM || phys - PHYS > ROOM - bytes)
		return NULL;
	return (const uint8_t *)ctx + (phys - PHYS);
}

static const struct chain_mem_entry map[] = {
	{ { 0, 0x9fc00 }, CHAIN_MEM_AVAILABLE },
	{ { 0x9fc00, 0xa0000 }, CHAIN_MEM_RESERVED },
	{ { 0x100000, 0x7fe0000 }, CHAIN_MEM_AVAILABLE },
	{ { 0x100000000, 0x180000000 }, CHAIN_MEM_AVAILABLE },
};

static size_t build(uint8_t *room)
{
	static const struct chain_door_module modules[] = { { { 0xa000, 0xa010 }, "one 1" },
							    { { 0xb000, 0xb000 }, "" } };
	struct chain_multiboot_info info = {
		"k",        "root=x",
		"kchain 1", modules,
		2,          map,
		4,          { 0xfd000000, 4096, 1024, 768, 32, CHAIN_FRAMEBUFFER_RGB, { 0, 8, 8, 8, 16, 8 } }
	};
	uint64_t bytes = 0;
	assert_int_equal(chain_multiboot_info_bytes(&info, &bytes, NULL), CHAIN_OK);
	assert_true(bytes <= 0x1000);
	assert_int_equal(chain_multiboot_info_build(&info, PHYS, room, NULL), CHAIN_OK);
	return (size_t)bytes;
}

static void what_is_built_is_read(void **state)
{
	(void)state;
	uint8_t *room = calloc(1, ROOM);
	struct chain_bootinfo got;
	struct multiboot_info theirs;
	build(room);
	memcpy(&theirs, room, sizeof(theirs));
	assert_int_equal(theirs.mem_lower, 0x9fc00 / 1024);
	assert_int_equal(theirs.mem_upper, (0x7fe0000 - 0x100000) / 1024);
	assert_int_equal(theirs.mods_count, 2);
	assert_string_equal((char *)room + theirs.cmdline - PHYS, "root=x");
	chain_bootinfo_init(&got);
	assert_int_equal(chain_multiboot1_info_read(PHYS, map_room, room, &got, NULL), CHAIN_OK);
	assert_string_equal(got.cmdline, "root=x");
	assert_string_equal(got.loader, "kchain 1");
	assert_int_equal(got.module_count, 2);
	assert_string_equal(got.modules[0].string, "one 1");
	assert_int_equal(got.modules[0].range.end, 0xa010);
	assert_int_equal(got.mem_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(got.mem[i].range.base, map[i].range.base);
		assert_int_equal(got.mem[i].range.end, map[i].range.end);
		assert_int_equal(got.mem[i].type, map[i].type);
	}
	assert_int_equal(got.framebuffer.width, 1024);
	assert_memory_equal(got.framebuffer.colors, ((uint8_t[]){ 0, 8, 8, 8, 16, 8 }), 6);
	chain_bootinfo_free(&got);
	free(room);
}

/* Each type as it came; what only colours have means something else in the others, and is not taken for them. */
static void framebuffers_go_through(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 4; type++) {
		uint8_t room[ROOM] = { 0 };
		struct multiboot_info theirs;
		struct chain_bootinfo got;
		struct chain_multiboot_info info = {
			"k", "",  "", NULL,
			0,   map, 4,  { 0xfd000000, 640, 640, 480, 8, (uint8_t)type, { 1, 2, 3, 4, 5, 6 } }
		};
		assert_int_equal(chain_multiboot_info_build(&info, PHYS, room, NULL), CHAIN_OK);
		memcpy(&theirs, room, sizeof(theirs));
		assert_int_equal(theirs.framebuffer_type, type);
		if (type == CHAIN_FRAMEBUFFER_RGB) {
			assert_int_equal(theirs.framebuffer_red_field_position, 1);
			assert_int_equal(theirs.framebuffer_blue_mask_size, 6);
		} else { /* no palette is known, so it has no colours */
			assert_int_equal(theirs.framebuffer_palette_num_colors, 0);
			assert_int_equal(theirs.framebuffer_palette_addr, 0);
		}
		room[CHAIN_MB1_COLORS_AT] = 77;
		room[CHAIN_MB1_TABLE_COLORS_AT] = 88; /* which aligns */
		chain_bootinfo_init(&got);
		assert_int_equal(chain_multiboot1_info_read(PHYS, map_room, room, &got, NULL), CHAIN_OK);
		assert_int_equal(got.framebuffer.type, type);
		assert_int_equal(got.framebuffer.colors[0], type == CHAIN_FRAMEBUFFER_RGB ? 77 : 0);
		chain_bootinfo_free(&got);
	}
}

/* A loader that goes by the table, and whose structure ends with memory. */
static void colors_by_the_table(void **state)
{
	(void)state;
	uint8_t room[ROOM] = { 0 };
	const uint32_t at = ROOM - CHAIN_MB1_INFO_TABLE_BYTES;
	struct chain_bootinfo got;
	struct multiboot_info theirs = { .flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_FRAMEBUFFER_INFO,
					 .mem_lower = 640,
					 .mem_upper = 4096,
					 .framebuffer_addr = 0xfd000000,
					 .framebuffer_type = CHAIN_FRAMEBUFFER_RGB };
	memcpy(room + at, &theirs, CHAIN_MB1_INFO_TABLE_BYTES);
	memcpy(room + at + CHAIN_MB1_TABLE_COLORS_AT, ((uint8_t[]){ 16, 8, 8, 8, 0, 8 }), 6);
	chain_bootinfo_init(&got);
	assert_int_equal(chain_multiboot1_info_read(PHYS + at, map_room, room, &got, NULL), CHAIN_OK);
	assert_memory_equal(got.framebuffer.colors, ((uint8_t[]){ 16, 8, 8, 8, 0, 8 }), 6);
	chain_bootinfo_free(&got);
}

static void building_keeps_to_32_bits(void **state)
{
	(void)state;
	uint8_t room[4096];
	struct chain_door_module high = { { 0xfffff000, 0x100000000 }, "" };
	struct chain_multiboot_info info = { "k", "", "", NULL, 0, map, 4, { 0 } };
	assert_int_equal(chain_multiboot_info_build(&info, 0xfffffff0, room, NULL), CHAIN_E_MULTIBOOT_INFO_PLACE);
	assert_int_equal(chain_multiboot_info_build(&info, UINT64_MAX, room, NULL), CHAIN_E_MULTIBOOT_INFO_PLACE);
	info.modules = &high;
	info.module_count = 1;
	assert_int_equal(chain_multiboot_info_build(&info, PHYS, room, NULL), CHAIN_E_MULTIBOOT_MODULE_PLACE);
	info.module_count = CHAIN_BOOT_MODULES_MAX + 1;
	assert_int_equal(chain_multiboot_info_build(&info, PHYS, room, NULL), CHAIN_E_LIMIT);
}

#define I(field) offsetof(struct multiboot_info, field)
static const struct change lies[] = {
	{ I(flags), 0, CHAIN_E_MULTIBOOT_INFO_NO_MEMORY },
	{ I(flags), MULTIBOOT_INFO_MEMORY, CHAIN_OK },
	{ I(mmap_addr), 0x10, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap_addr), 0xffffffff, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mmap_length), 23, CHAIN_E_MULTIBOOT_INFO_MMAP },
	{ I(mmap_length), 4 * 24 + 1, CHAIN_E_MULTIBOOT_INFO_MMAP },
	{ I(mmap_length), 0x100001, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ I(mods_count), 0xffffffff, CHAIN_E_MULTIBOOT_INFO_LIMIT },
	{ I(mods_count), 4096, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(mods_count), 0, CHAIN_OK },
	{ I(cmdline), 0xfffffff0, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
	{ I(cmdline), 0, CHAIN_OK },
	{ I(boot_loader_name), 1, CHAIN_E_MULTIBOOT_INFO_UNREADABLE },
};

static enum chain_status read_info(uint8_t *room, struct chain_error *err)
{
	struct chain_bootinfo got;
	chain_bootinfo_init(&got);
	enum chain_status status = chain_multiboot1_info_read(PHYS, map_room, room, &got, err);
	chain_bootinfo_free(&got);
	return status;
}

static void lies_are_named(void **state)
{
	(void)state;
	uint8_t *room = calloc(1, ROOM);
	struct chain_bootinfo got;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memset(room, 0, ROOM);
		build(room);
		memcpy(room + lies[i].offset, &lies[i].value, 4);
		assert_string_equal(chain_status_slug(read_info(room, NULL)), chain_status_slug(lies[i].want));
	}
	build(room);
	struct multiboot_info info;
	memcpy(&info, room, sizeof(info));
	struct multiboot_mod_list module = { 0xa000, 0x9fff, 0, 0 };
	memcpy(room + info.mods_addr - PHYS, &module, sizeof(module));
	assert_int_equal(read_info(room, NULL), CHAIN_E_MULTIBOOT_INFO_MODULE);
	chain_bootinfo_init(&got);
	assert_int_equal(chain_multiboot1_info_read(0, map_room, room, &got, NULL), CHAIN_E_MULTIBOOT_INFO_UNREADABLE);
	chain_bootinfo_free(&got);
	free(room);
}

/* The structure at 0, and letters without an end everywhere else. */
struct endless {
	struct multiboot_info info;
	uint8_t letters[CHAIN_BOOT_STRING_MAX];
};
static const void *map_endless(void *ctx, uint64_t phys, uint64_t bytes)
{
	const struct endless *memory = ctx;
	if (phys == 0)
		return bytes <= sizeof(memory->info) ? (const void *)&memory->info : NULL;
	return bytes <= sizeof(memory->letters) ? memory->letters : NULL;
}

static void endless_strings_end(void **state)
{
	(void)state;
	struct endless *memory = calloc(1, sizeof(*memory));
	struct chain_bootinfo got;
	struct chain_error err = { 0 };
	memset(memory->letters, 'A', sizeof(memory->letters));
	memory->info.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE;
	memory->info.mem_upper = 1024;
	memory->info.cmdline = 0x10123;
	chain_bootinfo_init(&got);
	assert_int_equal(chain_multiboot1_info_read(0, map_endless, memory, &got, &err), CHAIN_E_MULTIBOOT_INFO_STRING);
	assert_int_equal(err.number[0], 0x10123);
	chain_bootinfo_free(&got);
	free(memory);
}

/* Every byte of the block set to every one of a few values: read or refused, never beyond memory. */
static void any_byte_may_lie(void **state)
{
	(void)state;
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t *room = calloc(1, ROOM);
	size_t bytes = build(room);
	for (size_t at = 0; at < bytes; at++)
		for (size_t v = 0; v < sizeof(values); v++) {
			struct chain_error err = { 0 };
			uint8_t old = room[at];
			room[at] = values[v];
			enum chain_status status = read_info(room, &err);
			assert_int_equal(status, err.status);
			room[at] = old;
		}
	free(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_fields_win),        cmocka_unit_test(refusals_are_exact),
		cmocka_unit_test(the_header_lies_in_8_kib),  cmocka_unit_test(grub_invaders_is_understood),
		cmocka_unit_test(gnu_mach_is_understood),    cmocka_unit_test(what_is_built_is_read),
		cmocka_unit_test(framebuffers_go_through),   cmocka_unit_test(colors_by_the_table),
		cmocka_unit_test(building_keeps_to_32_bits), cmocka_unit_test(lies_are_named),
		cmocka_unit_test(endless_strings_end),       cmocka_unit_test(any_byte_may_lie),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
