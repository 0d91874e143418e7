/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "svm_clocks.h"

#include "stage/cpu/pit.h"

#include <stddef.h>

/* --- the timer --- */

enum {
	PORT_B = 0x61,
	PORT_B_GATE2 = 1,
	PORT_B_KEPT = 3,
	PORT_B_REFRESH = 0x10,
	PORT_B_OUT2 = 0x20,
	REFRESH_TICKS = 18, /* 15 us */
	DECIMAL = 1,
	ACCESS_LOW = 0x10,
	ACCESS_BOTH = 0x30,
	READ_BACK = 3,
	READ_BACK_NO_COUNT = 0x20,
	READ_BACK_NO_STATUS = 0x10,
	STATUS_OUT = 0x80,
	STATUS_NO_COUNT = 0x40,
	FULL = 0x10000,
	BIOS_RATE = 0x36, /* mode 3, low then high byte */
};

void svm_pit_reset(struct svm_pit *pit)
{
	*pit = (struct svm_pit){ .channels[0] = { .control = BIOS_RATE, .reload = FULL, .counting = true } };
}

static uint64_t ticks_at(const struct svm_clocks *clocks, uint64_t tsc)
{
	uint64_t hz = (uint64_t)clocks->tsc_khz * 1000;
	return tsc / hz * PIT_HZ + tsc % hz * PIT_HZ / hz;
}

/* Modes 6 and 7 are 2 and 3. */
static unsigned mode_of(const struct svm_pit_channel *c)
{
	unsigned mode = c->control >> 1 & 7;
	return mode > 5 ? mode - 4 : mode;
}

static uint64_t counted(const struct svm_pit_channel *c, uint64_t now)
{
	return c->counting ? now - c->start : c->start;
}

/* Mode 3 counts by two; an odd count is rounded down, and 1 is taken for the least that goes. */
static uint32_t even(uint32_t reload)
{
	return reload > 1 ? reload & ~1u : 2;
}

static uint16_t count_of(const struct svm_pit_channel *c, uint64_t now)
{
	uint64_t n = counted(c, now);
	if (!c->reload)
		return 0;
	switch (mode_of(c)) {
	case 2:
		return (uint16_t)(c->reload - n % c->reload);
	case 3:
		return (uint16_t)(even(c->reload) - 2 * n % even(c->reload));
	default:
		return (uint16_t)(c->reload - n);
	}
}

static bool output_of(const struct svm_pit_channel *c, uint64_t now)
{
	uint64_t n = counted(c, now);
	switch (mode_of(c)) {
	case 0:
		return c->reload && n >= c->reload;
	case 1:
		return !c->counting || n >= c->reload;
	case 2:
		return !c->counting || n % c->reload != c->reload - 1;
	case 3:
		return !c->counting || !(2 * n / even(c->reload) & 1);
	default:
		return !c->counting || n != c->reload;
	}
}

static void latch(struct svm_pit_channel *c, uint64_t now)
{
	if (!c->latched)
		c->latch = count_of(c, now);
	c->latched = true;
}

static void latch_status(struct svm_pit_channel *c, uint64_t now)
{
	if (!c->status_latched)
		c->status = (uint8_t)(c->control | (output_of(c, now) ? STATUS_OUT : 0) |
				      (c->reload ? 0 : STATUS_NO_COUNT));
	c->status_latched = true;
}

static const char *control_out(struct svm_pit *pit, uint8_t value, uint64_t now)
{
	if (value >> 6 == READ_BACK) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(value >> (i + 1) & 1))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch(&pit->channels[i], now);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&pit->channels[i], now);
		}
		return NULL;
	}
	struct svm_pit_channel *c = &pit->channels[value >> 6];
	if (!(value & ACCESS_BOTH))
		latch(c, now);
	else if (value & DECIMAL)
		return "the PIT, counting in decimal";
	else
		*c = (struct svm_pit_channel){ .control = value & 0x3e };
	return NULL;
}

