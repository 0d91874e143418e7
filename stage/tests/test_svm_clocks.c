/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The timer and the clock of an isolated kernel, and the machine's clock, which the latter begins with. */

#include "stage/dispatch/svm/svm_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "svm_ports.h"

static uint64_t tsc;

uint64_t stage_rdtsc(void)
{
	return tsc;
}

/* A machine whose TSC counts 500 times for each tick of the timer. */
static const struct svm_clocks clocks = {
	.tsc_khz = 596591,
	.has_time = true,
	.time_tsc = 123456789,
	.time = { 58, 59, 23, 4, 28, 2, 24 },
};

static void drop_text(void *ctx, const char *bytes, uint64_t count)
{
	(void)ctx;
	(void)bytes;
	(void)count;
}

static struct svm_machine *machine(void)
{
	static struct svm_machine m;
	memset(&m, 0xee, sizeof(m)); /* whatever ran before */
	m.write = drop_text;
	m.ctx = NULL;
	m.clocks = &clocks;
	svm_machine_reset(&m);
	return &m;
}

/* Its low byte is read first. */
static unsigned word(struct svm_machine *m, uint16_t port)
{
	unsigned low = in(m, port, 1);
	return low | in(m, port, 1) << 8;
}

/* --- the timer --- */

enum { TICK = 500, CONTROL = 0x43, PORT_B = 0x61 };

static void load(struct svm_machine *m, unsigned channel, unsigned mode, uint16_t reload)
{
	assert_int_equal(out(m, CONTROL, 1, channel << 6 | 0x30 | mode << 1), SVM_GO_ON);
	out(m, (uint16_t)(0x40 + channel), 1, reload & 0xff);
	out(m, (uint16_t)(0x40 + channel), 1, reload >> 8);
}

static unsigned latched(struct svm_machine *m, unsigned channel)
{
	out(m, CONTROL, 1, channel << 6);
	tsc += 1000 * TICK; /* it does not matter when it is read */
	unsigned count = word(m, (uint16_t)(0x40 + channel));
	tsc -= 1000 * TICK;
	return count;
}

static bool output(struct svm_machine *m, unsigned channel)
{
	out(m, CONTROL, 1, 0xe0 | 2u << channel);
	return in(m, (uint16_t)(0x40 + channel), 1) >> 7;
}

/* What the data sheet draws for each mode, by counting. */
static void a_timer_counts_in_every_mode(void **state)
{
	static const unsigned reloads[] = { 2, 3, 4, 7, 100, 11931, 65535, 65536 };
	(void)state;
	for (unsigned mode = 0; mode < 8; mode++) {
		for (size_t r = 0; r < sizeof(reloads) / sizeof(reloads[0]); r++) {
			struct svm_machine *m = machine();
			unsigned reload = reloads[r], n = 0, even = reload & ~1u, is = mode > 5 ? mode - 4 : mode;
			if (is == 1 || is == 5)
				continue;
			tsc = 123456789;
			load(m, 0, mode, (uint16_t)reload);
			for (n = 0; n < 3 * reload; n += 1 + reload / 100, tsc = 123456789 + n * TICK) {
				unsigned wanted = is == 2 ? reload - n % reload :
						  is == 3 ? even - 2 * n % even :
							    reload - n;
				assert_int_equal(latched(m, 0), wanted & 0xffff);
				bool high = is == 0 ? n >= reload :
					    is == 2 ? n % reload != reload - 1 :
					    is == 3 ? n / (even / 2) % 2 == 0 :
						      n != reload;
				assert_int_equal(output(m, 0), high);
			}
		}
	}
}

static void a_gate_holds_the_second_channel(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 6; mode++) {
		struct svm_machine *m = machine();
		bool triggered = mode == 1 || mode == 5, goes_on = mode == 0 || mode == 4;
		tsc = 99999;
		load(m, 2, mode, 1000);
		tsc += 500 * TICK;
		assert_int_equal(latched(m, 2), 1000); /* the gate is closed */
		out(m, PORT_B, 1, 1);
		tsc += 100 * TICK;
		assert_int_equal(latched(m, 2), mode == 3 ? 800 : 900);
		out(m, PORT_B, 1, 2);
		tsc += 100 * TICK;
		assert_int_equal(latched(m, 2), mode == 3 ? 800 : triggered ? 800 : 900);
		assert_int_equal(in(m, PORT_B, 1) & 3, 2);
		out(m, PORT_B, 1, 3);
		assert_int_equal(latched(m, 2), goes_on ? 900 : 1000);
		tsc += 100 * TICK;
		assert_int_equal(latched(m, 2), goes_on ? 800 : mode == 3 ? 800 : 900);
	}
}

