/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Kernels called at their fixed addresses: where they lie, what is refused, what they are told, and how they find their
 * mailbox. */

#include "chain/fanout.h"
#include "chain/guest.h"
#include "chain/json.h"
#include "chain/multiboot.h"
#include "chain/boot_read.h"
#include "kchain_mailbox.h"
#include "low_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
enum { KERNEL_BYTES = 6000, PAGE = 4096, MAILBOX_PAGES = 5 };

static uint8_t kernel[KERNEL_BYTES];

static void make_kernel(uint32_t load, uint32_t bss_end)
{
	memset(kernel, 0x90, sizeof(kernel));
	low_kernel_header(kernel, KERNEL_BYTES, load, bss_end);
}

static struct chain_fixed placed(uint32_t load, uint64_t memory_bytes)
{
	struct chain_fixed fixed;
	struct chain_error err = { 0 };
	make_kernel(load, load + KERNEL_BYTES + 10000);
	assert_int_equal(chain_fixed_place(chain_door_of_ours, kernel, sizeof(kernel), memory_bytes, "k", &fixed, &err),
			 CHAIN_OK);
	return fixed;
}

static struct chain_bootinfo machine(uint64_t memory_bytes, uint32_t cpus, uint64_t image_base, uint64_t image_end)
{
	struct chain_bootinfo info;
	assert_int_equal(chain_bootinfo_qemu("pc", memory_bytes, cpus, &info, NULL), CHAIN_OK);
	info.image = (struct chain_range){ image_base, image_end };
	info.image_base = image_base;
	return info;
}

static void the_window_begins_with_the_kernel(void **state)
{
	struct chain_fixed fixed = placed(0x200123 & ~3u, 3 * MIB + 5);
	struct chain_error err = { 0 };
	(void)state;
	assert_int_equal(fixed.window.base, 2 * MIB);
	assert_int_equal(fixed.window.end, 5 * MIB);
	assert_int_equal(fixed.mailbox.end, fixed.window.end);
	assert_int_equal(chain_range_bytes(fixed.mailbox), MAILBOX_PAGES * PAGE);
	assert_true(chain_range_bytes(fixed.mailbox) >= KCHAIN_MAILBOX_BYTES);
	for (uint64_t bytes = 0; bytes <= MAILBOX_PAGES * PAGE; bytes += PAGE / 2) {
		chain_error_clear(&err);
		assert_int_equal(
			chain_fixed_place(chain_door_of_ours, kernel, sizeof(kernel), bytes, "k", &fixed, &err),
			CHAIN_E_GUEST_MEMORY);
	}
	chain_error_clear(&err);
	make_kernel(0xfff00000, 0);
	assert_int_equal(chain_fixed_place(chain_door_of_ours, kernel, sizeof(kernel), MIB, "k", &fixed, &err),
			 CHAIN_OK);
	assert_int_equal(chain_fixed_place(chain_door_of_ours, kernel, sizeof(kernel), MIB + PAGE, "k", &fixed, &err),
			 CHAIN_E_FIXED_OVERLAP);
	assert_int_equal(err.number[2], PAGE);
	chain_error_clear(&err);
	for (size_t bytes = 0; bytes < 32; bytes++) { /* the header is cut */
		chain_error_clear(&err);
		assert_int_not_equal(chain_fixed_place(chain_door_of_ours, kernel, bytes, MIB, "k", &fixed, &err),
				     CHAIN_OK);
	}
}

static void expect(const struct chain_fixed *fixed, const struct chain_bootinfo *info, enum chain_status status,
		   uint64_t n2, uint64_t n3)
{
	struct chain_error err = { 0 };
	assert_int_equal(chain_fixed_check(fixed, info, "k", &err), status);
	if (!status)
		return;
	assert_int_equal(err.number[0], fixed->window.base);
	assert_int_equal(err.number[1], fixed->window.end);
	assert_int_equal(err.number[2], n2);
	assert_int_equal(err.number[3], n3);
}

