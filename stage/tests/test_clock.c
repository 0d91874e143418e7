/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The clock on machines with odd timers. What it finds out is kept for good, so each machine has a process of its own.
 */
#include "fake_machine.h"

#include "stage/clock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { HZ = 3000000000u, STEP = 300 };

void stage_cpu_set_handler(uint8_t vector, stage_trap_handler *handler)
{
	(void)vector;
	(void)handler;
}

void *stage_heap_map(uint64_t bytes)
{
	(void)bytes;
	return NULL;
}
bool stage_heap_unmap(void *virt, uint64_t bytes)
{
	return !virt && !bytes;
}

static void in_child(void (*run)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		run();
		_exit(0);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
}

/* In a child an assertion of cmocka's would go on with the parent's next test. */
#define HOLDS(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%d: does not hold: %s\n", __LINE__, #condition);                              \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static bool about(uint64_t hz, uint64_t wanted)
{
	return hz > wanted - wanted / 100 && hz < wanted + wanted / 100;
}

/* --- timers --- */

static uint64_t pit2_started, pit0_started, pit0_latched;
static uint32_t pit2_count;
static unsigned pit0_bytes;

/* Channel 2's output rises when it has counted down from what was written, low byte first. */
static void pit_out(uint16_t port, uint32_t value, unsigned width)
{
	(void)width;
	if (port == 0x42) {
		pit2_started = fake_machine.tsc;
		pit2_count = pit2_count >> 8 | value << 8;
	}
	if (port == 0x40)
		pit0_started = fake_machine.tsc;
	if (port == 0x43) {
		pit0_bytes = 0;
		pit0_latched = 0xffff - (fake_machine.tsc - pit0_started) * 1193182 / HZ;
	}
}

static uint32_t pit2_in(uint16_t port, unsigned width)
{
	(void)width;
	return port == 0x61 && fake_machine.tsc - pit2_started >= pit2_count * (HZ / 1193182) ? 0x20 : 0;
}

/* The first measurement is cut off by somebody else's turn: its end is seen 7 ms late. */
static uint32_t interrupted_pit2_in(uint16_t port, unsigned width)
{
	static bool away;
	uint32_t out = pit2_in(port, width);
	if (port == 0x61 && pit2_count && !away) {
		away = true;
		fake_machine.tsc += HZ / 1000 * 7;
	}
	return out;
}

static uint32_t pit0_in(uint16_t port, unsigned width)
{
	(void)width;
	fake_machine.tsc += STEP;
	return port != 0x40 ? 0 : (uint32_t)(pit0_latched >> (pit0_bytes++ ? 8 : 0) & 0xff);
}

static uint32_t random_in(uint16_t port, unsigned width)
{
	static uint32_t seed = 9;
	(void)port;
	(void)width;
	return (seed = seed * 1664525 + 1013904223) >> 9;
}

static void machine(uint32_t (*in)(uint16_t port, unsigned width))
{
	static const struct stage_face booted = { .owns_machine = true, .idle = stage_clock_idle };
	stage_boot.face = &booted;
	fake_machine.tsc_step = STEP;
	fake_machine.in = in;
	fake_machine.out = pit_out;
}

static void by_channel_2(void)
{
	machine(pit2_in);
	HOLDS(about(stage_tsc_hz(), HZ) && stage_tsc_hz() == stage_tsc_hz_known());
}

static void by_channel_2_interrupted(void)
{
	machine(interrupted_pit2_in);
	HOLDS(about(stage_tsc_hz(), HZ));
}

static void by_channel_0(void)
{
	machine(pit0_in);
	HOLDS(about(stage_tsc_hz(), HZ));
}

/* No timer, one that is always done, and one that says anything: some rate that waits stay bounded with. */
static void without_timer(void)
{
	machine(NULL);
	fake_machine.tsc_step = 1000000;
	HOLDS(stage_tsc_hz() >= 100000000 && stage_tsc_hz() <= 10000000000);
}

static uint32_t never(uint16_t port, unsigned width)
{
	(void)port;
	(void)width;
	return 0;
}

static void with_a_dead_timer(void)
{
	machine(never);
	fake_machine.tsc_step = 100000;
	HOLDS(stage_tsc_hz() >= 100000000 && stage_tsc_hz() <= 10000000000);
	HOLDS(fake_machine.ins < 10 * 1000 * 1000);
}

static void with_a_random_timer(void)
{
	for (int i = 0; i < 50 && !stage_tsc_hz_known(); i++) {
		machine(random_in);
		fake_machine.tsc_step = (uint64_t)1 << i;
		HOLDS(stage_tsc_hz() >= 100000000 && stage_tsc_hz() <= 10000000000);
	}
}

static void timers_are_read_or_done_without(void **state)
{
	(void)state;
	in_child(by_channel_2);
	in_child(by_channel_2_interrupted);
	in_child(by_channel_0);
	in_child(without_timer);
	in_child(with_a_dead_timer);
	in_child(with_a_random_timer);
}

/* --- what others say --- */

static uint32_t leaf15[3], leaf_khz;

static struct stage_cpuid says(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	switch (leaf) {
	case 0:
		return (struct stage_cpuid){ .a = 0x16 };
	case 1:
		return (struct stage_cpuid){ .c = 0x80000000 };
	case 0x15:
		return (struct stage_cpuid){ leaf15[0], leaf15[1], leaf15[2], 0 };
	case 0x40000000:
		return (struct stage_cpuid){ .a = 0x40000010 };
	case 0x40000010:
		return (struct stage_cpuid){ .a = leaf_khz };
	default:
		return (struct stage_cpuid){ 0 };
	}
}

