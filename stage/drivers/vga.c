/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "vga.h"

#include "stage/boot.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/pages.h"

#include <string.h>

enum {
	COLUMNS = 80,
	ROWS = 25,
	COLOUR = 0x0700,
	TAB = 8,
	BIOS_MODE = 0x449,
	BIOS_COLUMNS = 0x44a,
	BIOS_CURSOR = 0x450,
	MODE_TEXT_COLOUR = 3, /* BIOS data area */
	CRTC_INDEX = 0x3d4,
	CRTC_DATA = 0x3d5,
	CRTC_CURSOR_HIGH = 14,
	CRTC_CURSOR_LOW = 15,
};
#define TEXT_PHYS 0xb8000

static unsigned row, column;

static volatile uint16_t *cells(void)
{
	return stage_phys_to_virt(TEXT_PHYS);
}

/* Memory answers there, not an open bus. */
static bool answers(void)
{
	volatile uint16_t *cell = cells();
	uint16_t before = *cell;
	*cell = 0x0755;
	bool ok = *cell == 0x0755;
	*cell = 0x07aa;
	ok = ok && *cell == 0x07aa;
	*cell = before;
	return ok;
}

bool stage_vga_is_text(void)
{
	const volatile uint8_t *bios = stage_phys_to_virt(0);
	return bios[BIOS_MODE] == MODE_TEXT_COLOUR && bios[BIOS_COLUMNS] == COLUMNS && answers();
}

bool stage_vga_open(unsigned unit, const char *options)
{
	(void)unit;
	(void)options;
	const struct chain_framebuffer *fb = &stage_bootinfo()->framebuffer;
	const volatile uint8_t *bios = stage_phys_to_virt(0);
	if ((fb->phys && fb->type != CHAIN_FRAMEBUFFER_TEXT) || !stage_vga_is_text())
		return false;
	column = 0;
	row = bios[BIOS_CURSOR + 1] < ROWS ? bios[BIOS_CURSOR + 1] : ROWS - 1; /* go on where the firmware stopped */
	return true;
}

static void new_line(void)
{
	volatile uint16_t *cell = cells();
	column = 0;
	if (++row < ROWS)
		return;
	row = ROWS - 1;
	for (unsigned i = 0; i < COLUMNS * (ROWS - 1); i++)
		cell[i] = cell[i + COLUMNS];
	for (unsigned i = COLUMNS * (ROWS - 1); i < COLUMNS * ROWS; i++)
		cell[i] = COLOUR | ' ';
}

static void put(char c)
{
	if (c == '\n') {
		new_line();
	} else if (c == '\r') {
		column = 0;
	} else if (c == '\t') {
		column = (column + TAB) & ~(unsigned)(TAB - 1);
	} else {
		cells()[row * COLUMNS + column] = (uint16_t)(COLOUR | (uint8_t)c);
		column++;
	}
	if (column >= COLUMNS)
		new_line();
}

static void move_cursor(void)
{
	unsigned at = row * COLUMNS + column;
	volatile uint8_t *bios = stage_phys_to_virt(0);
	stage_outb(CRTC_INDEX, CRTC_CURSOR_LOW);
	stage_outb(CRTC_DATA, (uint8_t)at);
	stage_outb(CRTC_INDEX, CRTC_CURSOR_HIGH);
	stage_outb(CRTC_DATA, (uint8_t)(at >> 8));
	bios[BIOS_CURSOR] = (uint8_t)column; /* for the next kernel that goes on where this one stopped */
	bios[BIOS_CURSOR + 1] = (uint8_t)row;
}

void stage_vga_write(unsigned unit, const char *bytes, uint64_t count)
{
	(void)unit;
	for (uint64_t i = 0; i < count; i++)
		put(bytes[i]);
	move_cursor();
}