static void what_lies_in_the_way_is_named(void **state)
{
	struct chain_fixed fixed = placed(MIB, 4 * MIB);
	struct chain_bootinfo info = machine(64 * MIB, 2, 5 * MIB, 8 * MIB);
	struct chain_error err = { 0 };
	(void)state;
	expect(&fixed, &info, CHAIN_OK, 0, 0);
	info.image.base -= PAGE;
	expect(&fixed, &info, CHAIN_E_FIXED_ON_IMAGE, PAGE, 5 * MIB);
	info.image = (struct chain_range){ 0x180000, 0x181000 };
	expect(&fixed, &info, CHAIN_E_FIXED_ON_IMAGE, PAGE, 5 * MIB);
	info.image = (struct chain_range){ 5 * MIB, 8 * MIB };
	assert_int_equal(chain_bootinfo_add_module(&info, 8 * MIB, MIB, "away", NULL), CHAIN_OK);
	assert_int_equal(chain_bootinfo_add_module(&info, 2 * MIB, 100, "in the way", NULL), CHAIN_OK);
	expect(&fixed, &info, CHAIN_E_FIXED_OVERLAP, 100, 2 * MIB);
	assert_int_equal(chain_fixed_check(&fixed, &info, "k", &err), CHAIN_E_FIXED_OVERLAP);
	assert_string_equal(err.detail, "boot module 1, in the way");
	fixed = placed(0x9000, MIB);
	expect(&fixed, &info, CHAIN_E_FIXED_OVERLAP, MIB - 0x9000, 0x9000);
	fixed = placed(62 * MIB, 4 * MIB); /* the firmware keeps the last 128 KiB */
	expect(&fixed, &info, CHAIN_E_FIXED_OVERLAP, 2 * MIB + 0x20000, 64 * MIB - 0x20000);
	fixed = placed(0xc0000000, MIB);
	expect(&fixed, &info, CHAIN_E_FIXED_OVERLAP, MIB, 0xc0000000);
	chain_bootinfo_free(&info);
}

/* Every byte of the machine's map as the kernel is told of it. */
static void expect_map(const struct chain_fixed *fixed, const struct chain_bootinfo *info)
{
	struct chain_mem_entry *map;
	size_t count, at = 0;
	uint64_t available = 0, bytes = 0, own = 0;
	assert_int_equal(chain_fixed_map(fixed, info, &map, &count, NULL), CHAIN_OK);
	for (size_t i = 0; i < count; i++) {
		assert_true(map[i].range.base < map[i].range.end && (!i || map[i - 1].range.end <= map[i].range.base));
		while (info->mem[at].range.end <= map[i].range.base)
			at++;
		assert_true(chain_range_contains(info->mem[at].range, map[i].range));
		bool ours = map[i].range.base >= fixed->window.base && map[i].range.end <= fixed->mailbox.base;
		assert_int_equal(map[i].type, info->mem[at].type != CHAIN_MEM_AVAILABLE ? info->mem[at].type :
					      ours                                      ? CHAIN_MEM_AVAILABLE :
											  CHAIN_MEM_RESERVED);
		available += map[i].type == CHAIN_MEM_AVAILABLE ? chain_range_bytes(map[i].range) : 0;
		bytes += chain_range_bytes(map[i].range);
	}
	for (size_t i = 0; i < info->mem_count; i++)
		own += chain_range_bytes(info->mem[i].range);
	assert_int_equal(bytes, own);
	assert_int_equal(available, fixed->mailbox.base - fixed->window.base);
	free(map);
}

static void only_the_window_is_available(void **state)
{
	struct chain_bootinfo info = machine(64 * MIB, 2, 40 * MIB, 41 * MIB);
	(void)state;
	for (uint64_t base = MIB; base < 38 * MIB; base += 7 * MIB) {
		struct chain_fixed fixed = placed((uint32_t)base, 25 * MIB);
		expect_map(&fixed, &info);
	}
	chain_bootinfo_free(&info);
	chain_bootinfo_init(&info); /* a window that begins in one entry, of two that touch, and ends in the other */
	assert_int_equal(chain_bootinfo_add_mem(&info, MIB, 4 * MIB, CHAIN_MEM_AVAILABLE, NULL), CHAIN_OK);
	assert_int_equal(chain_bootinfo_add_mem(&info, 5 * MIB, 4 * MIB, CHAIN_MEM_AVAILABLE, NULL), CHAIN_OK);
	struct chain_fixed fixed = placed(2 * MIB, 5 * MIB);
	expect(&fixed, &info, CHAIN_OK, 0, 0);
	expect_map(&fixed, &info);
	chain_bootinfo_free(&info);
}

static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	const struct chain_guest *guest = *(const struct chain_guest *const *)ctx;
	const uint8_t *memory = ((uint8_t *const *)ctx)[1];
	return phys >= guest->base && phys + bytes <= guest->base + guest->memory_bytes ?
		       memory + (phys - guest->base) :
		       NULL;
}

