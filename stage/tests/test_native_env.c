/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Configuration space, whose one address register all processors share, and a processor that is stopped while it uses
 * it. */
#include "fake_machine.h"

#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/device_env.h"
#include "stage/pages.h"
#include "stage/random.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ADDRESS = 0xcf8, DATA = 0xcfc, BDF = 2 << 8 | 5 << 3 | 1 };

/* --- not asked for here --- */

/* --- configuration space in memory, of four buses --- */

enum { BUSES = 4, BUS_BYTES = 1 << 20 };
#define SPACE_PHYS UINT64_C(0xb0000000)
static uint8_t space_memory[BUSES * BUS_BYTES];
static struct stage_config_space config_space; /* by the firmware; phys 0: nothing */
static struct chain_mem_entry ram = { { 0x100000, 0x8000000 }, CHAIN_MEM_AVAILABLE };
static unsigned maps;

volatile void *stage_mmio_map(uint64_t phys, uint64_t bytes)
{
	uint64_t at = phys - SPACE_PHYS;

	maps++;
	return at < sizeof(space_memory) && bytes <= sizeof(space_memory) - at ? space_memory + at : NULL;
}

bool stage_find_config_space(uint64_t rsdp_phys, struct stage_config_space *out)
{
	assert_int_equal(rsdp_phys, 0xe0000);
	*out = config_space;
	return config_space.phys || config_space.first_bus;
}

uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	return owner == CHAIN_OWNER_HEAP ? 0 * bytes * align : 0;
}
void stage_pages_free(uint64_t phys, uint64_t bytes)
{
	fail_msg("%llu %llu", (unsigned long long)phys, (unsigned long long)bytes);
}
void *stage_phys_to_virt(uint64_t phys)
{
	return (void *)(uintptr_t)phys;
}
uint64_t stage_clock_us(void)
{
	return 0;
}
struct chain_bootinfo *stage_bootinfo(void)
{
	static char none[] = "";
	static struct chain_bootinfo info = { .cmdline = none, .acpi_rsdp = 0xe0000, .mem = &ram, .mem_count = 1 };
	return &info;
}
void stage_idle(void) {}
void stage_random_fill(void *to, size_t bytes)
{
	memset(to, 0, bytes);
}

/* --- the bus --- */

static uint32_t address, space[64], first_id = UINT32_MAX;
static bool stops; /* the processor is stopped between the address and the data */

static void out(uint16_t port, uint32_t value, unsigned width)
{
	if (port == ADDRESS && width == 4)
		address = value;
	else if (address >> 8 == (0x800000 | BDF))
		memcpy((uint8_t *)space + (address & 0xfc) + (port - DATA), &value, width);
	if (port == ADDRESS && stops)
		fake_end();
}

static uint32_t in(uint16_t port, unsigned width)
{
	uint32_t value = UINT32_MAX;

	if (port == ADDRESS)
		return address;
	if (address == 0x80000000 && port == DATA)
		return first_id;
	if (address >> 8 == (0x800000 | BDF))
		memcpy(&value, (uint8_t *)space + (address & 0xfc) + (port - DATA), width);
	return value;
}

static uint32_t read_at(uint32_t bdf, uint32_t offset, unsigned width)
{
	return stage_native_env()->pci_read(NULL, bdf, offset, width);
}

static void configuration_space_is_read_and_written(void **state)
{
	(void)state;
	fake_machine.in = in;
	fake_machine.out = out;
	space[1] = 0x44332211;
	assert_true(stage_native_env()->pci_present(NULL));
	assert_int_equal(read_at(BDF, 4, 4), 0x44332211);
	assert_int_equal(read_at(BDF, 6, 2), 0x4433);
	assert_int_equal(read_at(BDF, 5, 1), 0x22);
	assert_int_equal(read_at(BDF ^ 8, 4, 2), 0xffff);
	stage_native_env()->pci_write(NULL, BDF, 6, 2, 0xbeef);
	stage_native_env()->pci_write(NULL, BDF, 5, 1, 0x55);
	stage_native_env()->pci_write(NULL, BDF, 8, 4, 0xfeedf00d);
	assert_true(space[1] == 0xbeef5511 && space[2] == 0xfeedf00d);
	fake_machine.in = NULL;
	assert_false(stage_native_env()->pci_present(NULL));
}

/* Where the first place's id is read: 'm' memory, 'p' ports, '-' neither. In a process of its own, as it is found out
 * once. */
static char where(uint32_t bdf)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		uint32_t id = read_at(bdf, 8, 4);
		const struct stage_device_env *env = stage_native_env();
		if (id == 0x5a5a5a5a && (!env->pci_present(NULL) || read_at(bdf, 10, 2) != 0x5a5a || maps > 2))
			_exit(1);
		env->pci_write(NULL, bdf, 6, 2, 0x1234);
		if (id == 0x5a5a5a5a && (read_at(bdf, 6, 2) != 0x1234 || read_at(bdf, 4, 4) != 0x12340000))
			_exit(2);
		_exit(id == 0x5a5a5a5a ? 'm' : id == 0xa5a5a5a5 ? 'p' : '-');
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return (char)WEXITSTATUS(status);
}

