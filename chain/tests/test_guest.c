/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The memory of an isolated kernel: made whole, made in parts, read back as the kernel would, and never left by a
 * hostile plan. */

#include "chain/guest.h"
#include "chain/multiboot.h"
#include "chain/boot_read.h"
#include "low_kernel.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	MEMORY = 3 << 20,
	KERNEL_BYTES = 10000,
	LOAD = 0x100000,
	BSS_END = LOAD + 0x8000,
	TEXT_BYTES = 500,
	PAGE = 4096
};

static uint8_t kernel[KERNEL_BYTES];

static void make_kernel(uint32_t load, uint32_t bss_end)
{
	for (size_t i = 0; i < sizeof(kernel); i++)
		kernel[i] = (uint8_t)rnd(256);
	low_kernel_header(kernel, KERNEL_BYTES, load, bss_end);
}

static struct chain_guest_request request(uint64_t memory_bytes)
{
	return (struct chain_guest_request){ .subject = "k",
					     .door = chain_door_of_ours,
					     .kernel = kernel,
					     .kernel_bytes = sizeof(kernel),
					     .handoff_string = "kchain-handoff",
					     .handoff_at = CHAIN_HANDOFF_LAST,
					     .memory_bytes = memory_bytes,
					     .text_bytes = TEXT_BYTES };
}

static struct chain_guest made(void)
{
	struct chain_guest guest;
	struct chain_error err = { 0 };
	struct chain_guest_request wanted = request(MEMORY);
	make_kernel(LOAD, BSS_END);
	assert_int_equal(chain_guest_make(&wanted, &guest, &err), CHAIN_OK);
	return guest;
}

/* COM1, the segment of the extended data area, KiB of low memory (its end in the map is 0x9fc00), the screen's
 * controller. */
static const struct {
	uint16_t at, value;
} bios_data[] = { { 0x400, 0x3f8 }, { 0x40e, 0x9fc0 }, { 0x413, 639 }, { 0x463, 0x3d4 } };

/* Exactly as large as the memory, so that a sanitizer sees what leaves it. */
static uint8_t *memory_of(const struct chain_guest *guest)
{
	uint8_t *memory = malloc(guest->memory_bytes);
	assert_non_null(memory);
	memset(memory, 0xa5, guest->memory_bytes);
	chain_guest_part(guest, 0, guest->memory_bytes, memory);
	return memory;
}

static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	return phys + bytes <= MEMORY ? (const uint8_t *)ctx + phys : NULL;
}

static void expect_kernel_sees(const struct chain_guest *guest, uint8_t *memory, const char *handoff, const char *args)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	assert_true(chain_guest_texts(guest, memory, handoff, strlen(handoff), args));
	chain_bootinfo_init(&info);
	assert_int_equal(guest->plan.entry.registers[CHAIN_RAX], MULTIBOOT_BOOTLOADER_MAGIC);
	assert_int_equal(chain_multiboot1_info_read(guest->plan.entry.registers[CHAIN_RBX], view, memory, &info, &err),
			 CHAIN_OK);
	assert_string_equal(info.cmdline, args);
	assert_string_equal(info.loader, "kchain");
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.modules[0].string, "kchain-handoff");
	assert_int_equal(chain_range_bytes(info.modules[0].range), strlen(handoff));
	assert_memory_equal(memory + info.modules[0].range.base, handoff, strlen(handoff));
	assert_true(info.modules[0].range.base >= BSS_END);
	assert_int_equal(info.mem_count, 2);
	assert_int_equal(info.mem[0].range.end, 0x9fc00);
	assert_int_equal(info.mem[1].range.base, 1 << 20);
	assert_int_equal(info.mem[1].range.end, MEMORY);
	chain_bootinfo_free(&info);
}