/* As clocks are calibrated by channel 2: its output shows in port 0x61 when the count is over, not before. */
static void an_end_of_counting_is_seen(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	out(m, PORT_B, 1, 1);
	load(m, 2, 0, 11932);
	for (unsigned n = 0; n < 20000; n++, tsc += TICK)
		assert_int_equal(in(m, PORT_B, 1) >> 5 & 1, n >= 11932);
	unsigned flips = 0, last = in(m, PORT_B, 1) & 0x10;
	for (unsigned n = 0; n < 11932; n++, tsc += TICK) {
		flips += (in(m, PORT_B, 1) & 0x10) != last;
		last = in(m, PORT_B, 1) & 0x10;
	}
	assert_true(flips > 650 && flips < 670); /* memory is refreshed every 15 us */
}

static void bytes_of_a_count_come_in_turn(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	out(m, CONTROL, 1, 0x90); /* channel 2, low byte, mode 0; its gate is closed */
	out(m, 0x42, 1, 0x34);
	assert_int_equal(word(m, 0x42), 0x3434);
	out(m, CONTROL, 1, 0xa0); /* high byte */
	out(m, 0x42, 1, 0x12);
	assert_int_equal(word(m, 0x42), 0x1212);
	assert_int_equal(latched(m, 2), 0x1212);
	load(m, 2, 0, 0x1234);
	assert_int_equal(word(m, 0x42), 0x1234);
	out(m, CONTROL, 1, 0xc8); /* read back: count and status of channel 2 */
	assert_int_equal(in(m, 0x42, 1), 0x30);
	assert_int_equal(word(m, 0x42), 0x1234);
	assert_int_equal(in(m, 0x42, 1), 0x34);
	out(m, CONTROL, 1, 0xb0); /* in the middle: the first byte comes next */
	out(m, 0x42, 1, 0x99);
	out(m, CONTROL, 1, 0xe8);
	assert_int_equal(in(m, 0x42, 1), 0x70); /* no count yet */
	out(m, 0x42, 1, 0x88);
	assert_int_equal(word(m, 0x42), 0x8899);
}

static void a_timer_is_as_the_bios_left_it(void **state)
{
	struct svm_machine *m = machine();
	(void)state;
	out(m, CONTROL, 1, 0xe2);
	assert_int_equal(in(m, 0x40, 1) & 0x7f, 0x36);
	tsc = 65536 / 4 * TICK;
	assert_int_equal(latched(m, 0), 65536 / 2);
	assert_int_equal(latched(m, 1), 0);
	assert_int_equal(in(m, CONTROL, 1), 0xff);
	static const uint16_t ports[] = { 0x40, 0x41, 0x42, 0x43, 0x61 };
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(out(m, ports[i], 2, 0x1234), SVM_NEEDS);
		assert_string_equal(m->what, "the PIT");
	}
	for (unsigned control = 0; control < 256; control++) {
		bool decimal = control < 0xc0 && control & 0x30 && control & 1;
		assert_int_equal(out(m, CONTROL, 1, control), decimal ? SVM_NEEDS : SVM_GO_ON);
		assert_true(!decimal || !strcmp(m->what, "the PIT, counting in decimal"));
	}
}

/* --- the clock --- */

static unsigned cmos(struct svm_machine *m, uint8_t index)
{
	out(m, 0x70, 1, index);
	return in(m, 0x71, 1);
}

