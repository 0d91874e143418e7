/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The machine by files as Linux has them, and what is said of those that are not so. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "next/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/kchain-next-XXXXXX";

static void put(const char *path, const char *text)
{
	char whole[256], *slash;
	snprintf(whole, sizeof(whole), "%s/%s", top, path);
	for (slash = whole + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(whole, 0755);
		*slash = '/';
	}
	FILE *f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_entry(unsigned number, const char *start, const char *end, const char *type)
{
	const struct {
		const char *name, *text;
	} files[] = { { "start", start }, { "end", end }, { "type", type } };
	char path[128];
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "sys/firmware/memmap/%u/%s", number, files[i].name);
		put(path, files[i].text);
	}
}

static int begin(void **ctx)
{
	(void)ctx;
	strcpy(top, "/tmp/kchain-next-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	put_entry(0, "0x0\n", "0x9fbff\n", "System RAM\n");
	put_entry(1, "0x100000\n", "0x1fffff\n", "System RAM\n");
	put_entry(2, "0x200000\n", "0x3fffff\n", "Persistent Memory (legacy)\n");
	put_entry(3, "0x400000\n", "0x7fffff\n", "System RAM\n");
	put_entry(4, "0x800000\n", "0x8fffff\n", "ACPI Tables\n");
	put_entry(5, "0xfffc0000\n", "0xffffffff\n", "something new\n");
	return 0;
}

static int end(void **ctx)
{
	char command[64];
	(void)ctx;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void check_entry(const struct chain_bootinfo *info, size_t i, uint64_t base, uint64_t last, uint32_t type)
{
	assert_true(i < info->mem_count);
	assert_int_equal(info->mem[i].range.base, base);
	assert_int_equal(info->mem[i].range.end, last);
	assert_int_equal(info->mem[i].type, type);
}

static void the_map_is_the_firmware_s(void **ctx)
{
	struct chain_bootinfo info;
	(void)ctx;
	assert_int_equal(next_machine_read(top, &info, NULL), CHAIN_OK);
	assert_int_equal(info.mem_count, 6);
	check_entry(&info, 2, 0x200000, 0x400000, CHAIN_MEM_PMEM_LEGACY);
	check_entry(&info, 4, 0x800000, 0x900000, CHAIN_MEM_ACPI);
	check_entry(&info, 5, 0xfffc0000, 0x100000000, CHAIN_MEM_RESERVED);
	assert_string_equal(info.door, "linux");
	chain_bootinfo_free(&info);
}

static void its_root_is_memory_again(void **ctx)
{
	struct chain_bootinfo info;
	json_t *root = json_pack("{s:{s:s, s:i}}", "root", "phys", "0x200000", "bytes", 2097152),
	       *other = json_pack("{s:{s:s}}", "root", "phys", "0x201000");
	(void)ctx;
	assert_int_equal(next_machine_read(top, &info, NULL), CHAIN_OK);
	assert_int_equal(next_machine_free_root(&info, other, NULL), CHAIN_OK);
	assert_int_equal(info.mem_count, 6);
	assert_int_equal(next_machine_free_root(&info, root, NULL), CHAIN_OK);
	assert_int_equal(info.mem_count, 4);
	check_entry(&info, 1, 0x100000, 0x800000, CHAIN_MEM_AVAILABLE);
	chain_bootinfo_free(&info);
	json_decref(root);
	json_decref(other);
}

static void processors_are_counted(void **ctx)
{
	static const struct {
		const char *list;
		uint32_t count;
	} lists[] = { { "0\n", 1 }, { "0-3\n", 4 }, { "0-1,4-6,9\n", 6 }, { "", 1 }, { "none\n", 1 }, { "3-1\n", 1 } };
	(void)ctx;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct chain_bootinfo info;
		put("sys/devices/system/cpu/present", lists[i].list);
		assert_int_equal(next_machine_read(top, &info, NULL), CHAIN_OK);
		assert_int_equal(info.cpus, lists[i].count);
		chain_bootinfo_free(&info);
	}
}

static void the_newer_tables_come_first(void **ctx)
{
	struct chain_bootinfo info;
	(void)ctx;
	put("sys/firmware/efi/systab", "ACPI20=0x7fb7e014\nACPI=0x7fb7e000\nSMBIOS3=0x7f94e000\nSMBIOS=0x7f950000\n");
	assert_int_equal(next_machine_read(top, &info, NULL), CHAIN_OK);
	assert_int_equal(info.acpi_rsdp, 0x7fb7e014);
	assert_int_equal(info.smbios, 0x7f94e000);
	chain_bootinfo_free(&info);
	put("sys/firmware/efi/systab", "SMBIOS=0x7f950000\nACPI=0x7fb7e000\n");
	assert_int_equal(next_machine_read(top, &info, NULL), CHAIN_OK);
	assert_int_equal(info.acpi_rsdp, 0x7fb7e000);
	assert_int_equal(info.smbios, 0x7f950000);
	chain_bootinfo_free(&info);
}

static void what_is_no_map_is_refused(void **ctx)
{
	static const struct {
		const char *file, *text, *subject, *detail;
	} cases[] = {
		{ "sys/firmware/memmap/2/start", "", "/sys/firmware/memmap/2/start", "Invalid argument" },
		{ "sys/firmware/memmap/2/start", "many\n", "/sys/firmware/memmap/2/start", "Invalid argument" },
		{ "sys/firmware/memmap/2/start", "0x400000\n", "/sys/firmware/memmap/2", "Invalid argument" },
		{ "sys/firmware/memmap/2/end", "0xffffffffffffffff\n", "/sys/firmware/memmap/2", "Invalid argument" },
	};
	(void)ctx;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_bootinfo info;
		struct chain_error err = { 0 };
		put_entry(2, "0x200000\n", "0x3fffff\n", "Persistent Memory (legacy)\n");
		put(cases[i].file, cases[i].text);
		assert_int_equal(next_machine_read(top, &info, &err), CHAIN_E_IO);
		assert_string_equal(err.subject + strlen(top), cases[i].subject);
		assert_string_equal(err.detail, cases[i].detail);
		chain_bootinfo_free(&info);
	}
}

static void a_kernel_without_a_map_is_refused(void **ctx)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	(void)ctx;
	assert_int_equal(next_machine_read("/nowhere", &info, &err), CHAIN_E_IO);
	assert_string_equal(err.subject, "/nowhere/sys/firmware/memmap/0");
	assert_string_equal(err.detail, "No such file or directory");
	chain_bootinfo_free(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_map_is_the_firmware_s, begin, end),
		cmocka_unit_test_setup_teardown(its_root_is_memory_again, begin, end),
		cmocka_unit_test_setup_teardown(processors_are_counted, begin, end),
		cmocka_unit_test_setup_teardown(the_newer_tables_come_first, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_map_is_refused, begin, end),
		cmocka_unit_test(a_kernel_without_a_map_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
