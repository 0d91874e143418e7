/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Consoles that are missing, stuck or left in an odd state: text is swallowed, nothing waits for good, and nothing else
 * is written to. */
#include "fake_machine.h"

#include "stage/drivers/serial.h"
#include "stage/drivers/vga.h"
#include "stage/console.h"

#include <cmocka.h>

enum { LOW_BYTES = 0x100000, TEXT_AT = 0xb8000, TEXT_BYTES = 80 * 25 * 2, COM1 = 0x3f8, BDA = 0x400 };

static const struct stage_face booted = { .owns_machine = true, .write = stage_console_put };
static uint8_t low[LOW_BYTES];
static struct chain_bootinfo info;

void *stage_phys_to_virt(uint64_t phys)
{
	assert_true(phys < LOW_BYTES);
	return low + phys;
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

struct chain_bootinfo *stage_bootinfo(void)
{
	return &info;
}

/* --- serial --- */

static struct {
	uint8_t scratch, line;
	bool there, stuck, debug;
	char text[4096];
	size_t bytes;
	unsigned long reads;
} uart;

static uint32_t uart_in(uint16_t port, unsigned width)
{
	assert_int_equal(width, 1);
	if (port == 0xe9)
		return uart.debug ? 0xe9 : 0xff;
	if (!uart.there || port < COM1 || port > COM1 + 7)
		return 0xff;
	uart.reads++;
	return port == COM1 + 7 ? uart.scratch : port == COM1 + 5 ? (uart.stuck ? 0 : 0x60) : 0;
}

static void uart_out(uint16_t port, uint32_t value, unsigned width)
{
	(void)width;
	if (port == COM1 + 7)
		uart.scratch = (uint8_t)value;
	if (port == COM1 + 3)
		uart.line = (uint8_t)value;
	if (((port == COM1 && !(uart.line & 0x80)) || port == 0xe9) && uart.bytes < sizeof(uart.text))
		uart.text[uart.bytes++] = (char)value;
}

static void attach(bool there)
{
	memset(&uart, 0, sizeof(uart));
	uart.there = there;
	fake_machine.in = uart_in;
	fake_machine.out = uart_out;
}

static void a_missing_port_is_not_opened(void **state)
{
	(void)state;
	attach(false);
	for (unsigned unit = 0; unit < 4; unit++)
		assert_false(stage_serial_open(unit, ""));
	attach(true);
	assert_true(stage_serial_open(0, ""));
	assert_false(stage_serial_open(1, ""));
	static const char *const rates[] = {
		"0", "-1", "115201", "999999999999999999999", "9600x", " 9600", "1"
	}; /* 1: a divisor of 17 bits */
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		assert_false(stage_serial_open(0, rates[i]));
	assert_true(stage_serial_open(0, "2"));
	assert_true(stage_serial_open(0, "9600"));
}

static void a_stuck_port_is_dropped(void **state)
{
	static const char text[] = "a line\n";

	(void)state;
	attach(true);
	assert_true(stage_serial_open(0, ""));
	stage_serial_write(0, text, sizeof(text) - 1);
	assert_memory_equal(uart.text, "a line\r\n", 8);
	uart.stuck = true;
	uart.reads = 0;
	for (int i = 0; i < 100; i++)
		stage_serial_write(0, text, sizeof(text) - 1);
	assert_true(uart.reads < 1000000); /* bounded, whatever is written */
	assert_int_equal(uart.bytes, 8);
}

/* --- the screen --- */

static void screen(uint8_t row, uint8_t column)
{
	memset(low, 0x6b, sizeof(low));
	low[BDA + 0x49] = 3;
	low[BDA + 0x4a] = 80;
	low[BDA + 0x50] = column;
	low[BDA + 0x51] = row;
	info = (struct chain_bootinfo){ .cpus = 1 };
	fake_machine.in = NULL;
	fake_machine.out = NULL;
}

static void other_modes_are_left_alone(void **state)
{
	(void)state;
	screen(0, 0);
	assert_true(stage_vga_open(0, ""));
	low[BDA + 0x49] = 0x13;
	assert_false(stage_vga_open(0, ""));
	screen(0, 0);
	low[BDA + 0x4a] = 40;
	assert_false(stage_vga_open(0, ""));
	screen(0, 0);
	info.framebuffer = (struct chain_framebuffer){ .phys = 0xfd000000, .type = 1 };
	assert_false(stage_vga_open(0, ""));
}

/* Any bytes, wherever the firmware left the cursor: only the screen's cells and the cursor's two bytes change. */
static void text_stays_on_the_screen(void **state)
{
	uint32_t seed = 31;

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		char text[700];
		screen((uint8_t)(round * 7), (uint8_t)(round * 13));
		assert_true(stage_vga_open(0, ""));
		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = seed >> 24 < 40 ? "\n\r\t"[seed >> 8 & 1 ? 0 :
							     seed >> 9 & 1 ? 1 :
									     2] :
						    (char)(seed >> 16);
		}
		for (size_t at = 0, piece; at < sizeof(text); at += piece) {
			piece = 1 + (round + at) % 90;
			if (piece > sizeof(text) - at)
				piece = sizeof(text) - at;
			stage_vga_write(0, text + at, piece);
			assert_true(low[BDA + 0x50] < 80 && low[BDA + 0x51] < 25);
		}
		low[BDA + 0x49] = low[BDA + 0x4a] = low[BDA + 0x50] = low[BDA + 0x51] = 0x6b;
		memset(low + TEXT_AT, 0x6b, TEXT_BYTES);
		assert_true(low[0] == 0x6b && !memcmp(low, low + 1, sizeof(low) - 1));
	}
}

