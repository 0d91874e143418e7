/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/pic.h"

#include "stage/instructions.h"

#include <stddef.h>

enum {
	FIRST = 0x20,
	SECOND = 0xa0,
	MASK = 1, /* ports */
	START = 0x11,
	MODE_8086 = 1,
	CASCADE_LINE = 2,
	CASCADE_MASK = 1 << CASCADE_LINE,
	END = 0x20,
	READ_IN_SERVICE = 0x0b,
	ALL = 0xff,
	LINES = 8,
	SPURIOUS_LINE = 7,
};

static bool prepared, present;

void stage_pic_reset(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {
		{ FIRST, START },
		{ SECOND, START },
		{ FIRST + MASK, STAGE_PIC_VECTOR },
		{ SECOND + MASK, STAGE_PIC_VECTOR + LINES },
		{ FIRST + MASK, CASCADE_MASK },
		{ SECOND + MASK, CASCADE_LINE },
		{ FIRST + MASK, MODE_8086 },
		{ SECOND + MASK, MODE_8086 },
		{ SECOND + MASK, ALL },
		{ FIRST + MASK, ALL & ~CASCADE_MASK }, /* nothing comes that way; an empty bus reads as all ones */
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		stage_outb(words[i].port, words[i].value);
	present = stage_inb(FIRST + MASK) == (uint8_t)(ALL & ~CASCADE_MASK);
	stage_outb(FIRST + MASK, ALL);
	prepared = true;
}

void stage_pic_prepare(void)
{
	if (!prepared)
		stage_pic_reset();
}

void stage_pic_unmask(uint8_t line)
{
	stage_outb(FIRST + MASK, (uint8_t)(ALL & ~(1u << line)));
}

static bool in_service(unsigned line)
{
	uint16_t port = line < LINES ? FIRST : SECOND;
	stage_outb(port, READ_IN_SERVICE);
	return stage_inb(port) >> line % LINES & 1;
}

bool stage_pic_has(uint8_t vector)
{
	unsigned line = (unsigned)vector - STAGE_PIC_VECTOR;
	return present && line < STAGE_PIC_LINES && (line % LINES == SPURIOUS_LINE || in_service(line));
}

void stage_pic_end(uint8_t vector)
{
	unsigned line = (unsigned)vector - STAGE_PIC_VECTOR;
	bool real = line % LINES != SPURIOUS_LINE || in_service(line);
	if (real && line >= LINES)
		stage_outb(SECOND, END);
	if (real || line >= LINES) /* what the second one sends in vain the first one has passed on */
		stage_outb(FIRST, END);
}