static void a_clock_shows_the_date_and_goes_on(void **state)
{
	static const struct {
		unsigned after;
		uint8_t second, minute, hour, weekday, day, month, year;
	} rows[] = {
		{ 0, 0x58, 0x59, 0x23, 4, 0x28, 2, 0x24 },
		{ 1, 0x59, 0x59, 0x23, 4, 0x28, 2, 0x24 },
		{ 2, 0, 0, 0, 5, 0x29, 2, 0x24 },
		{ 86402, 0, 0, 0, 6, 1, 3, 0x24 },
		{ 86402 + 45296, 0x56, 0x34, 0x12, 6, 1, 3, 0x24 },
		{ 86402 + 306 * 86400, 0, 0, 0, 4, 1, 1, 0x25 },
		{ 86402 + 365 * 86400 - 2, 0x58, 0x59, 0x23, 6, 0x28, 2, 0x25 },
		{ 86402 + 365 * 86400, 0, 0, 0, 7, 1, 3, 0x25 },
	};
	struct svm_machine *m = machine();
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tsc = clocks.time_tsc + (uint64_t)rows[i].after * clocks.tsc_khz * 1000;
		assert_int_equal(cmos(m, 0), rows[i].second);
		assert_int_equal(cmos(m, 0x82), rows[i].minute); /* NMIs masked */
		assert_int_equal(cmos(m, 4), rows[i].hour);
		assert_int_equal(cmos(m, 6), rows[i].weekday);
		assert_int_equal(cmos(m, 7), rows[i].day);
		assert_int_equal(cmos(m, 8), rows[i].month);
		assert_int_equal(cmos(m, 9), rows[i].year);
		assert_int_equal(cmos(m, 0x32), 0x20);
	}
	tsc = clocks.time_tsc - 5; /* another processor's, a little behind */
	assert_int_equal(cmos(m, 0), 0x58);
}

static void an_update_is_announced(void **state)
{
	struct svm_machine *m = machine();
	const uint64_t hz = clocks.tsc_khz * 1000ull;
	(void)state;
	tsc = clocks.time_tsc;
	for (unsigned us = 0; us < 3000000; us += 61, tsc = clocks.time_tsc + us * hz / 1000000) {
		unsigned left = 1000000 - us % 1000000, status = cmos(m, 0xa);
		assert_true(status == 0xa6 ? left < 246 : status == 0x26 && left > 242);
	}
}

static void a_clock_is_read_only(void **state)
{
	(void)state;
	for (unsigned index = 0; index < 256; index++) {
		struct svm_machine *m = machine();
		uint32_t value = 0;
		bool there = (index & 0x7f) < 0xe || (index & 0x7f) == 0x32;
		out(m, 0x70, 1, index);
		assert_int_equal(svm_machine_port(m, true, 0x71, 1, &value), there ? SVM_GO_ON : SVM_NEEDS);
		assert_true(there || !strcmp(m->what, "what the CMOS has beside the time"));
		assert_int_equal(out(m, 0x71, 1, value), SVM_NEEDS);
		assert_string_equal(m->what, "to write to the CMOS");
	}
	struct svm_machine *m = machine();
	const struct svm_clocks none = { .tsc_khz = 1000000 };
	assert_int_equal(in(m, 0x71, 1), 0x80);
	assert_int_equal(cmos(m, 0xb), 2);
	assert_int_equal(cmos(m, 0xc), 0);
	assert_int_equal(in(m, 0x70, 1), 0xff);
	assert_int_equal(out(m, 0x70, 2, 0), SVM_NEEDS);
	m->clocks = &none;
	for (unsigned index = 0; index < 256; index++) {
		uint32_t value = 0;
		out(m, 0x70, 1, index);
		assert_int_equal(svm_machine_port(m, true, 0x71, 1, &value), SVM_NEEDS);
	}
}

/* --- the machine's own --- */

static uint8_t chip[128];
static uint8_t chip_index;
static unsigned updating, reads; /* for so many reads of status A */

void stage_outb(uint16_t port, uint8_t value)
{
	assert_int_equal(port, RTC_INDEX); /* nothing is written to it */
	chip_index = value & 0x7f;
}

uint8_t stage_inb(uint16_t port)
{
	assert_int_equal(port, RTC_DATA);
	reads++;
	if (chip_index != RTC_STATUS_A)
		return chip[chip_index];
	if (!updating)
		return chip[chip_index];
	updating--;
	return chip[chip_index] | RTC_UPDATING;
}