/* --- both, and records --- */

static void names_are_taken_or_refused(void **state)
{
	static const struct {
		const char *name;
		bool known;
	} names[] = {
		{ "com1", true },  { "com1,115200", true }, { "com2", true },  { "com4,9600", true },
		{ "vga", true },   { "none", true },        { "", false },     { "com5", false },
		{ "com", false },  { "com11", false },      { "COM1", false }, { ",", false },
		{ "vgaa", false }, { "none,1", false },
	};

	(void)state;
	attach(true);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(stage_console_add(names[i].name), names[i].known);
	stage_console_clear();
	for (int i = 0; i < 50; i++)
		assert_true(stage_console_add("com1")); /* once is enough */
	uart.bytes = 0;
	stage_console_write("x", 1);
	assert_int_equal(uart.bytes, 1);
	stage_console_write("", 0);
	assert_int_equal(uart.bytes, 1);
}

static void records_begin_a_line(void **state)
{
	(void)state;
	attach(true);
	stage_console_clear();
	assert_true(stage_console_add("com1"));
	uart.bytes = 0;
	stage_console_write("text", 4);
	stage_record("{}", 2);
	stage_record("{}", 2);
	stage_record_parts((const char *const[]){ "{\"a\"", "", ":1}" }, 3);
	assert_memory_equal(uart.text, "text\r\n@kchain {}\r\n@kchain {}\r\n@kchain {\"a\":1}\r\n", 47);
	assert_int_equal(uart.bytes, 47);
}

/* --- in a called kernel --- */

static uint64_t asked, taken;

static uint64_t stingy(uint64_t service, uint64_t first, uint64_t second)
{
	assert_int_equal(service, KCHAIN_SERVICE_WRITE);
	assert_true(second > 0 && second <= 4096 && *(const char *)first == 'y');
	asked++;
	taken += second;
	return asked > 3 ? UINT64_MAX : second;
}

static void a_caller_that_refuses_is_not_asked_again(void **state)
{
	static const struct kchain_call call = { .abi = KCHAIN_NATIVE_ABI };
	static char text[10000];

	(void)state;
	memset(text, 'y', sizeof(text));
	stage_boot.call = &call;
	stage_boot.face = &stage_called_face;
	fake_machine.service = stingy;
	stage_console_write(text, sizeof(text));
	stage_boot.call = &stage_no_call;
	stage_boot.face = &booted;
	assert_int_equal(asked, 4);
	assert_true(taken < sizeof(text));
}

int main(void)
{
	stage_boot.face = &booted;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_port_is_not_opened),
		cmocka_unit_test(a_stuck_port_is_dropped),
		cmocka_unit_test(other_modes_are_left_alone),
		cmocka_unit_test(text_stays_on_the_screen),
		cmocka_unit_test(names_are_taken_or_refused),
		cmocka_unit_test(records_begin_a_line),
		cmocka_unit_test(a_caller_that_refuses_is_not_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
