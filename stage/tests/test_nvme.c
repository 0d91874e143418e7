/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The NVMe driver, against a controller that behaves and ones that do not. */
#include "fake_nvme.h"

#include "stage/device_list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SECTORS = 1000 };

static struct fake_nvme machine;
static uint8_t buf[300 * 4096];

static struct stage_block *open_disk(struct stage_device_list *list)
{
	assert_int_equal(stage_device_list_open(&machine.fake.env, STAGE_CLASS_BLOCK, list, NULL), CHAIN_OK);
	return list->block;
}

/* All is given back, and the device can reach no memory. */
static void close_disk(struct stage_device_list *list)
{
	stage_device_list_close(list);
	assert_int_equal(machine.fake.dma_live, 0);
	assert_int_equal(machine.cc & NVME_CC_ENABLE, 0);
	assert_int_equal(machine.fake.pci[4] & STAGE_PCI_COMMAND_MASTER, 0);
	assert_false(machine.wrote_elsewhere);
}

static void disk_is_read(void **state)
{
	static const struct {
		unsigned shift, transfer_most;
		uint32_t longest; /* sectors that one read may have */
	} cases[] = { { 9, 0, 128 }, { 9, 1, 16 }, { 9, 4, 128 },  { 12, 0, 16 },
		      { 12, 1, 2 },  { 12, 2, 4 }, { 9, 255, 128 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_device_list list;
		struct chain_error err = { 0 };
		fake_nvme_init(&machine, NVME_GOOD, SECTORS, cases[i].shift);
		machine.controller[NVME_CONTROLLER_TRANSFER_MOST] = (uint8_t)cases[i].transfer_most;
		machine.space[NVME_NAMESPACE_ATTRIBUTES] = i & 1;
		struct stage_block *disk = open_disk(&list);
		assert_non_null(disk);
		assert_string_equal(disk->driver, "nvme");
		assert_string_equal(disk->place, "0000:00:03.0");
		assert_string_equal(disk->serial, "DATA01");
		assert_int_equal(disk->read_only, i & 1);
		assert_true(disk->sectors == SECTORS && disk->sector_bytes == 1u << cases[i].shift);
		for (unsigned round = 0; round < 5; round++) {
			assert_int_equal(disk->ops->read(disk, 100 + round, 300, buf, &err), CHAIN_OK);
			for (size_t at = 0; at < (size_t)300 << cases[i].shift; at++)
				assert_int_equal(buf[at], (uint8_t)(100 + round + (at >> cases[i].shift)));
		}
		assert_int_equal(machine.longest, cases[i].longest);
		assert_int_equal(disk->ops->read(disk, SECTORS - 1, 1, buf, &err), CHAIN_OK);
		assert_int_equal(disk->ops->read(disk, SECTORS - 1, 2, buf, &err), CHAIN_E_BLOCK_PAST_END);
		chain_error_clear(&err);
		assert_int_equal(disk->ops->read(disk, UINT64_MAX, 2, buf, &err), CHAIN_E_BLOCK_PAST_END);
		assert_int_equal(disk->fault.status, CHAIN_OK);
		close_disk(&list);
	}
}

static void the_first_namespace_is_the_disk(void **state)
{
	struct stage_device_list list;

	(void)state;
	fake_nvme_init(&machine, NVME_GOOD, SECTORS, 9);
	machine.namespace = 7;
	struct stage_block *disk = open_disk(&list);
	assert_int_equal(disk->ops->read(disk, 0, 1, buf, NULL), CHAIN_OK);
	close_disk(&list);
	fake_nvme_init(&machine, NVME_GOOD, SECTORS, 9);
	machine.version = 0x00010000; /* which has no list: it is the first */
	machine.fault = NVME_GOOD;
	disk = open_disk(&list);
	assert_int_equal(disk->ops->read(disk, 0, 1, buf, NULL), CHAIN_OK);
	close_disk(&list);
}

static void spoil(unsigned what)
{
	static const uint64_t huge = UINT64_MAX;

	if (what == 1)
		machine.namespace = 0;
	else if (what == 2)
		memcpy(machine.space, &huge, 8);
	else if (what == 3)
		machine.space[NVME_NAMESPACE_FORMAT_LIST + 2] = 8;
	else if (what == 4)
		machine.space[NVME_NAMESPACE_FORMAT_LIST + 2] = 17;
	else if (what == 5)
		machine.space[NVME_NAMESPACE_FORMAT_LIST + 2] = 255;
	else if (what == 6)
		machine.space[NVME_NAMESPACE_FORMAT_LIST] = 8;
	else if (what == 7)
		machine.space[NVME_NAMESPACE_FORMAT] = 1;
	else if (what == 8)
		memset(machine.fake.pci + 0x10, 0, 4);
}

static void what_can_not_start_is_reported(void **state)
{
#define NAME "nvme 0000:00:03.0: "
	static const struct {
		enum nvme_fault fault;
		uint8_t opcode;
		unsigned spoilt;
		enum chain_status status;
		const char *text;
	} cases[] = {
		{ NVME_NEVER_READY, 0, 0, CHAIN_E_NVME_TIMEOUT, NAME "its start did not end within 1000 ms" },
		{ NVME_FAILS_TO_START, 0, 0, CHAIN_E_NVME_TIMEOUT, NAME "its start did not end within 1000 ms" },
		{ NVME_NEVER_STOPS, 0, 0, CHAIN_E_DEVICE_RESET, NAME "its reset did not finish within 1000 ms" },
		{ NVME_GONE, 0, 0, CHAIN_E_NVME_CONTROLLER,
		  NAME "it does not know the commands of disks (0xffffffff)" },
		{ NVME_NO_COMMANDS, 0, 0, CHAIN_E_NVME_CONTROLLER,
		  NAME "it does not know the commands of disks (0x0)" },
		{ NVME_LARGE_PAGES, 0, 0, CHAIN_E_NVME_CONTROLLER, NAME "it does not know pages of 4 KiB (0x10020)" },
		{ NVME_WIDE_DOORBELLS, 0, 0, CHAIN_E_NVME_CONTROLLER,
		  "0000:00:03.0: its registers are longer than where they lie (0x4000)" },
		{ NVME_REFUSES, NVME_ADMIN_IDENTIFY, 0, CHAIN_E_NVME_COMMAND,
		  NAME "the identification fails with status 0x281" },
		{ NVME_REFUSES, NVME_ADMIN_CREATE_CQ, 0, CHAIN_E_NVME_COMMAND,
		  NAME "the creation of a completion queue fails with status 0x281" },
		{ NVME_REFUSES, NVME_ADMIN_CREATE_SQ, 0, CHAIN_E_NVME_COMMAND,
		  NAME "the creation of a submission queue fails with status 0x281" },
		{ NVME_SILENT, NVME_ADMIN_IDENTIFY, 0, CHAIN_E_NVME_TIMEOUT,
		  NAME "the identification did not end within 10000 ms" },
		{ NVME_DIES, NVME_ADMIN_CREATE_CQ, 0, CHAIN_E_NVME_CONTROLLER, NAME "it has failed (0xffffffff)" },
		{ NVME_WRONG_ID, NVME_ADMIN_CREATE_SQ, 0, CHAIN_E_NVME_COMPLETION,
		  NAME "a completion is of command 6, not 5" },
		{ NVME_WRONG_QUEUE, NVME_ADMIN_CREATE_SQ, 0, CHAIN_E_NVME_COMPLETION,
		  NAME "a completion is of queue 1, not 0" },
		{ NVME_WRONG_HEAD, NVME_ADMIN_CREATE_SQ, 0, CHAIN_E_NVME_COMPLETION,
		  NAME "a completion is of entry 8, not 1" },
		{ NVME_GOOD, 0, 1, CHAIN_E_NVME_CONTROLLER, NAME "it has no namespace (0x0)" },
		{ NVME_GOOD, 0, 2, CHAIN_E_LIMIT,
		  NAME "18446744073709551615 sectors exceed the limit of 18014398509481983" },
		{ NVME_GOOD, 0, 3, CHAIN_E_BLOCK_GEOMETRY, NAME "sectors of 256 bytes are not possible" },
		{ NVME_GOOD, 0, 4, CHAIN_E_BLOCK_GEOMETRY, NAME "sectors of 131072 bytes are not possible" },
		{ NVME_GOOD, 0, 5, CHAIN_E_BLOCK_GEOMETRY, NAME "sectors of 0 bytes are not possible" },
		{ NVME_GOOD, 0, 6, CHAIN_E_NVME_CONTROLLER, NAME "its sectors have metadata (0x8)" },
		{ NVME_GOOD, 0, 7, CHAIN_E_NVME_CONTROLLER,
		  NAME "its namespace has a format that it does not list (0x1)" },
		{ NVME_GOOD, 0, 8, CHAIN_E_PCI_BAD_BAR,
		  "0000:00:03.0: base address register 0 is 0x0: the firmware gave it no address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_device_list list;
		char text[256];
		fake_nvme_init(&machine, cases[i].fault, SECTORS, 9);
		machine.opcode = cases[i].opcode;
		spoil(cases[i].spoilt);
		assert_null(open_disk(&list));
		assert_non_null(list.dead);
		chain_error_format(&list.dead->fault, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		assert_int_equal(list.dead->fault.status, cases[i].status);
		assert_true(machine.fake.now_us < 100000000);
		machine.wrote_elsewhere = false; /* its registers are nowhere, in the last case */
		close_disk(&list);
	}
}

static void lies_end_the_disk_only(void **state)
{
	static const struct {
		enum nvme_fault fault;
		enum chain_status status;
		bool dead;
		const char *text;
	} cases[] = {
		{ NVME_REFUSES, CHAIN_E_BLOCK_REQUEST, false,
		  NAME "the device reports status 0x281 (sector 5, 1 sectors)" },
		{ NVME_SILENT, CHAIN_E_BLOCK_TIMEOUT, true, NAME "no answer within 10000 ms (sector 5, 1 sectors)" },
		{ NVME_DIES, CHAIN_E_NVME_CONTROLLER, true, NAME "it has failed (0xffffffff)" },
		{ NVME_WRONG_ID, CHAIN_E_NVME_COMPLETION, true, NAME "a completion is of command 7, not 6" },
		{ NVME_WRONG_QUEUE, CHAIN_E_NVME_COMPLETION, true, NAME "a completion is of queue 2, not 1" },
		{ NVME_WRONG_HEAD, CHAIN_E_NVME_COMPLETION, true, NAME "a completion is of entry 8, not 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage_device_list list;
		struct chain_error err = { 0 };
		char text[256];
		fake_nvme_init(&machine, NVME_GOOD, SECTORS, 9);
		struct stage_block *disk = open_disk(&list);
		machine.fault = cases[i].fault;
		machine.opcode = NVME_READ;
		assert_int_equal(disk->ops->read(disk, 5, 1, buf, &err), cases[i].status);
		chain_error_format(&err, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		assert_int_equal(disk->fault.status, cases[i].dead ? cases[i].status : CHAIN_OK);
		chain_error_clear(&err);
		machine.fault = NVME_GOOD;
		unsigned accesses = machine.fake.accesses;
		assert_int_equal(disk->ops->read(disk, 5, 1, buf, &err), cases[i].dead ? cases[i].status : CHAIN_OK);
		if (cases[i].dead)
			assert_int_equal(machine.fake.accesses, accesses);
		assert_true(machine.fake.now_us < 60000000);
		close_disk(&list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_is_read),
		cmocka_unit_test(the_first_namespace_is_the_disk),
		cmocka_unit_test(what_can_not_start_is_reported),
		cmocka_unit_test(lies_end_the_disk_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