static void a_kernel_finds_what_it_was_promised(void **state)
{
	struct chain_guest guest = made();
	uint8_t *memory = memory_of(&guest);
	(void)state;
	assert_int_equal(guest.plan.entry.address, LOAD + 64);
	assert_memory_equal(memory + LOAD, kernel, sizeof(kernel));
	for (size_t i = LOAD + sizeof(kernel); i < BSS_END; i++)
		assert_int_equal(memory[i], 0);
	for (size_t number = 0; number < 256;
	     number++) { /* every interrupt in real mode comes to one place, by another segment */
		const uint16_t *gate = (const uint16_t *)(memory + 4 * number);
		assert_int_equal(gate[1] * 16 + gate[0], CHAIN_GUEST_BIOS);
		assert_int_equal(CHAIN_GUEST_BIOS / 16 - gate[1], number);
	}
	assert_memory_equal(memory + CHAIN_GUEST_BIOS, "\x0f\x01\xd9\0", 4);
	for (size_t i = 0x400; i < LOAD; i++) {
		if (i - CHAIN_GUEST_BIOS < 3)
			continue;
		size_t word = 0;
		while (word < sizeof(bios_data) / sizeof(bios_data[0]) && i - bios_data[word].at >= 2)
			word++;
		bool known = word < sizeof(bios_data) / sizeof(bios_data[0]);
		assert_int_equal(memory[i], known ? bios_data[word].value >> (i - bios_data[word].at) * 8 & 0xff : 0);
	}
	char longest[TEXT_BYTES + 1], args[TEXT_BYTES];
	memset(longest, 'h', TEXT_BYTES);
	longest[TEXT_BYTES] = '\0';
	memset(args, 'a', TEXT_BYTES - 1);
	args[TEXT_BYTES - 1] = '\0';
	expect_kernel_sees(&guest, memory, "{\"a\": 1}", "one two");
	expect_kernel_sees(&guest, memory, longest, args);
	expect_kernel_sees(&guest, memory, "{}", "");
	expect_kernel_sees(&guest, memory, "", "x");
	assert_false(chain_guest_texts(&guest, memory, longest, TEXT_BYTES + 1, ""));
	assert_false(chain_guest_texts(&guest, memory, "", 0, longest));
	free(memory);
	chain_guest_free(&guest);
}

static void modules_and_handoff_in_any_order(void **state)
{
	static const enum chain_handoff_at places[] = { CHAIN_HANDOFF_FIRST, CHAIN_HANDOFF_LAST, CHAIN_HANDOFF_NONE };
	const struct chain_plan_module modules[] = {
		{ .blob = { kernel, 5000, 0x123456 }, .string = "a", .movable = false },
		{ .blob = { NULL, 0, CHAIN_PHYS_UNKNOWN }, .string = "empty", .movable = true },
		{ .blob = { kernel + 7, 3, 0 }, .string = "b", .movable = true },
	};
	(void)state;
	make_kernel(LOAD, BSS_END);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct chain_guest_request wanted = request(MEMORY);
		struct chain_guest guest;
		struct chain_error err = { 0 };
		struct chain_bootinfo info;
		wanted.modules = modules;
		wanted.module_count = 3;
		wanted.handoff_at = places[i];
		assert_int_equal(chain_guest_make(&wanted, &guest, &err), CHAIN_OK);
		uint8_t *memory = memory_of(&guest);
		assert_true(chain_guest_texts(&guest, memory, "{}", 2, "x"));
		chain_bootinfo_init(&info);
		assert_int_equal(guest.plan.entry.registers[CHAIN_RAX], MULTIBOOT_BOOTLOADER_MAGIC);
		assert_int_equal(
			chain_multiboot1_info_read(guest.plan.entry.registers[CHAIN_RBX], view, memory, &info, &err),
			CHAIN_OK);
		assert_int_equal(info.module_count, places[i] == CHAIN_HANDOFF_NONE ? 3 : 4);
		for (size_t m = 0; m < 3; m++) {
			const struct chain_boot_module *found = &info.modules[m + (places[i] == CHAIN_HANDOFF_FIRST)];
			assert_string_equal(found->string, modules[m].string);
			assert_int_equal(chain_range_bytes(found->range), modules[m].blob.bytes_count);
			if (modules[m].blob.bytes)
				assert_memory_equal(memory + found->range.base, modules[m].blob.bytes,
						    modules[m].blob.bytes_count);
		}
		if (places[i] != CHAIN_HANDOFF_NONE) {
			struct chain_range at = info.modules[places[i] == CHAIN_HANDOFF_FIRST ? 0 : 3].range;
			assert_true(chain_range_bytes(at) == 2 && !memcmp(memory + at.base, "{}", 3));
		}
		chain_bootinfo_free(&info);
		free(memory);
		chain_guest_free(&guest);
	}
}