static void a_kernel_finds_what_it_was_promised(void **state)
{
	static const char handoff[] = "{\"a\":1}";
	struct chain_fixed fixed = placed(2 * MIB, 3 * MIB);
	struct chain_bootinfo info = machine(64 * MIB, 2, 10 * MIB, 12 * MIB), seen;
	const struct chain_plan_module module = { .blob = { kernel + 7, 3, 0x700000 }, .string = "m" };
	struct chain_guest guest;
	struct chain_error err = { 0 };
	struct chain_guest_request request = { .subject = "k",
					       .door = chain_door_of_ours,
					       .kernel = kernel,
					       .kernel_bytes = sizeof(kernel),
					       .handoff_string = "kchain-handoff",
					       .handoff_at = CHAIN_HANDOFF_LAST,
					       .modules = &module,
					       .module_count = 1,
					       .text_bytes = 600,
					       .fixed = &fixed,
					       .machine = &info };
	(void)state;
	assert_int_equal(chain_guest_make(&request, &guest, &err), CHAIN_OK);
	assert_int_equal(guest.base, fixed.window.base);
	assert_int_equal(guest.base + guest.memory_bytes, fixed.mailbox.base);
	uint8_t *memory = malloc(guest.memory_bytes);
	assert_non_null(memory);
	memset(memory, 0xa5, guest.memory_bytes);
	chain_guest_part(&guest, guest.base, guest.memory_bytes, memory);
	assert_true(chain_guest_texts(&guest, memory, handoff, sizeof(handoff) - 1, "one two"));
	const void *ctx[2] = { &guest, memory };
	chain_bootinfo_init(&seen);
	assert_int_equal(guest.plan.entry.registers[CHAIN_RAX], MULTIBOOT_BOOTLOADER_MAGIC);
	assert_int_equal(
		chain_multiboot1_info_read(guest.plan.entry.registers[CHAIN_RBX], view, (void *)ctx, &seen, &err),
		CHAIN_OK);
	assert_string_equal(seen.cmdline, "one two");
	assert_int_equal(seen.module_count, 2);
	assert_memory_equal(view((void *)ctx, seen.modules[0].range.base, 3), kernel + 7, 3);
	assert_int_equal(chain_range_bytes(seen.modules[1].range), sizeof(handoff) - 1);
	assert_memory_equal(view((void *)ctx, seen.modules[1].range.base, 7), handoff, 7);
	assert_memory_equal(memory, kernel, sizeof(kernel));
	expect_map(&fixed, &info);
	chain_bootinfo_free(&seen);
	chain_guest_free(&guest);
	free(memory);
	make_kernel(2 * MIB, 5 * MIB - PAGE); /* the kernel reaches into its mailbox */
	assert_int_equal(chain_guest_make(&request, &guest, &err), CHAIN_E_GUEST_MEMORY);
	assert_int_equal(err.number[0], 3 * MIB);
	chain_bootinfo_free(&info);
}

