/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/console.h"

#include "stage/drivers/serial.h"
#include "stage/boot.h"
#include "stage/cpu.h"
#include "abi/native.h"
#include "stage/drivers/vga.h"

#include <string.h>

enum { DEBUG_PORT = 0xe9, PARTS_MAX = 4 };

/* What a console's name may begin with. */
static const struct {
	const char *name;
	bool (*open)(unsigned unit, const char *options);
	void (*write)(unsigned unit, const char *bytes, uint64_t count);
	unsigned unit;
} kinds[] = {
	{ "com1", stage_serial_open, stage_serial_write, 0 }, { "com2", stage_serial_open, stage_serial_write, 1 },
	{ "com3", stage_serial_open, stage_serial_write, 2 }, { "com4", stage_serial_open, stage_serial_write, 3 },
	{ "vga", stage_vga_open, stage_vga_write, 0 },
};

static size_t parts[PARTS_MAX], part_count;
static bool chosen, midline;

void stage_console_clear(void)
{
	part_count = 0;
	chosen = true;
}

static bool is_open(size_t kind)
{
	for (size_t i = 0; i < part_count; i++)
		if (parts[i] == kind)
			return true;
	return false;
}

static bool add(const char *name)
{
	size_t bytes = strcspn(name, ",");
	const char *options = name[bytes] ? name + bytes + 1 : "";
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strlen(kinds[k].name) != bytes || memcmp(kinds[k].name, name, bytes) != 0)
			continue;
		if (stage_boot.face->owns_machine && kinds[k].open(kinds[k].unit, options) && part_count < PARTS_MAX &&
		    !is_open(k))
			parts[part_count++] = k;
		return true;
	}
	return !strcmp(name, "none");
}

bool stage_console_add(const char *name)
{
	if (!chosen)
		stage_console_clear();
	return add(name);
}

bool stage_console_is_open(void)
{
	return !stage_boot.face->owns_machine || !chosen || part_count;
}

STAGE_BOOT_TEXT void stage_console_put(const char *bytes, uint64_t count)
{
	if (!chosen) {
		chosen = true;
		add("com1");
		add("vga");
	}
	for (size_t i = 0; i < part_count; i++)
		kinds[parts[i]].write(kinds[parts[i]].unit, bytes, count);
	midline = bytes[count - 1] != '\n';
}

void stage_console_write(const char *bytes, uint64_t count)
{
	if (count)
		stage_boot.face->write(bytes, count);
}

/* Bochs and QEMU: reading the port gives its own number where it is there. */
static bool has_debug_port(void)
{
	static int known;
	if (!known)
		known = stage_boot.face->owns_machine && stage_inb(DEBUG_PORT) == DEBUG_PORT ? 1 : -1;
	return known > 0;
}

/* A kernel that was booted may be an isolated one, which has no string output (docs/PIPELINE.md). */
STAGE_BOOT_TEXT static void put_to_port(const char *bytes, uint64_t count)
{
	if ((uint64_t)stage_image_start == KCHAIN_STAGE_VIRT)
		stage_outs(DEBUG_PORT, bytes, count);
	else
		for (uint64_t i = 0; i < count; i++)
			stage_outb(DEBUG_PORT, (uint8_t)bytes[i]);
}

static void begin_on_console(void)
{
	static const char mark[] = "\n@kchain ";
	stage_console_write(mark + !midline, sizeof(mark) - 1 - !midline);
}

void stage_record(const char *json, uint64_t count)
{
	if (has_debug_port()) {
		put_to_port(json, count);
		put_to_port("\n", 1);
		return;
	}
	begin_on_console();
	stage_console_write(json, count);
	stage_console_write("\n", 1);
}

void stage_record_parts(const char *const *texts, size_t count)
{
	void (*put)(const char *bytes, uint64_t count) = has_debug_port() ? put_to_port : stage_console_write;
	if (put == stage_console_write)
		begin_on_console();
	for (size_t i = 0; i < count; i++)
		if (*texts[i])
			put(texts[i], strlen(texts[i]));
	put("\n", 1);
}