static void processor_says(void)
{
	machine(pit2_in);
	fake_machine.cpuid = says;
	HOLDS(stage_tsc_hz() == (uint64_t)leaf15[2] * leaf15[1] / leaf15[0]);
	HOLDS(fake_machine.ins == 0);
}

/* What costs nothing is known at once; nothing is measured for it. */
static void is_reported_at_no_cost(void)
{
	machine(pit2_in);
	fake_machine.cpuid = says;
	HOLDS(stage_tsc_hz_known() == 0);
	HOLDS(stage_tsc_hz_reported() == (uint64_t)leaf15[2] * leaf15[1] / leaf15[0] &&
	      stage_tsc_hz_known() == stage_tsc_hz_reported());
	HOLDS(fake_machine.ins == 0 && fake_machine.outs == 0);
}

static void processor_lies(void)
{
	machine(pit2_in);
	fake_machine.cpuid = says;
	HOLDS(stage_tsc_hz_reported() == 0 && stage_tsc_hz_reported() == 0 && stage_tsc_hz_known() == 0);
	HOLDS(fake_machine.ins == 0 && fake_machine.outs == 0);
	HOLDS(about(stage_tsc_hz(), HZ));
}

static void rates_nobody_has_are_not_believed(void **state)
{
	static const uint32_t lies[][3] = {
		{ 1, 0xffffffff, 0xffffffff }, { 0xffffffff, 1, 1 }, { 2, 1, 1 }, { 1, 100, 300000000 }
	};

	(void)state;
	leaf15[0] = 2;
	leaf15[1] = 216;
	leaf15[2] = 24000000;
	in_child(processor_says);
	in_child(is_reported_at_no_cost);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memcpy(leaf15, lies[i], sizeof(leaf15));
		leaf_khz = 0;
		in_child(processor_lies);
	}
	memset(leaf15, 0, sizeof(leaf15));
	leaf_khz = 1;
	in_child(processor_lies);
	leaf_khz = 0xffffffff;
	in_child(processor_lies);
}

static void handoff_says(void)
{
	machine(pit2_in);
	stage_boot.entry_tsc = 1000;
	fake_machine.tsc = 2000;
	HOLDS(!stage_clock_continue(1001, HZ) && stage_tsc_hz_known() == 0);
	HOLDS(stage_clock_continue(500, UINT64_MAX) && stage_tsc_hz_known() == 0);
	HOLDS(stage_clock_continue(500, 1) && stage_tsc_hz_known() == 0);
	HOLDS(stage_clock_continue(500, HZ) && stage_tsc_hz_known() == HZ);
	HOLDS(stage_clock_us_at(499) == 0 && stage_clock_us_at(0) == 0 && stage_clock_us_at(500 + HZ) == 1000000);
}

static uint64_t clock_service(uint64_t service, uint64_t first, uint64_t second)
{
	HOLDS(service == KCHAIN_SERVICE_CLOCK && !first && !second);
	return 4321;
}

static void caller_says(void)
{
	static struct kchain_call call = { .abi = KCHAIN_NATIVE_ABI, .tsc_hz = 7 };
	machine(pit2_in);
	stage_boot.call = &call;
	stage_boot.face = &stage_called_face;
	fake_machine.service = clock_service;
	HOLDS(stage_tsc_hz() >= 100000000 && stage_clock_us() == 4321);
	stage_idle();
	HOLDS(fake_machine.ins == 0 && fake_machine.outs == 0); /* the timer is the caller's */
}

static void handoffs_and_callers_are_checked(void **state)
{
	(void)state;
	in_child(handoff_says);
	in_child(caller_says);
}

/* --- arithmetic --- */

static void against_wide_arithmetic(void)
{
	uint64_t seed = 4;

	machine(NULL);
	stage_boot.entry_tsc = 0;
	HOLDS(stage_clock_continue(0, 2999999999u));
	fake_machine.tsc_step = 0;
	for (int i = 0; i < 200000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint64_t ticks = seed >> (seed >> 58), us = seed * 3 >> (seed >> 59 & 63);
		HOLDS(stage_clock_us_at(ticks) == (uint64_t)((unsigned __int128)ticks * 1000000 / 2999999999u) ||
		      stage_clock_us_at(ticks) + 1 == (uint64_t)((unsigned __int128)ticks * 1000000 / 2999999999u));
		fake_machine.tsc = ticks;
		uint64_t deadline = stage_deadline_after_us(us);
		unsigned __int128 exact = ticks + (unsigned __int128)us * 2999999999u / 1000000;
		HOLDS(deadline >= ticks); /* never in the past */
		HOLDS(deadline == UINT64_MAX || (deadline <= exact && exact - deadline <= 1));
		HOLDS(deadline != UINT64_MAX || exact > UINT64_MAX / 4);
	}
}

static void times_are_exact_and_never_wrap(void **state)
{
	(void)state;
	in_child(against_wide_arithmetic);
}

static void sleeping(void)
{
	machine(pit2_in);
	(void)stage_tsc_hz();
	uint64_t before = fake_machine.tsc;
	stage_sleep_us(2000);
	HOLDS(fake_machine.tsc - before >= HZ / 500 && fake_machine.tsc - before < HZ / 20);
	stage_sleep_us(0);
	stage_idle();
}

static void a_sleep_ends(void **state)
{
	(void)state;
	in_child(sleeping);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_are_read_or_done_without),
		cmocka_unit_test(rates_nobody_has_are_not_believed),
		cmocka_unit_test(handoffs_and_callers_are_checked),
		cmocka_unit_test(times_are_exact_and_never_wrap),
		cmocka_unit_test(a_sleep_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
