/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/clock.h"

#include "pit.h"
#include "stage/boot.h"
#include "stage/cpu.h"
#include "abi/native.h"
#include "stage/pic.h"

enum {
	PORT_B = 0x61,
	PORT_B_GATE2 = 1,
	PORT_B_SPEAKER = 2,
	PORT_B_OUT2 = 0x20,
	PIT2_ONE_SHOT = 0xb0,
	BRIEF_TICKS = PIT_HZ / 500,
	CALIBRATE_TICKS = PIT_HZ / 100, /* 2 ms, 10 ms */
	POLLS_MAX = 50 * 1000 * 1000,
	IDLE_TICKS = PIT_HZ / 1000,
};
#define TSC_HZ_MIN  100000000u
#define TSC_HZ_MAX  10000000000u /* whoever says more or less is not believed: waits stay bounded, sums fit */
#define FALLBACK_HZ 2000000000u  /* no timer to measure by: deadlines come within a small factor */

static uint64_t tsc_hz, origin_tsc;
static enum { WAKE_UNKNOWN, WAKE_PIT, WAKE_NONE } wake;

uint64_t stage_entry_tsc(void)
{
	return stage_boot.entry_tsc;
}
uint64_t stage_tsc_hz_known(void)
{
	return tsc_hz;
}

static uint64_t believable(uint64_t hz)
{
	return hz >= TSC_HZ_MIN && hz <= TSC_HZ_MAX ? hz : 0;
}

bool stage_clock_continue(uint64_t first_entry_tsc, uint64_t hz)
{
	if (first_entry_tsc > stage_boot.entry_tsc)
		return false;
	origin_tsc = first_entry_tsc;
	if (!tsc_hz)
		tsc_hz = believable(hz);
	return true;
}

static uint64_t hz_from_cpuid(void)
{
	uint32_t most = stage_cpuid(0, 0).a;
	if (most >= 0x15) { /* Intel SDM 3B section 19.7.3 */
		struct stage_cpuid r = stage_cpuid(0x15, 0);
		if (r.a && r.b && r.c)
			return (uint64_t)r.c * r.b / r.a;
	}
	if (stage_is_under_hypervisor() && stage_cpuid(0x40000000, 0).a >= 0x40000010) /* a hypervisor's: kHz */
		return (uint64_t)stage_cpuid(0x40000010, 0).a * 1000;
	return 0;
}

/* The rate by so many ticks of a timer, and of the TSC's ticks meanwhile, how many are not sure. False: the timer does
 * not run. */
typedef bool measure(uint32_t ticks, uint64_t *hz, uint64_t *slack);

/* 8254: channel 2 counts down once with its gate held open; bit 5 of port 0x61 shows its output. False: it never ends.
 * A rate of 0: it had ended before it was looked at twice. */
STAGE_BOOT_TEXT static bool measure_by_pit(uint32_t ticks, uint64_t *hz, uint64_t *slack)
{
	uint8_t before = stage_inb(PORT_B);
	stage_outb(PORT_B, (uint8_t)((before & ~PORT_B_SPEAKER) | PORT_B_GATE2));
	stage_outb(PIT_CONTROL, PIT2_ONE_SHOT);
	stage_outb(PIT_CHANNEL2, (uint8_t)ticks);
	uint64_t first = stage_rdtsc();
	stage_outb(PIT_CHANNEL2, (uint8_t)(ticks >> 8)); /* now it counts */
	uint64_t start = stage_rdtsc(), last = start, end = start;
	uint32_t polls = 0;
	do {
		last = end;
		end = stage_rdtsc();
	} while (!(stage_inb(PORT_B) & PORT_B_OUT2) && ++polls < POLLS_MAX && end - start < 10ull * FALLBACK_HZ);
	uint64_t after = stage_rdtsc();
	stage_outb(PORT_B, before);
	*slack = after - last + start - first; /* it began and ended somewhere in between */
	*hz = polls < 2 ? 0 : (last + (after - last) / 2 - first - (start - first) / 2) * PIT_HZ / ticks;
	return polls < POLLS_MAX;
}

STAGE_BOOT_TEXT static uint32_t pit_count(void)
{
	stage_outb(PIT_CONTROL, PIT0_LATCH);
	uint32_t low = stage_inb(PIT_CHANNEL0);
	return low | (uint32_t)stage_inb(PIT_CHANNEL0) << 8;
}

/* Where port 0x61 is missing (QEMU's microvm): channel 0 counts down and is read on the way. */
STAGE_BOOT_TEXT static bool measure_by_count(uint32_t ticks, uint64_t *hz, uint64_t *slack)
{
	stage_outb(PIT_CONTROL, PIT0_ONE_SHOT);
	stage_outb(PIT_CHANNEL0, 0xff);
	stage_outb(PIT_CHANNEL0, 0xff);
	uint64_t before = stage_rdtsc();
	uint32_t first = pit_count(), count = first;
	uint64_t start = stage_rdtsc(), last = start, end = start;
	for (uint32_t polls = 0; first - count < ticks; polls++) {
		if (polls == POLLS_MAX || end - start > 10ull * FALLBACK_HZ || count > first)
			return false;
		count = pit_count();
		last = end;
		end = stage_rdtsc();
	}
	*slack = end - last + start - before;
	*hz = (end - start) * PIT_HZ / (first - count);
	return true;
}

