/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "serial.h"

#include "stage/cpu.h"

#include <stddef.h>

enum {
	DATA = 0,
	INTERRUPTS = 1,
	FIFO = 2,
	LINE = 3,
	MODEM = 4,
	STATUS = 5,
	SCRATCH = 7,
	LINE_8N1 = 3,
	LINE_DIVISOR = 0x80,
	FIFO_ON = 0xc7,
	MODEM_READY = 0x0b,
	STATUS_EMPTY = 0x20,
	BASE_RATE = 115200,
	UNITS = 4,
	POLLS = 200 * 1000,
	STUCK_MAX = 4,
};

static const uint16_t ports[UNITS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
static uint8_t stuck[UNITS]; /* bytes in a row that found no room: at STUCK_MAX the line is given up */

static bool is_there(uint16_t port)
{
	static const uint8_t patterns[] = { 0x5a, 0xa5 };
	for (size_t i = 0; i < sizeof(patterns); i++) {
		stage_outb((uint16_t)(port + SCRATCH), patterns[i]);
		if (stage_inb((uint16_t)(port + SCRATCH)) != patterns[i])
			return false;
	}
	return stage_inb((uint16_t)(port + STATUS)) != 0xff;
}

/* Not strtoul: it alone is two of a small kernel's KiB. 0 where the text is no rate. */
static unsigned parse_rate(const char *text)
{
	unsigned rate = 0;
	for (; *text >= '0' && *text <= '9' && rate <= BASE_RATE; text++)
		rate = rate * 10 + (unsigned)(*text - '0');
	return *text || rate > BASE_RATE ? 0 : rate;
}

bool stage_serial_open(unsigned unit, const char *options)
{
	uint16_t port = ports[unit];
	unsigned rate = *options ? parse_rate(options) : BASE_RATE;
	if (!rate || !is_there(port))
		return false;
	unsigned divisor = BASE_RATE / rate;
	if (divisor > 0xffff)
		return false;
	stage_outb((uint16_t)(port + INTERRUPTS), 0);
	stage_outb((uint16_t)(port + LINE), LINE_8N1 | LINE_DIVISOR);
	stage_outb((uint16_t)(port + DATA), (uint8_t)divisor);
	stage_outb((uint16_t)(port + INTERRUPTS), (uint8_t)(divisor >> 8));
	stage_outb((uint16_t)(port + LINE), LINE_8N1);
	stage_outb((uint16_t)(port + FIFO), FIFO_ON);
	stage_outb((uint16_t)(port + MODEM), MODEM_READY);
	stuck[unit] = 0;
	return true;
}

static void put(unsigned unit, char c)
{
	uint16_t port = ports[unit];
	if (stuck[unit] >= STUCK_MAX)
		return;
	for (unsigned i = 0; i < POLLS; i++) {
		if (stage_inb((uint16_t)(port + STATUS)) & STATUS_EMPTY) {
			stage_outb(port, (uint8_t)c);
			stuck[unit] = 0;
			return;
		}
		stage_pause();
	}
	stuck[unit]++;
}

void stage_serial_write(unsigned unit, const char *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (bytes[i] == '\n')
			put(unit, '\r');
		put(unit, bytes[i]);
	}
}