/* Every place of the handoff, with every number of modules, at fixed addresses and in a machine of the kernel's own. */
static void modules_and_handoff_in_their_order(void **state)
{
	static const char handoff[] = "{\"a\":1}", name[] = "kchain-handoff rd=/x";
	const struct chain_plan_module modules[] = {
		{ .blob = { .bytes = kernel, .bytes_count = 3, .phys = CHAIN_PHYS_UNKNOWN }, .string = "a" },
		{ .blob = { .bytes = kernel + 1, .phys = CHAIN_PHYS_UNKNOWN }, .string = "b" },
		{ .blob = { .bytes = kernel + 2, .bytes_count = 5000, .phys = CHAIN_PHYS_UNKNOWN }, .string = "c" },
	};
	(void)state;
	for (size_t i = 0; i < 2 * 3 * 4; i++) {
		bool isolated = i % 2;
		enum chain_handoff_at at = (enum chain_handoff_at)(i / 2 % 3);
		size_t count = i / 6, expected = count + (at != CHAIN_HANDOFF_NONE), own = 0;
		struct chain_fixed fixed = placed(2 * MIB, 3 * MIB);
		struct chain_bootinfo info = machine(64 * MIB, 2, 10 * MIB, 12 * MIB), seen;
		struct chain_guest guest;
		struct chain_error err = { 0 };
		const struct chain_guest_request request = {
			.subject = "k",
			.door = chain_door_of_ours,
			.kernel = kernel,
			.kernel_bytes = sizeof(kernel),
			.handoff_string = name,
			.handoff_at = at,
			.modules = modules,
			.module_count = count,
			.text_bytes = 600,
			.fixed = isolated ? NULL : &fixed,
			.machine = &info,
			.memory_bytes = 4 * MIB,
		};
		if (chain_guest_make(&request, &guest, &err))
			fail_msg("%zu: %s %s", i, chain_status_slug(err.status), err.detail);
		uint8_t *memory = malloc(guest.memory_bytes);
		assert_non_null(memory);
		chain_guest_part(&guest, guest.base, guest.memory_bytes, memory);
		assert_true(chain_guest_texts(&guest, memory, handoff, sizeof(handoff) - 1, "one two"));
		const void *ctx[2] = { &guest, memory };
		chain_bootinfo_init(&seen);
		assert_int_equal(guest.plan.entry.registers[CHAIN_RAX], MULTIBOOT_BOOTLOADER_MAGIC);
		assert_int_equal(chain_multiboot1_info_read(guest.plan.entry.registers[CHAIN_RBX], view, (void *)ctx,
							    &seen, &err),
				 CHAIN_OK);
		assert_int_equal(seen.module_count, expected);
		for (size_t m = 0; m < expected; m++) {
			const struct chain_boot_module *module = &seen.modules[m];
			bool is_handoff = at != CHAIN_HANDOFF_NONE && m == (at == CHAIN_HANDOFF_FIRST ? 0 : count);
			const uint8_t *bytes = is_handoff ? (const uint8_t *)handoff : modules[own].blob.bytes;
			assert_string_equal(module->string, is_handoff ? name : modules[own].string);
			assert_int_equal(chain_range_bytes(module->range),
					 is_handoff ? sizeof(handoff) - 1 : modules[own].blob.bytes_count);
			if (chain_range_bytes(module->range))
				assert_memory_equal(
					view((void *)ctx, module->range.base, chain_range_bytes(module->range)), bytes,
					chain_range_bytes(module->range));
			own += !is_handoff;
		}
		chain_bootinfo_free(&seen);
		chain_guest_free(&guest);
		chain_bootinfo_free(&info);
		free(memory);
	}
}

static void one_window_whatever_the_number(void **state)
{
	struct chain_fixed fixed = placed(2 * MIB, 3 * MIB);
	struct chain_fanout_layout layout;
	struct chain_step step = { .name = (char *)"s", .source = (char *)"fs:/k" };
	(void)state;
	for (uint32_t cpus = 1; cpus < 9; cpus++) {
		struct chain_bootinfo info = machine(64 * MIB, cpus, 10 * MIB, 12 * MIB);
		struct chain_error err = { 0 };
		enum chain_status status = chain_fanout_lay_out(&step, 100, &fixed, &info, MIB, &layout, &err);
		assert_int_equal(status, cpus == 1 ? CHAIN_E_FIXED_PROCESSORS : CHAIN_OK);
		if (!status) {
			assert_int_equal(layout.workers, 1);
			assert_int_equal(layout.windows[0].base, fixed.window.base);
			assert_int_equal(layout.window_bytes, 3 * MIB);
			chain_fanout_layout_free(&layout);
		}
		chain_bootinfo_free(&info);
	}
	struct chain_bootinfo small = machine(6 * MIB, 2, MIB, 2 * MIB);
	struct chain_error err = { 0 };
	assert_int_equal(chain_fanout_lay_out(&step, 1, &fixed, &small, MIB, &layout, &err), CHAIN_E_FIXED_OVERLAP);
	assert_string_equal(err.detail, "heap");
	assert_int_equal(err.number[2], 5 * MIB - err.number[3]);
	chain_bootinfo_free(&small);
}

static void the_handoff_says_it(void **state)
{
	struct chain_fixed fixed = placed(2 * MIB, 3 * MIB);
	struct chain_bootinfo info = machine(64 * MIB, 4, 10 * MIB, 12 * MIB);
	json_t *shared = json_pack("{s:i, s:s}", "cpus", 4, "door", "d"),
	       *handoff = json_pack("{s:{}, s:O}", "self", "platform", shared), *value;
	(void)state;
	assert_int_equal(chain_fixed_hand_over(&fixed, &info, handoff, NULL), CHAIN_OK);
	value = json_object_get(json_object_get(handoff, "self"), "mailbox");
	assert_string_equal(json_string_value(json_object_get(value, "phys")), "0x4fb000");
	assert_int_equal(json_integer_value(json_object_get(value, "bytes")), KCHAIN_MAILBOX_BYTES);
	value = json_object_get(json_object_get(handoff, "self"), "window");
	assert_string_equal(json_string_value(json_object_get(value, "phys")), "0x200000");
	value = json_object_get(handoff, "platform");
	assert_int_equal(json_integer_value(json_object_get(value, "cpus")), 1);
	assert_string_equal(json_string_value(json_object_get(value, "door")), "d");
	assert_int_equal(json_integer_value(json_object_get(shared, "cpus")), 4); /* other handoffs have it too */
	json_decref(handoff);
	json_decref(shared);
	chain_bootinfo_free(&info);
}