static void set_chip(uint8_t status, uint8_t hour, uint8_t day, uint8_t month, uint8_t year)
{
	static const uint8_t at[] = { 0x58, 0, 0x59, 0, 0, 0, 4, 0, 0, 0, 0x26, 0, 0, 0x80 };
	memset(chip, 0, sizeof(chip));
	memcpy(chip, at, sizeof(at));
	if (status & RTC_BINARY)
		chip[RTC_SECOND] = 58, chip[RTC_MINUTE] = 59;
	chip[RTC_STATUS_B] = status;
	chip[RTC_HOUR] = hour;
	chip[RTC_DAY] = day;
	chip[RTC_MONTH] = month;
	chip[RTC_YEAR] = year;
	updating = reads = 0;
}

static void the_machines_clock_is_read_in_every_form(void **state)
{
	static const struct {
		uint8_t status, hour, day, month, year;
		int is; /* hour and day; -1: no date */
	} rows[] = {
		{ 2, 0x23, 0x28, 0x12, 0x24, 23 * 100 + 28 },
		{ 6, 23, 28, 12, 24, 23 * 100 + 28 },
		{ 0, 0x91, 0x28, 0x12, 0x24, 23 * 100 + 28 },
		{ 4, 0x8b, 28, 12, 24, 23 * 100 + 28 },
		{ 0, 0x12, 0x01, 0x01, 0x00, 1 },
		{ 0, 0x92, 0x01, 0x01, 0x99, 12 * 100 + 1 },
		{ 4, 12, 29, 2, 24, 29 },
		{ 6, 0, 29, 2, 25, -1 },
		{ 2, 0x24, 0x28, 0x12, 0x24, -1 },
		{ 2, 0, 0, 0x12, 0x24, -1 },
		{ 2, 0, 0x31, 0x04, 0x24, -1 },
		{ 2, 0, 0x31, 0x05, 0x24, 31 },
		{ 2, 0, 0x31, 0x13, 0x24, -1 },
		{ 2, 0, 0x31, 0, 0x24, -1 },
		{ 2, 0, 0x01, 0x01, 0xa0, -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stage_rtc t;
		set_chip(rows[i].status, rows[i].hour, rows[i].day, rows[i].month, rows[i].year);
		assert_int_equal(stage_rtc_read(&t), rows[i].is >= 0);
		if (rows[i].is >= 0)
			assert_int_equal(t.hour * 100 + t.day, rows[i].is);
		assert_true(rows[i].is < 0 || (t.second == 58 && t.minute == 59 && t.weekday == 4));
	}
}

static void a_clock_that_is_not_there_or_stands_is_left(void **state)
{
	struct stage_rtc t;
	(void)state;
	set_chip(2, 0, 1, 1, 1);
	updating = 100;
	assert_true(stage_rtc_read(&t));
	set_chip(2, 0, 1, 1, 1);
	updating = UINT32_MAX;
	assert_false(stage_rtc_read(&t));
	assert_true(reads <= 20000);
	memset(chip, 0xff, sizeof(chip));
	updating = reads = 0;
	assert_false(stage_rtc_read(&t));
	assert_int_equal(reads, 1);
	for (unsigned value = 0; value < 255; value++) { /* any byte everywhere */
		memset(chip, (int)value, sizeof(chip));
		updating = 0;
		if (stage_rtc_read(&t))
			assert_true(t.second < 60 && t.minute < 60 && t.hour < 24 && t.month <= 12 && t.day <= 31);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_counts_in_every_mode),
		cmocka_unit_test(a_gate_holds_the_second_channel),
		cmocka_unit_test(an_end_of_counting_is_seen),
		cmocka_unit_test(bytes_of_a_count_come_in_turn),
		cmocka_unit_test(a_timer_is_as_the_bios_left_it),
		cmocka_unit_test(a_clock_shows_the_date_and_goes_on),
		cmocka_unit_test(an_update_is_announced),
		cmocka_unit_test(a_clock_is_read_only),
		cmocka_unit_test(the_machines_clock_is_read_in_every_form),
		cmocka_unit_test(a_clock_that_is_not_there_or_stands_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
