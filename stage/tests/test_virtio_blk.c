/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* PCI discovery, virtio rings and the disk driver, against a device that behaves and ones that do not. */
#include "fake_virtio.h"

#include "stage/device_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SECTORS = 1000, MODERN_BLK = 0x1042 };
#define F_READ_ONLY  (UINT64_C(1) << 5)
#define F_BLOCK_SIZE (UINT64_C(1) << 6)

static uint32_t disk(struct fake *f, unsigned queue, struct stage_virtio_segment *s, unsigned count)
{
	const uint8_t *header = (const uint8_t *)(uintptr_t)s[0].phys;
	uint8_t *data = (uint8_t *)(uintptr_t)s[1].phys;
	uint64_t sector;

	(void)queue;
	assert_int_equal(count, 3);
	assert_int_equal(s[0].bytes, 16);
	memcpy(&sector, header + 8, 8);
	if (header[0] == 8)
		memcpy(data, "DATA01\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	else
		for (uint32_t i = 0; i < s[1].bytes; i++)
			data[i] = (uint8_t)(sector + i / 512);
	*(uint8_t *)(uintptr_t)s[2].phys = f->fault == FAKE_IO_ERROR;
	return s[1].bytes + 1;
}

static void make_disk(struct fake *f, enum fake_fault fault)
{
	uint64_t sectors = SECTORS;

	fake_init(f, MODERN_BLK, fault, F_READ_ONLY, disk);
	memcpy(f->bar + FAKE_CONFIG, &sectors, 8);
}

static void disk_is_read(void **state)
{
	struct fake f;
	struct stage_device_list list;
	struct chain_error err = { 0 };
	uint8_t buf[300 * 512];

	(void)state;
	make_disk(&f, FAKE_GOOD);
	assert_int_equal(stage_device_list_open(&f.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
	assert_non_null(list.block);
	assert_null(list.block->next);
	assert_string_equal(list.block->place, "0000:00:03.0");
	assert_string_equal(list.block->serial, "DATA01");
	assert_int_equal(list.block->sectors, SECTORS);
	assert_true(list.block->read_only);
	assert_int_equal(list.block->ops->read(list.block, 100, 300, buf, &err), CHAIN_OK);
	for (size_t i = 0; i < sizeof buf; i++)
		assert_int_equal(buf[i], (uint8_t)(100 + i / 512));
	assert_int_equal(list.block->ops->read(list.block, SECTORS - 1, 2, buf, &err), CHAIN_E_BLOCK_PAST_END);
	chain_error_clear(&err);
	assert_int_equal(list.block->ops->read(list.block, UINT64_MAX, 2, buf, &err), CHAIN_E_BLOCK_PAST_END);
	stage_device_list_close(&list);
	assert_int_equal(f.dma_live, 0);
	assert_int_equal(f.status, 0);
	assert_int_equal(f.pci[4] & STAGE_PCI_COMMAND_MASTER, 0);
}

static void unwanted_device_is_not_touched(void **state)
{
	struct fake f;
	struct stage_device_list list;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	assert_int_equal(stage_device_list_open(&f.env, 0, &list, NULL), CHAIN_OK);
	assert_int_equal(f.accesses, 0);
	assert_int_equal(stage_device_list_open(&f.env, STAGE_CLASS_NET, &list, NULL), CHAIN_OK);
	assert_null(list.block);
	assert_null(list.dead);
	assert_int_equal(f.status, 0);
}

/* What an error says behind the driver's and the device's names. */
static void assert_says(const struct chain_error *err, const char *place, const char *text)
{
	char got[256], want[256];

	chain_error_format(err, got, sizeof(got));
	snprintf(want, sizeof(want), "virtio-blk %s: %s", place, text);
	assert_string_equal(got, want);
}

static void dead_disks_are_listed(void **state)
{
	static const struct {
		enum fake_fault fault;
		enum chain_status status;
		const char *text;
	} cases[] = {
		{ FAKE_NEVER_RESETS, CHAIN_E_DEVICE_RESET, "its reset did not finish within 500 ms" },
		{ FAKE_NO_VERSION_1, CHAIN_E_VIRTIO_LEGACY, "has no virtio 1.x interface" },
		{ FAKE_REFUSES_FEATURES, CHAIN_E_VIRTIO_FEATURES,
		  "refuses the features 0x100000020 though it offered 0x100000020" },
		{ FAKE_NO_QUEUES, CHAIN_E_VIRTIO_QUEUE, "queue 0 has 0 entries, 3 are needed" },
		{ FAKE_NOTIFY_OUTSIDE, CHAIN_E_VIRTIO_NOTIFY,
		  "queue 0: the register to notify it by does not lie, aligned, in the 4096 bytes for such" },
	};
	struct fake f;
	struct stage_device_list list;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		make_disk(&f, cases[i].fault);
		assert_int_equal(stage_device_list_open(&f.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
		assert_null(list.block);
		assert_non_null(list.dead);
		assert_int_equal(list.dead->fault.status, cases[i].status);
		assert_says(&list.dead->fault, "0000:00:03.0", cases[i].text);
		assert_int_equal(f.pci[4] & STAGE_PCI_COMMAND_MASTER, 0);
		assert_int_equal(f.dma_live, 0);
		assert_true(f.now_us < 3000000);
		stage_device_list_close(&list);
	}
}

/* By both buses. */
static void lies_end_the_disk_only(void **state)
{
	static const struct {
		enum fake_fault fault;
		enum chain_status status;
		bool dead;
		const char *text;
	} cases[] = {
		{ FAKE_SILENT, CHAIN_E_BLOCK_TIMEOUT, true, "no answer within 10000 ms (sector 0, 1 sectors)" },
		{ FAKE_USED_INDEX, CHAIN_E_VIRTIO_RING, true,
		  "queue 0: more requests done than were made (1001, limit 1)" },
		{ FAKE_USED_ID, CHAIN_E_VIRTIO_RING, true,
		  "queue 0: a request that was not made is said to be done (4194311, limit 64)" },
		{ FAKE_USED_ID_IDLE, CHAIN_E_VIRTIO_RING, true,
		  "queue 0: a request that was not made is said to be done (3, limit 64)" },
		{ FAKE_USED_LENGTH, CHAIN_E_VIRTIO_RING, true,
		  "queue 0: more bytes written than there was room for (514, limit 513)" },
		{ FAKE_NO_STATUS, CHAIN_E_BLOCK_REQUEST, false, "the device left no status (sector 0, 1 sectors)" },
		{ FAKE_IO_ERROR, CHAIN_E_BLOCK_REQUEST, false,
		  "the device reports an I/O error (sector 0, 1 sectors)" },
		{ FAKE_CUT, CHAIN_E_BLOCK_REQUEST, false,
		  "the device wrote less than was asked for (sector 0, 1 sectors)" },
	};
	uint8_t buf[512];

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
		const bool mmio = i & 1;
		struct fake f;
		struct stage_device_list list;
		struct chain_error err = { 0 };
		make_disk(&f, FAKE_GOOD);
		if (mmio)
			fake_use_mmio(&f, VIRTIO_TYPE_BLOCK);
		assert_int_equal(stage_device_list_open(&f.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
		f.fault = cases[i / 2].fault;
		assert_int_equal(list.block->ops->read(list.block, 0, 1, buf, &err), cases[i / 2].status);
		assert_says(&err, mmio ? "0xfe000000" : "0000:00:03.0", cases[i / 2].text);
		assert_int_equal(list.block->fault.status, cases[i / 2].dead ? cases[i / 2].status : CHAIN_OK);
		chain_error_clear(&err);
		f.fault = FAKE_GOOD;
		assert_int_equal(list.block->ops->read(list.block, 0, 1, buf, &err),
				 cases[i / 2].dead ? cases[i / 2].status : CHAIN_OK);
		assert_true(f.now_us < 30000000);
		stage_device_list_close(&list);
		assert_int_equal(f.dma_live, 0);
	}
}

/* By both buses. */
static void sizes_that_can_not_be(void **state)
{
	static const struct {
		uint64_t units;
		uint32_t sector_bytes;
		enum chain_status status;
		const char *text;
	} cases[] = {
		{ UINT64_MAX, 512, CHAIN_E_LIMIT,
		  "18446744073709551615 sectors exceed the limit of 18014398509481983" },
		{ UINT64_C(1) << 54, 512, CHAIN_E_LIMIT,
		  "18014398509481984 sectors exceed the limit of 18014398509481983" },
		{ (UINT64_C(1) << 54) - 1, 512, CHAIN_OK, "" },
		{ 0, 512, CHAIN_OK, "" },
		{ 1000, 0, CHAIN_E_BLOCK_GEOMETRY, "sectors of 0 bytes are not possible" },
		{ 1000, 256, CHAIN_E_BLOCK_GEOMETRY, "sectors of 256 bytes are not possible" },
		{ 1000, 513, CHAIN_E_BLOCK_GEOMETRY, "sectors of 513 bytes are not possible" },
		{ 1000, 131072, CHAIN_E_BLOCK_GEOMETRY, "sectors of 131072 bytes are not possible" },
		{ 1000, UINT32_MAX, CHAIN_E_BLOCK_GEOMETRY, "sectors of 4294967295 bytes are not possible" },
		{ 1000, 4096, CHAIN_OK, "" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
		const bool mmio = i & 1;
		struct fake f;
		struct stage_device_list list;
		fake_init(&f, MODERN_BLK, FAKE_GOOD, F_BLOCK_SIZE, disk);
		if (mmio)
			fake_use_mmio(&f, VIRTIO_TYPE_BLOCK);
		memcpy(f.bar + FAKE_CONFIG, &cases[i / 2].units, 8);
		memcpy(f.bar + FAKE_CONFIG + 20, &cases[i / 2].sector_bytes, 4);
		assert_int_equal(stage_device_list_open(&f.env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
		assert_int_equal(list.dead ? list.dead->fault.status : CHAIN_OK, cases[i / 2].status);
		if (list.dead)
			assert_says(&list.dead->fault, mmio ? "0xfe000000" : "0000:00:03.0", cases[i / 2].text);
		else
			assert_int_equal(list.block->sectors * list.block->sector_bytes,
					 cases[i / 2].units * 512 / cases[i / 2].sector_bytes *
						 cases[i / 2].sector_bytes);
		stage_device_list_close(&list);
		assert_int_equal(f.dma_live, 0);
	}
}

/* --- configuration space --- */

static enum chain_status open_with(struct fake *f)
{
	struct stage_device_list list;
	enum chain_status s;

	assert_int_equal(stage_device_list_open(&f->env, STAGE_CLASS_BLOCK, &list, NULL), CHAIN_OK);
	s = list.dead ? list.dead->fault.status : CHAIN_OK;
	stage_device_list_close(&list);
	assert_int_equal(f->dma_live, 0);
	return s;
}

static void capability_lists_are_bounded(void **state)
{
	struct fake f;

	(void)state;
	make_disk(&f, FAKE_GOOD);
	f.pci[0x81] = 0x40; /* a loop through all of them */
	assert_int_equal(open_with(&f), CHAIN_E_PCI_BAD_CAPABILITIES);
	make_disk(&f, FAKE_GOOD);
	f.pci[0x40] = 5; /* a loop of others */
	f.pci[0x41] = 0x40;
	assert_int_equal(open_with(&f), CHAIN_E_PCI_BAD_CAPABILITIES);
	make_disk(&f, FAKE_GOOD);
	f.pci[0x81] = 0x10; /* into the header */
	assert_int_equal(open_with(&f), CHAIN_E_PCI_BAD_CAPABILITIES);
	make_disk(&f, FAKE_GOOD);
	f.pci[0x4f] = 0x80; /* a structure larger than its register */
	assert_int_equal(open_with(&f), CHAIN_E_VIRTIO_CAPABILITY);
	make_disk(&f, FAKE_GOOD);
	f.pci[0x44] = 1; /* in a register that is not there */
	assert_int_equal(open_with(&f), CHAIN_E_PCI_BAD_BAR);
	make_disk(&f, FAKE_GOOD);
	f.pci[0x44] = 7;
	assert_int_equal(open_with(&f), CHAIN_E_PCI_BAD_BAR);
	make_disk(&f, FAKE_GOOD);
	f.pci[6] = 0; /* no list: a device older than virtio 1.0 */
	assert_int_equal(open_with(&f), CHAIN_E_VIRTIO_LEGACY);
}

static void random_configuration_is_survived(void **state)
{
	struct fake f;
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		make_disk(&f, FAKE_GOOD);
		for (int n = 0; n < 4; n++) {
			seed = seed * 1664525 + 1013904223;
			f.pci[4 + (seed >> 8) % 252] = (uint8_t)(seed >> 24);
		}
		(void)open_with(&f);
		assert_true(f.accesses < 100000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_is_read),
		cmocka_unit_test(unwanted_device_is_not_touched),
		cmocka_unit_test(dead_disks_are_listed),
		cmocka_unit_test(lies_end_the_disk_only),
		cmocka_unit_test(sizes_that_can_not_be),
		cmocka_unit_test(capability_lists_are_bounded),
		cmocka_unit_test(random_configuration_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