/* A brief measurement is good enough where a port is read quickly. A hypervisor may be away for longer than one takes;
 * then it is made again, for longer, and the best one counts. */
STAGE_BOOT_TEXT static uint64_t best_hz(measure *by)
{
	enum {
		BRIEF_TRIES = 2,
		TRIES = 5,
		GOOD = 1000
	}; /* a thousandth is good enough; an emulator meets the code for the first time once */
	uint64_t best = 0, least = UINT64_MAX;
	for (int i = 0; i < TRIES; i++) {
		uint32_t ticks = i < BRIEF_TRIES ? BRIEF_TICKS : CALIBRATE_TICKS;
		uint64_t slack, hz;
		if (!by(ticks, &hz, &slack))
			return best;
		if (!hz)
			continue;
		slack = slack * (CALIBRATE_TICKS / ticks); /* as if all took the same time */
		if (slack < least) {
			least = slack;
			best = hz;
		}
		if (slack < hz / (PIT_HZ / CALIBRATE_TICKS) / GOOD)
			break;
	}
	return best;
}

uint64_t stage_tsc_hz_reported(void)
{
	static bool asked;
	if (!tsc_hz)
		tsc_hz = believable(stage_boot.call->tsc_hz);
	if (!tsc_hz && !asked)
		tsc_hz = believable(hz_from_cpuid());
	asked = true;
	return tsc_hz;
}

uint64_t stage_tsc_hz(void)
{
	stage_tsc_hz_reported();
	if (!tsc_hz && stage_boot.face->owns_machine) {
		tsc_hz = believable(best_hz(measure_by_pit));
		if (!tsc_hz)
			tsc_hz = believable(best_hz(measure_by_count));
	}
	if (!tsc_hz)
		tsc_hz = FALLBACK_HZ;
	return tsc_hz;
}

/* ticks * 1000000 / hz without overflow for centuries. */
static uint64_t ticks_to_us(uint64_t ticks)
{
	uint64_t hz = stage_tsc_hz();
	return ticks / hz * 1000000 + ticks % hz * 1000000 / hz;
}

uint64_t stage_clock_us_at(uint64_t ticks)
{
	uint64_t origin = origin_tsc ? origin_tsc : stage_boot.entry_tsc;
	return ticks > origin ? ticks_to_us(ticks - origin) : 0;
}

uint64_t stage_clock_us(void)
{
	return stage_boot.face->now_us();
}

uint64_t stage_ticks_of_us(uint64_t us)
{
	uint64_t hz = stage_tsc_hz();
	return us / 1000000 < UINT64_MAX / 2 / hz ? us / 1000000 * hz + us % 1000000 * hz / 1000000 : UINT64_MAX;
}

uint64_t stage_deadline_after_us(uint64_t us)
{
	uint64_t ticks = stage_ticks_of_us(us), now = stage_rdtsc();
	return ticks > UINT64_MAX - now ? UINT64_MAX : now + ticks;
}

bool stage_deadline_passed(uint64_t deadline)
{
	return stage_rdtsc() >= deadline;
}

static volatile bool timer_came;

STAGE_BOOT_TEXT static void on_timer(struct stage_trap_frame *frame)
{
	(void)frame;
	timer_came = true;
	stage_pic_end(STAGE_PIC_VECTOR + STAGE_PIC_TIMER);
}

STAGE_BOOT_TEXT static void start_timer(void)
{
	stage_outb(PIT_CONTROL, PIT0_RATE);
	stage_outb(PIT_CHANNEL0, IDLE_TICKS & 0xff);
	stage_outb(PIT_CHANNEL0, IDLE_TICKS >> 8);
}

/* Whether the timer's interrupt reaches this processor: shown by one that came. */
STAGE_BOOT_TEXT static void find_wake(void)
{
	wake = WAKE_NONE;
	stage_pic_prepare();
	stage_pic_unmask(STAGE_PIC_TIMER);
	start_timer();
	stage_cpu_set_handler(STAGE_PIC_VECTOR + STAGE_PIC_TIMER, on_timer);
	uint64_t deadline = stage_deadline_after_us(5000);
	stage_interrupts_on();
	while (!timer_came && !stage_deadline_passed(deadline))
		stage_pause();
	stage_interrupts_off();
	stage_outb(PIT_CONTROL, PIT0_ONE_SHOT);
	if (timer_came)
		wake = WAKE_PIT;
}

STAGE_BOOT_TEXT void stage_idle_anew(void)
{
	stage_pic_reset();
	stage_outb(PIT_CONTROL, PIT0_ONE_SHOT);
	timer_came = false;
	wake = WAKE_UNKNOWN;
}

STAGE_BOOT_TEXT void stage_clock_idle(void)
{
	if (wake == WAKE_UNKNOWN)
		find_wake();
	if (wake == WAKE_NONE) {
		stage_pause();
		return;
	}
	start_timer();
	stage_wait_for_interrupt();
	stage_outb(PIT_CONTROL, PIT0_ONE_SHOT);
}

void stage_idle(void)
{
	stage_boot.face->idle();
}

void stage_sleep_us(uint64_t us)
{
	enum { SPIN_US = 1000 };
	uint64_t deadline = stage_deadline_after_us(us);
	while (!stage_deadline_passed(deadline)) {
		if (us > SPIN_US)
			stage_idle();
		else
			stage_pause();
	}
}