static void configuration_space_is_in_memory_where_the_firmware_says_so(void **state)
{
	static const uint32_t id = 0x29c08086, mark = 0x5a5a5a5a;
	static const struct {
		struct stage_config_space config_space;
		bool ports;
		uint32_t id, bdf;
		char where;
	} cases[] = {
		{ { SPACE_PHYS, 0, 3 }, true, 0x29c08086, BDF, 'm' },
		{ { SPACE_PHYS, 0, 2 }, true, 0x29c08086, BDF, 'm' },
		{ { SPACE_PHYS, 0, 3 }, false, 0x29c08086, BDF, 'm' }, /* a microvm with PCI Express */
		{ { SPACE_PHYS, 0, 1 }, true, 0x29c08086, BDF, 'p' },  /* this bus is not there */
		{ { SPACE_PHYS, 0, 1 }, false, 0x29c08086, BDF, '-' },
		{ { 0, 0, 0 }, true, 0x29c08086, BDF, 'p' },          /* it says nothing */
		{ { SPACE_PHYS, 0, 3 }, true, 0x12378086, BDF, 'p' }, /* another device: it is not that memory */
		{ { SPACE_PHYS, 0, 3 }, true, 0xffffffff, BDF, 'p' },
		{ { SPACE_PHYS, 0, 3 }, false, 0xffffffff, BDF, '-' },
		{ { SPACE_PHYS, 1, 3 }, true, 0x29c08086, BDF, 'p' },
		{ { SPACE_PHYS + 4096, 0, 3 }, true, 0x29c08086, BDF, 'p' },
		{ { 0x200000, 0, 3 }, true, 0x29c08086, BDF, 'p' },               /* memory of somebody's */
		{ { UINT64_C(0x7fffd00000), 0, 3 }, true, 0x29c08086, BDF, 'p' }, /* further than all processors see */
		{ { UINT64_MAX << 20, 0, 255 }, true, 0x29c08086, BDF, 'p' },
		{ { 0xc0000000, 0, 3 }, true, 0x29c08086, BDF, 'p' }, /* no table for it */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		config_space = cases[i].config_space;
		fake_machine.in = cases[i].ports ? in : NULL;
		fake_machine.out = out;
		memset(space, 0, sizeof(space));
		space[2] = 0xa5a5a5a5;
		first_id = id;
		memset(space_memory, 0, sizeof(space_memory));
		memcpy(space_memory, &cases[i].id, 4);
		memcpy(space_memory + (BDF << 12) + 8, &mark, 4);
		char got = where(cases[i].bdf);
		if (got != cases[i].where)
			fail_msg("case %zu: %c (%d), not %c", i, got, got, cases[i].where);
	}
	config_space = (struct stage_config_space){ 0 };
}

/* QEMU's microvm has no such ports; where there are some, its places are somebody else's. */
static void places_of_a_microvm_are_for_one(void **state)
{
	struct stage_mmio_place place;

	(void)state;
	fake_machine.in = in;
	fake_machine.out = out;
	assert_false(stage_native_env()->mmio_place(NULL, 0, &place));
	fake_machine.in = NULL;
	assert_true(stage_native_env()->mmio_place(NULL, 0, &place) && place.phys == 0xfeb00000);
	assert_true(stage_native_env()->mmio_place(NULL, 23, &place));
	assert_false(stage_native_env()->mmio_place(NULL, 24, &place));
}

/* Whether this processor, which is another one, would wait for ever: a child tries it. */
static bool waits(void)
{
	const struct itimerval soon = { .it_value.tv_usec = 100000 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		setitimer(ITIMER_REAL, &soon, NULL);
		read_at(BDF, 4, 4);
		_exit(0);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
}

static void a_stopped_processor_keeps_nothing(void **state)
{
	(void)state;
	fake_machine.in = in;
	fake_machine.out = out;
	space[1] = 7;
	for (uint32_t processor = 0; processor < 3; processor++) {
		fake_machine.cpu.index = processor;
		stops = true;
		assert_true(FAKE_ENDS(read_at(BDF, 4, 4)));
		stops = false;
		fake_machine.cpu.index = processor + 1;
		stage_native_env_stopped(processor + 1); /* which does not have it */
		assert_true(waits());
		stage_native_env_stopped(processor);
		assert_false(waits());
		assert_int_equal(read_at(BDF, 4, 4), 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_space_is_in_memory_where_the_firmware_says_so),
		cmocka_unit_test(configuration_space_is_read_and_written),
		cmocka_unit_test(places_of_a_microvm_are_for_one),
		cmocka_unit_test(a_stopped_processor_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
