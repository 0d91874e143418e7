/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* virtio devices whose registers lie in memory: where they may be, what is found there, and the disk driver on them. */
#include "fake_virtio.h"

#include "stage/device_list.h"
#include "stage/mmio_places.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SECTORS = 1000 };

/* --- places --- */

static void places_of_a_command_line(void **state)
{
	static const struct {
		const char *cmdline;
		unsigned count;
		struct stage_mmio_place places[2];
	} cases[] = {
		{ "virtio_mmio.device=512@0xfeb00e00:12", 1, { { 0xfeb00e00, 512 } } },
		{ "image.elf quiet virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=0x1000@0xd0001000:6:3",
		  2,
		  { { 0xd0000000, 4096 }, { 0xd0001000, 4096 } } },
		{ "virtio_mmio.device=1M@3489660928:5", 1, { { 0xd0000000, 1 << 20 } } },
		{ "virtio_mmio.device=4k@0x1fff00000000:5", 1, { { 0x1fff00000000, 4096 } } },
		{ "virtio_mmio.device=x virtio_mmio.device=512@0x1000:1", 1, { { 0x1000, 512 } } },
		{ "virtio_mmio.device=", 0, { { 0 } } },
		{ "virtio_mmio.device=512", 0, { { 0 } } },
		{ "virtio_mmio.device=512@", 0, { { 0 } } },
		{ "virtio_mmio.device=512@0x1000", 0, { { 0 } } },
		{ "virtio_mmio.device=512@:1", 0, { { 0 } } },
		{ "virtio_mmio.device=@0x1000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=0@0x1000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=512@0:1", 0, { { 0 } } },
		{ "virtio_mmio.device=512@0x1001:1", 0, { { 0 } } },
		{ "virtio_mmio.device=2M@0x100000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=1G@0x100000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=18446744073709551615K@0x100000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=512@0x200000000000:1", 0, { { 0 } } },
		{ "virtio_mmio.device=512@0xffffffffffffffff:1", 0, { { 0 } } },
		{ "virtio_mmio.device=512KK@0x1000:1", 0, { { 0 } } },
		{ "no_virtio_mmio.device=512@0x1000:1", 0, { { 0 } } },
		{ "", 0, { { 0 } } },
		{ NULL, 0, { { 0 } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_mmio_place place;
		unsigned count = 0;
		for (; stage_mmio_place(cases[i].cmdline, false, count, &place); count++)
			if (count >= cases[i].count || place.phys != cases[i].places[count].phys ||
			    place.bytes != cases[i].places[count].bytes)
				fail_msg("\"%s\", place %u: 0x%llx, %llu bytes", cases[i].cmdline, count,
					 (unsigned long long)place.phys, (unsigned long long)place.bytes);
		assert_int_equal(count, cases[i].count);
	}
}

static void places_of_a_microvm(void **state)
{
	struct stage_mmio_place place;

	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		assert_true(stage_mmio_place("image.elf", true, i, &place));
		assert_true(place.phys == 0xfeb00000 + i * 512 && place.bytes == 512);
	}
	assert_false(stage_mmio_place("image.elf", true, 24, &place));
	assert_false(stage_mmio_place("image.elf", false, 0, &place));
	assert_true(stage_mmio_place("virtio_mmio.device=512@0x1000:1", true, 0, &place));
	assert_false(stage_mmio_place("virtio_mmio.device=512@0x1000:1", true, 1, &place)); /* it is told */
}

/* --- devices --- */

static struct fake machine;

static uint32_t disk(struct fake *f, unsigned queue, struct stage_virtio_segment *s, unsigned count)
{
	uint8_t *data = (uint8_t *)(uintptr_t)s[1].phys;
	const uint8_t *header = (const uint8_t *)(uintptr_t)s[0].phys;

	(void)f;
	(void)queue;
	assert_int_equal(count, 3);
	if (header[0] == 8)
		memcpy(data, "DATA01\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	else
		for (uint32_t i = 0; i < s[1].bytes; i++)
			data[i] = (uint8_t)(header[8] + i / 512);
	*(uint8_t *)(uintptr_t)s[2].phys = 0;
	return s[1].bytes + 1;
}

static void make_disk(enum fake_fault fault, uint32_t type)
{
	uint64_t sectors = SECTORS;

	fake_init(&machine, 0, fault, 0, disk);
	fake_use_mmio(&machine, type);
	memcpy(machine.bar + FAKE_CONFIG, &sectors, 8);
}

static void a_disk_is_read(void **state)
{
	static uint8_t buf[300 * 512];
	struct stage_device_list list;
	struct stage_device device;
	struct chain_error err = { 0 };

	(void)state;
	make_disk(FAKE_GOOD, VIRTIO_TYPE_BLOCK);
	assert_int_equal(stage_device_list_open(&machine.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
	assert_true(list.block && !list.block->next && list.scan.present);
	assert_string_equal(list.block->bus->name, "mmio");
	assert_string_equal(list.block->place, "0xfe000000");
	assert_string_equal(list.block->driver, "virtio-blk");
	assert_string_equal(list.block->serial, "DATA01");
	assert_int_equal(list.block->sectors, SECTORS);
	assert_int_equal(list.block->ops->read(list.block, 10, 300, buf, &err), CHAIN_OK);
	for (size_t i = 0; i < sizeof buf; i++)
		assert_int_equal(buf[i], (uint8_t)(10 + i / 512));
	assert_true(stage_device_find(&machine.env, "0xfe000000", &device));
	assert_true(stage_device_find(&machine.env, "0xFE000000", &device) && device.bus == &stage_bus_mmio);
	static const char *const wrong[] = { "",           "0x",          "0xfe000200", "fe000000", "0xfe000000 ",
					     "0xfe00000g", "0x1fe000000", "00fe000000" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(stage_device_find(&machine.env, wrong[i], &device));
	stage_device_list_close(&list);
	assert_true(machine.status == 0 && machine.dma_live == 0 && !machine.queues[0].enabled);
}

static void what_can_not_be_used_is_reported(void **state)
{
	static const struct {
		enum fake_fault fault;
		uint32_t version;
		const char *text;
	} cases[] = {
		{ FAKE_GOOD, 1, "virtio-blk 0xfe000000: its virtio-mmio registers are of version 1, 2 is needed" },
		{ FAKE_GOOD, 3, "virtio-blk 0xfe000000: its virtio-mmio registers are of version 3, 2 is needed" },
		{ FAKE_NEVER_RESETS, 2, "virtio-blk 0xfe000000: its reset did not finish within 500 ms" },
		{ FAKE_REFUSES_FEATURES, 2,
		  "virtio-blk 0xfe000000: refuses the features 0x100000000 though it offered 0x100000000" },
		{ FAKE_NO_QUEUES, 2, "virtio-blk 0xfe000000: queue 0 has 0 entries, 3 are needed" },
	};
	struct stage_device_list list;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_disk(cases[i].fault, VIRTIO_TYPE_BLOCK);
		machine.mmio_version = cases[i].version;
		assert_int_equal(stage_device_list_open(&machine.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
		assert_true(!list.block && list.dead && list.dead->bus == &stage_bus_mmio);
		chain_error_format(&list.dead->fault, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		stage_device_list_close(&list);
		assert_int_equal(machine.dma_live, 0);
	}
	for (uint32_t type = 3; type < 30; type += 13) { /* what nobody asks for is not touched */
		make_disk(FAKE_GOOD, type);
		assert_int_equal(stage_device_list_open(&machine.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
		assert_true(!list.block && !list.dead && list.scan.present);
		stage_device_list_close(&list);
	}
}

static uint32_t no_magic(void *ctx, const volatile void *at, unsigned width)
{
	uint32_t value = fake_mmio_read(ctx, at, width);

	return value == 0x74726976 ? 0x74726977 : value;
}

static void an_empty_place_is_no_device(void **state)
{
	struct stage_device_list list;
	char text[64] = "none";

	(void)state;
	make_disk(FAKE_GOOD, VIRTIO_TYPE_BLOCK);
	machine.env.mmio_read = no_magic;
	assert_int_equal(stage_device_list_open(&machine.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
	assert_true(!list.block && !list.dead && !list.scan.present);
	stage_device_list_explain(&list, STAGE_CLASS_BLOCK, text, sizeof(text));
	assert_string_equal(text, "none: this machine has no PCI");
	stage_device_list_close(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_of_a_command_line),
		cmocka_unit_test(places_of_a_microvm),
		cmocka_unit_test(a_disk_is_read),
		cmocka_unit_test(what_can_not_be_used_is_reported),
		cmocka_unit_test(an_empty_place_is_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