/* One kernel's texts leave nothing for the next to see. */
static void shorter_texts_wipe_longer_ones(void **state)
{
	struct chain_guest guest = made();
	uint8_t *once = memory_of(&guest), *twice = memory_of(&guest);
	(void)state;
	assert_true(chain_guest_texts(&guest, twice, "a long and secret handoff", 25, "long and secret arguments"));
	assert_true(chain_guest_texts(&guest, once, "{}", 2, "a"));
	assert_true(chain_guest_texts(&guest, twice, "{}", 2, "a"));
	assert_memory_equal(once, twice, MEMORY);
	free(once);
	free(twice);
	chain_guest_free(&guest);
}

static void parts_are_the_whole(void **state)
{
	struct chain_guest guest = made();
	uint8_t *whole = memory_of(&guest), part[3 * PAGE];
	(void)state;
	for (uint64_t at = 0; at < MEMORY; at += PAGE) {
		chain_guest_part(&guest, at, PAGE, part);
		assert_memory_equal(part, whole + at, PAGE);
	}
	for (int i = 0; i < 3000; i++) {
		uint64_t bytes = rnd(sizeof(part)), at = i % 3 ? LOAD - 5000 + rnd(60000) : rnd(MEMORY - sizeof(part));
		if (i % 3 == 2) {
			at = (i % 2 ? CHAIN_GUEST_BIOS - 0x20 : 0x3f0) + rnd(0x80);
			bytes = rnd(0x40);
		}
		memset(part, 0xa5, sizeof(part));
		chain_guest_part(&guest, at, bytes, part);
		assert_memory_equal(part, whole + at, bytes);
		assert_true(bytes == sizeof(part) || part[bytes] == 0xa5);
	}
	free(whole);
	chain_guest_free(&guest);
}

/* Sizes that are no multiple of anything: whole pages are shown, and what the window needs beside them grows with them.
 */
static void memory_of_any_size(void **state)
{
	(void)state;
	make_kernel(LOAD, BSS_END);
	for (int i = 0; i < 200; i++) {
		uint64_t bytes = CHAIN_GUEST_MEMORY_MIN + rnd(8 << 20);
		struct chain_guest_request wanted = request(bytes);
		struct chain_guest guest;
		struct chain_error err = { 0 };
		assert_int_equal(chain_guest_make(&wanted, &guest, &err), CHAIN_OK);
		assert_true(guest.memory_bytes <= bytes && guest.memory_bytes + PAGE > bytes &&
			    guest.memory_bytes % PAGE == 0);
		assert_int_equal(guest.plan.mem[1].range.end, guest.memory_bytes);
		uint64_t beside = chain_guest_window_bytes(bytes) - guest.memory_bytes,
			 tables = (guest.memory_bytes + (2 << 20) - 1) >> 21;
		assert_true(beside >= (tables + 3 + CHAIN_GUEST_OWN_PAGES) * PAGE &&
			    beside <= (tables + 5 + CHAIN_GUEST_OWN_PAGES) * PAGE);
		chain_guest_free(&guest);
	}
}

static void expect_refused(struct chain_guest_request wanted, enum chain_status status)
{
	struct chain_guest guest;
	struct chain_error err = { 0 };
	assert_int_equal(chain_guest_make(&wanted, &guest, &err), status);
	assert_int_equal(err.status, status);
	assert_null(guest.filler);
	assert_null(guest.plan.moves);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	make_kernel(LOAD, BSS_END);
	expect_refused(request(0), CHAIN_E_GUEST_MEMORY);
	expect_refused(request(CHAIN_GUEST_MEMORY_MIN - 1), CHAIN_E_GUEST_MEMORY);
	make_kernel(LOAD, 0x7fff0000);
	expect_refused(request(MEMORY), CHAIN_E_GUEST_MEMORY);
	make_kernel(LOAD, MEMORY); /* the kernel alone would fit */
	expect_refused(request(MEMORY), CHAIN_E_GUEST_MEMORY);
	make_kernel(0x90000 + 0xf000, 0xa2000);
	expect_refused(request(MEMORY), CHAIN_E_GUEST_MEMORY);
	make_kernel(0, 0);
	expect_refused(request(MEMORY), CHAIN_E_PLAN_FIRST_PAGE);
	struct chain_guest_request pvh = request(MEMORY);
	pvh.door = chain_door_named("pvh"); /* whose texts can't be changed from one kernel to the next */
	expect_refused(pvh, CHAIN_E_GUEST_DOOR);
	kernel[0] ^= 1;
	expect_refused(request(MEMORY), CHAIN_E_MULTIBOOT_NO_HEADER);
	make_kernel(LOAD, BSS_END);
	for (size_t bytes = 0; bytes < sizeof(kernel); bytes += bytes < 64 ? 1 : 331) {
		struct chain_guest_request cut = request(MEMORY);
		struct chain_guest guest;
		struct chain_error err = { 0 };
		cut.kernel_bytes = bytes;
		assert_int_not_equal(chain_guest_make(&cut, &guest, &err), CHAIN_OK);
		assert_int_equal(err.status != CHAIN_E_GUEST_PLAN, true);
	}
}