/* --- what a kernel's author is given --- */

static struct kchain_mailbox *find(const char *text)
{
	size_t bytes = strlen(text);
	char *copy = malloc(bytes ? bytes : 1); /* exactly as long, so that a sanitizer sees what leaves it */
	assert_non_null(copy);
	memcpy(copy, text, bytes);
	struct kchain_mailbox *found = kchain_mailbox_in(copy, copy + bytes);
	free(copy);
	return found;
}

static void a_mailbox_is_found_in_any_handoff(void **state)
{
	static const char *const around[] = {
		"{\"self\":{\"mailbox\":{\"phys\":\"0x%llx\",\"bytes\":16400}}}",
		"{\"kchain_handoff\":1,\"self\":{\"step\":\"s\",\"input\":[{\"mailbox\":{}},\"}\\\"]\"],\"mailbox\":{"
		"\"bytes\":1,\"phys\":\"0x%llx\"},\"index\":3},\"state\":{}}",
		"{\"state\":{\"self\":{\"mailbox\":{\"phys\":\"0x1\"}},\"a\\\\\":\"\\\"self\\\":\"},\"results\":[1,[],{"
		"},null,-1.5e3],\"self\":{\"mailbox\":{\"phys\":\"0x%llx\"}}}",
		"{ \"self\" : { \"mailbox\" : { \"phys\" : \"0x%llx\" } } }",
	};
	static const char *const without[] = {
		"",
		"{",
		"{}",
		"[]",
		"\"self\"",
		"{\"self\":{}}",
		"{\"self\":[]}",
		"{\"self\":{\"mailbox\":1}}",
		"{\"self\":{\"mailbox\":{\"phys\":1}}}",
		"{\"self\":{\"mailbox\":{\"phys\":\"\"}}}",
		"{\"selfish\":{\"mailbox\":{}}}",
		"{\"sel\":{}}",
		"{\"a\":{\"mailbox\":{\"phys\":\"0x10\"}}}",
		"{\"self\"",
		"{\"self",
		"{\"\\",
	};
	static struct kchain_mailbox box = { .magic = KCHAIN_MAILBOX_MAGIC };
	char text[400];
	(void)state;
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		assert_null(find(without[i]));
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		snprintf(text, sizeof(text), around[i], (unsigned long long)(uintptr_t)&box);
		assert_ptr_equal(find(text), &box);
		for (size_t cut = (size_t)(strstr(text, "0x") - text); cut;
		     cut--) { /* before any address is there to be believed */
			text[cut] = '\0';
			assert_null(find(text));
		}
	}
	box.magic ^= 1;
	snprintf(text, sizeof(text), around[0], (unsigned long long)(uintptr_t)&box);
	assert_null(find(text));
}

static void a_result_is_left_last_of_all(void **state)
{
	static struct kchain_mailbox box = { .magic = KCHAIN_MAILBOX_MAGIC };
	static char large[KCHAIN_MAILBOX_TEXT_BYTES + 1];
	(void)state;
	kchain_mailbox_leave(&box, 3, "{}", 2);
	assert_true(box.state == KCHAIN_MAILBOX_DONE && box.exit_status == 3 && box.text_bytes == 2 &&
		    !memcmp(box.text, "{}", 3));
	memset(large, 'x', sizeof(large));
	kchain_mailbox_leave(&box, 0, large, sizeof(large)); /* says what it wanted, and stays inside */
	assert_int_equal(box.text_bytes, sizeof(large));
	assert_int_equal(box.text[KCHAIN_MAILBOX_TEXT_BYTES - 1], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_begins_with_the_kernel),
		cmocka_unit_test(what_lies_in_the_way_is_named),
		cmocka_unit_test(only_the_window_is_available),
		cmocka_unit_test(a_kernel_finds_what_it_was_promised),
		cmocka_unit_test(modules_and_handoff_in_their_order),
		cmocka_unit_test(one_window_whatever_the_number),
		cmocka_unit_test(the_handoff_says_it),
		cmocka_unit_test(a_mailbox_is_found_in_any_handoff),
		cmocka_unit_test(a_result_is_left_last_of_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