/* The gates of channels 0 and 1 are always open. Modes 1 and 5 begin when a gate opens, and go on when it closes. */
static bool is_triggered(const struct svm_pit_channel *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

static void count_out(struct svm_pit_channel *c, uint8_t value, bool gate, uint64_t now)
{
	unsigned access = c->control & ACCESS_BOTH;
	if (access == ACCESS_BOTH && !c->low_written) {
		c->low = value;
		c->low_written = true;
		return;
	}
	c->low_written = false;
	uint32_t count = access == ACCESS_LOW ? value : (uint32_t)value << 8 | (access == ACCESS_BOTH ? c->low : 0);
	c->reload = count ? count : FULL;
	c->counting = gate && !is_triggered(c);
	c->start = c->counting ? now : 0;
}

static uint8_t count_in(struct svm_pit_channel *c, uint64_t now)
{
	unsigned access = c->control & ACCESS_BOTH;
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	uint16_t count = c->latched ? c->latch : count_of(c, now);
	bool high = access == ACCESS_BOTH ? c->low_read : access != ACCESS_LOW;
	c->low_read = access == ACCESS_BOTH && !high;
	c->latched = c->latched && c->low_read;
	return (uint8_t)(high ? count >> 8 : count);
}

static void gate_out(struct svm_pit_channel *c, bool open, uint64_t now)
{
	if (!c->reload || (is_triggered(c) && !open))
		return;
	if (open) /* modes 0 and 4 go on, the others begin anew */
		c->start = mode_of(c) % 4 ? now : now - c->start;
	else
		c->start = counted(c, now);
	c->counting = open;
}

const char *svm_pit_out(struct svm_pit *pit, const struct svm_clocks *clocks, uint16_t port, uint8_t value,
			uint64_t tsc)
{
	uint64_t now = ticks_at(clocks, tsc);
	if (port == PIT_CONTROL)
		return control_out(pit, value, now);
	if (port == PORT_B) {
		if ((pit->port_b ^ value) & PORT_B_GATE2)
			gate_out(&pit->channels[2], value & PORT_B_GATE2, now);
		pit->port_b = value & PORT_B_KEPT;
		return NULL;
	}
	unsigned i = port - PIT_CHANNEL0;
	count_out(&pit->channels[i], value, i < 2 || pit->port_b & PORT_B_GATE2, now);
	return NULL;
}

uint8_t svm_pit_in(struct svm_pit *pit, const struct svm_clocks *clocks, uint16_t port, uint64_t tsc)
{
	uint64_t now = ticks_at(clocks, tsc);
	if (port == PORT_B)
		return (uint8_t)(pit->port_b | (now / REFRESH_TICKS & 1 ? PORT_B_REFRESH : 0) |
				 (output_of(&pit->channels[2], now) ? PORT_B_OUT2 : 0));
	return port == PIT_CONTROL ? 0xff : count_in(&pit->channels[port - PIT_CHANNEL0], now);
}

/* --- the clock --- */

static uint8_t decimal(uint8_t value)
{
	return (uint8_t)(value / 10 << 4 | value % 10);
}

/* Status register A: an update is announced 244 us before (MC146818, "Update Cycle"). */
static uint8_t status_a(uint64_t hz, uint64_t passed)
{
	enum { RATES = 0x26 };
	return passed % hz >= hz - hz / 4096 ? RATES | RTC_UPDATING : RATES;
}

bool svm_rtc_in(const struct svm_clocks *clocks, uint8_t index, uint64_t tsc, uint8_t *out)
{
	enum { CENTURY = 0x20, MEMORY_VALID = 0x80 };
	uint64_t hz = (uint64_t)clocks->tsc_khz * 1000;
	uint64_t passed = tsc > clocks->time_tsc ? tsc - clocks->time_tsc : 0; /* on another processor it was read */
	struct stage_rtc t = clocks->time;
	if (!clocks->has_time)
		return false;
	stage_rtc_advance(&t, passed / hz);
	const uint8_t registers[] = {
		decimal(t.second),
		0,
		decimal(t.minute),
		0,
		decimal(t.hour),
		0,
		decimal(t.weekday),
		decimal(t.day),
		decimal(t.month),
		decimal(t.year),
		status_a(hz, passed),
		RTC_24_HOURS,
		0,
		MEMORY_VALID,
	};
	if (index == RTC_CENTURY)
		*out = CENTURY;
	else if (index < sizeof(registers))
		*out = registers[index];
	else
		return false;
	return true;
}