/* What a plan could be made to say, by whatever mistake: refused, or carried out within the memory. */
static void spoil(struct chain_plan *plan)
{
	static const uint64_t edges[] = { 0,          1,          MEMORY - 1,        MEMORY, MEMORY + 1,
					  UINT32_MAX, UINT64_MAX, UINT64_MAX - PAGE, LOAD };
	uint64_t value = rnd(2) ? edges[rnd(sizeof(edges) / sizeof(edges[0]))] : rnd(2 * MEMORY);
	struct chain_move *move = &plan->moves[rnd(plan->move_count)];
	uint64_t *const places[] = { &move->dest.base,    &move->dest.end,    &plan->entry.address, &plan->info.base,
				     &plan->handoff.base, &plan->handoff.end, &move->source_phys };
	*places[rnd(sizeof(places) / sizeof(places[0]))] = value;
}

static void hostile_plans_stay_inside(void **state)
{
	struct chain_guest guest = made();
	uint8_t *memory = memory_of(&guest), *long_source = calloc(1, 2 * MEMORY);
	struct chain_move *moves = malloc(guest.plan.move_count * sizeof(*moves));
	struct chain_guest spoilt = guest;
	size_t refused = 0, accepted = 0;
	(void)state;
	assert_true(moves && long_source);
	for (int round = 0; round < 4000; round++) {
		struct chain_error err = { 0 };
		spoilt.plan = guest.plan;
		spoilt.plan.moves = moves;
		memcpy(moves, guest.plan.moves, guest.plan.move_count * sizeof(*moves));
		for (size_t i = 0; i < spoilt.plan.move_count; i++)
			if (moves[i].kind == CHAIN_MOVE_COPY)
				moves[i].bytes = long_source; /* only destinations are the point here */
		for (uint64_t i = rnd(3) + 1; i; i--)
			spoil(&spoilt.plan);
		enum chain_status status =
			chain_guest_check(&spoilt.plan, (struct chain_range){ 0, MEMORY }, "k", &err);
		refused += status == CHAIN_E_GUEST_PLAN;
		accepted += status == CHAIN_OK;
		if (!status && round % 16 == 0)
			chain_guest_part(&spoilt, 0, MEMORY, memory);
	}
	assert_int_equal(refused + accepted, 4000);
	assert_true(refused > 1000 && accepted > 200);
	spoilt.plan = guest.plan;
	spoilt.plan.entry.mode = CHAIN_ENTRY_LONG64;
	assert_int_equal(chain_guest_check(&spoilt.plan, (struct chain_range){ 0, MEMORY }, "k", NULL),
			 CHAIN_E_GUEST_PLAN);
	spoilt.plan = guest.plan;
	spoilt.plan.entry.registers[CHAIN_RBX]++;
	assert_int_equal(chain_guest_check(&spoilt.plan, (struct chain_range){ 0, MEMORY }, "k", NULL),
			 CHAIN_E_GUEST_PLAN);
	spoilt.plan = guest.plan;
	spoilt.plan.made_bytes = 8;
	assert_int_equal(chain_guest_check(&spoilt.plan, (struct chain_range){ 0, MEMORY }, "k", NULL),
			 CHAIN_E_GUEST_PLAN);
	free(moves);
	free(long_source);
	free(memory);
	chain_guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_finds_what_it_was_promised),
		cmocka_unit_test(modules_and_handoff_in_any_order),
		cmocka_unit_test(shorter_texts_wipe_longer_ones),
		cmocka_unit_test(parts_are_the_whole),
		cmocka_unit_test(memory_of_any_size),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(hostile_plans_stay_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
