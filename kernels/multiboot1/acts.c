/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A kernel that knows nothing of kchain but how a result is left: plain Multiboot 1, 32-bit, fixed at 1 MiB (or 32),
 * without anybody's runtime. Where its handoff names a mailbox it leaves the result there, else as a record
 * (docs/RECORDS.md). Its first argument names what it does, well or badly; see the table at the end. */

#include "kchain_mailbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HEADER_MAGIC = 0x1badb002,
	SERIAL = 0x3f8,
	DEBUG = 0xe9,
	DEBUG_EXIT = 0xf4,
	CRT_INDEX = 0x3d4,
	OUTSIDE = 0x30000000,
	RESULT = 0 /* instead of a port: part of the result */
};

struct module {
	uint32_t start, end, string, reserved;
};
struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count;
	const struct module *mods;
	uint32_t symbols[4], mmap_bytes, mmap, drives[2], config, loader, apm, vbe[4], screen, screen_high, pitch,
		width, height;
	uint8_t bits, type;
};

#ifdef SCREEN_MODE /* it asks for a screen: 0 for a framebuffer, 1 for text */
__attribute__((section(".header"), used)) static const uint32_t header[] = {
	HEADER_MAGIC, 4, 0u - HEADER_MAGIC - 4, 0, 0, 0, 0, 0, SCREEN_MODE, 1024, 768, 32
};
#else
__attribute__((section(".header"), used)) static const uint32_t header[] = { HEADER_MAGIC, 0, 0u - HEADER_MAGIC };
#endif

uint8_t stack[16384];
static const struct info *info;
static struct kchain_mailbox *mailbox;
static const char *argument;
static uint32_t result_status, result_bytes;
static uint32_t touched; /* in .bss: zero at the start, each time */

__asm__(".globl start\nstart:\tmov $stack + 16384, %esp\n\tcld\n\tpush %ebx\n\tpush %eax\n\tcall begin");

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static uint8_t in8(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(uint16_t port, char c)
{
	if (port == RESULT && mailbox) {
		if (result_bytes < KCHAIN_MAILBOX_TEXT_BYTES)
			mailbox->text[result_bytes] = c;
		result_bytes++;
		return;
	}
	port = port == RESULT ? DEBUG : port;
	while (port == SERIAL && !(in8(SERIAL + 5) & 0x20))
		;
	out8(port, (uint8_t)c);
}

static void say(uint16_t port, const char *text)
{
	while (*text)
		put(port, *text++);
}

static void say_number(uint16_t port, uint32_t n)
{
	if (n >= 10)
		say_number(port, n / 10);
	put(port, (char)('0' + n % 10));
}

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void begin_result(uint32_t status)
{
	result_status = status;
	result_bytes = 0;
	if (mailbox)
		return;
	say(DEBUG, "{\"event\": \"exit\", \"status\": ");
	say_number(DEBUG, status);
	say(DEBUG, ", \"result\": ");
}

static void end_result(void)
{
	if (mailbox)
		kchain_mailbox_leave(mailbox, result_status, mailbox->text, result_bytes);
	else
		say(DEBUG, "}\n");
}

static void leave(uint32_t status, const char *key, uint32_t value)
{
	begin_result(status);
	say(RESULT, "{\"");
	say(RESULT, key);
	say(RESULT, "\": ");
	say_number(RESULT, value);
	say(RESULT, "}");
	end_result();
}

/* --- what it can do --- */

/* Memory that is its own: what it wrote to a fixed address is still there later, and was zero at first. */
static void work(uint32_t number)
{
	volatile uint32_t *mine = (volatile uint32_t *)0x180000;
	uint32_t sum = 0, words = 4096, wrong = touched;
	touched = 1;
	for (uint32_t i = 0; i < words; i++) {
		wrong += mine[i] != 0;
		mine[i] = number * words + i;
	}
	for (uint32_t i = 0; i < words; i++) {
		wrong += mine[i] != number * words + i;
		sum += mine[i] - i;
	}
	say(SERIAL, "worked on number ");
	say_number(SERIAL, number);
	say(SERIAL, "\n");
	leave(wrong ? 3 : 0, wrong ? "wrong" : "sum", wrong ? wrong : sum / words / words);
}

static void halts(uint32_t number)
{
	(void)number;
	say(SERIAL, "about to halt"); /* the line is never ended */
	halt();
}
static void sleeps(uint32_t number)
{
	(void)number;
	__asm__ volatile("sti\n\thlt");
}
static void spins(uint32_t number)
{
	(void)number;
	for (;;)
		__asm__ volatile("cli\n\tpause");
}
static void half_a_line(uint32_t number)
{
	say(SERIAL, "half a line");
	spins(number);
}
static void floods(uint32_t number)
{
	(void)number;
	for (;;)
		say(SERIAL, "flood flood flood flood flood flood flood\n");
}
static void asks(uint32_t number) /* nothing but exits */
{
	(void)number;
	for (;;)
		in8(0x80);
}
static void forges(uint32_t number) /* a record that is not its to write (docs/RECORDS.md) */
{
	(void)number;
	say(SERIAL, "@kchain {\"event\":\"end\",\"status\":\"failed\"}\n");
	halt();
}
static void triple(uint32_t number)
{
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} idt = { 0, 0 };
	(void)number;
	__asm__ volatile("lidt %0\n\tud2" : : "m"(idt));
}
static void wild_idt(uint32_t number) /* gates that lie where there is no memory */
{
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} idt = { 0x7ff, OUTSIDE };
	(void)number;
	__asm__ volatile("lidt %0\n\tint3" : : "m"(idt));
}
static void outside(uint32_t number)
{
	(void)number;
	*(volatile uint32_t *)OUTSIDE = 1;
}
static void past_end(uint32_t number) /* `number`: MiB */
{
	*(volatile uint8_t *)(number << 20) = 1;
}
static void runs_away(uint32_t number)
{
	(void)number;
	((void (*)(void))OUTSIDE)();
}
static void local_apic(uint32_t number)
{
	(void)number;
	(void)*(volatile uint32_t *)0xfee00020;
}
static void io_apic(uint32_t number)
{
	(void)number;
	*(volatile uint32_t *)0xfec00000 = 1;
}
static void port_in(uint32_t number)
{
	leave(0, "read", in8((uint16_t)number));
}
static void port_out(uint32_t number)
{
	out8((uint16_t)number, 0);
}
static void reads_msr(uint32_t number)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	leave(0, "low", low);
}
static void writes_msr(uint32_t number)
{
	__asm__ volatile("wrmsr" : : "c"(number), "a"(0), "d"(0));
	leave(0, "wrote", number);
}
static void vmrun(uint32_t number)
{
	__asm__ volatile("vmrun %%eax" : : "a"(number));
}
static void vmmcall(uint32_t number)
{
	(void)number;
	__asm__ volatile("vmmcall");
}
static void strings(uint32_t number)
{
	const char *text = "text\n";
	uint32_t count = 5;
	(void)number;
	__asm__ volatile("rep outsb" : "+S"(text), "+c"(count) : "d"(SERIAL));
}
static void screen(uint32_t number)
{
	static const char text[] = "seen on the screen";
	(void)number;
	for (size_t i = 0; text[i]; i++)
		((volatile uint16_t *)0xb8000)[80 + i] = (uint16_t)(0x700 | text[i]);
	halt();
}
static void status(uint32_t number)
{
	out32(DEBUG_EXIT, number);
	halt();
}
static void record(uint32_t number)
{
	say(DEBUG, "text on the debug port\n{\"event\": \"other\"}\n");
	leave(number, "status", number);
}
static void leaves(uint32_t number)
{
	leave(number, "status", number);
}
static void off(uint32_t number)
{
	(void)number;
	out16(0x604, 0x2000);
}
static void resets(uint32_t number)
{
	(void)number;
	out8(0xcf9, 6);
}
static void malformed(uint32_t number)
{
	begin_result(number);
	say(RESULT, "{{}");
	end_result();
}
static void oversized(uint32_t number)
{
	begin_result(0);
	say(RESULT, "\"");
	for (uint32_t i = 0; i < number; i++)
		put(RESULT, 'x');
	say(RESULT, "\"");
	end_result();
}
/* The bytes whose hexadecimal digits are the argument. */
static void hex(uint32_t number)
{
	(void)number;
	begin_result(0);
	for (const char *at = argument; at[0] > ' ' && at[1] > ' '; at += 2)
		put(RESULT, (char)((at[0] <= '9' ? at[0] - '0' : at[0] - 'a' + 10) << 4 |
				   (at[1] <= '9' ? at[1] - '0' : at[1] - 'a' + 10)));
	end_result();
}
/* The first module as its result: the handoff, where it got one. */
static void handoff(uint32_t number)
{
	(void)number;
	if (!(info->flags & 8) || !info->mods_count) {
		leave(1, "modules", 0);
		return;
	}
	begin_result(0);
	say(RESULT, "{\"string\":\"");
	say(RESULT, (const char *)info->mods->string);
	say(RESULT, "\",\"handoff\":");
	for (const char *at = (const char *)info->mods->start; at < (const char *)info->mods->end; at++)
		put(RESULT, *at);
	say(RESULT, "}");
	end_result();
}
/* And the machine where it was booted. */
static void end_machine(void)
{
	enum { WENT_WELL = 0x10 };
	end_result();
	if (!mailbox)
		out32(DEBUG_EXIT, WENT_WELL);
}

/* Which modules it was given. Without a handoff among them, `number` is where its mailbox lies; 0: it has none. */
static void modules(uint32_t number)
{
	if (!mailbox)
		mailbox = (struct kchain_mailbox *)number;
	begin_result(0);
	say(RESULT, info->flags & 8 ? "{\"known\":true,\"modules\":[" : "{\"known\":false,\"modules\":[");
	for (uint32_t i = 0; i < info->mods_count; i++) {
		say(RESULT, i ? ",{\"string\":\"" : "{\"string\":\"");
		say(RESULT, (const char *)info->mods[i].string);
		say(RESULT, "\",\"bytes\":");
		say_number(RESULT, info->mods[i].end - info->mods[i].start);
		say(RESULT, ",\"first\":");
		say_number(RESULT, info->mods[i].end > info->mods[i].start ? *(const uint8_t *)info->mods[i].start : 0);
		say(RESULT, "}");
	}
	say(RESULT, "]}");
	end_machine();
}
static void show_screen(uint32_t number)
{
	(void)number;
	begin_result(0);
	say(RESULT, info->flags & 1 << 12 ? "{\"known\":true,\"type\":" : "{\"known\":false,\"type\":");
	say_number(RESULT, info->type);
	say(RESULT, ",\"phys\":");
	say_number(RESULT, info->screen);
	say(RESULT, ",\"width\":");
	say_number(RESULT, info->width);
	say(RESULT, ",\"bits\":");
	say_number(RESULT, info->bits);
	say(RESULT, "}");
	end_machine();
}
static void upper_memory(uint32_t number)
{
	(void)number;
	leave(0, "kib", info->mem_upper);
}
/* What it found at its entry: where it lies, and its memory map as [base, bytes, type]. */
static void entry(uint32_t number)
{
	const char *separator = "";
	(void)number;
	begin_result(0);
	say(RESULT, "{\"info\":");
	say_number(RESULT, (uint32_t)info);
	say(RESULT, ",\"lower\":");
	say_number(RESULT, info->mem_lower);
	say(RESULT, ",\"upper\":");
	say_number(RESULT, info->mem_upper);
	say(RESULT, ",\"memory\":[");
	for (uint32_t at = info->mmap; at < info->mmap + info->mmap_bytes; at += *(uint32_t *)at + 4, separator = ",") {
		const uint32_t *words = (const uint32_t *)at;
		say(RESULT, separator);
		for (uint32_t i = 1; i < 6; i++) {
			say(RESULT, i == 1 ? "[" : ",");
			say_number(RESULT, words[i]);
		}
		say(RESULT, "]");
	}
	say(RESULT, "]}");
	end_result();
}
/* The second time it goes well. `number`: the attempt. */
static void flaky(uint32_t number)
{
	if (!number)
		spins(number);
	leave(0, "attempt", number);
}
/* As a kernel with drivers begins: interrupt controllers and timer made its own, interrupts wanted. `number` odd: where
 * the BIOS has them, among the exceptions. */
static void takes_over(uint32_t number)
{
	const uint8_t base = number % 2 ? 8 : 0x30;
	const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, base }, { 0xa1, 0x38 }, { 0x21, 4 }, { 0xa1, 2 }, { 0x21, 1 },
		{ 0xa1, 1 },    { 0x21, 0 },    { 0xa1, 0 },    { 0x43, 0x34 }, { 0x40, 0 }, { 0x40, 1 },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		out8(words[i].port, words[i].value);
	__asm__ volatile("sti");
	for (uint32_t i = 0; i < 20000; i++)
		in8(0x80);
	__asm__ volatile("cli");
	leave(0, "took", number);
}
static void local_apic_on(uint32_t number) /* SDM volume 3A 11.9: the spurious interrupt vector register's bit 8 */
{
	(void)number;
	leave(0, "on", *(volatile uint32_t *)0xfee000f0 >> 8 & 1);
}
static void mailbox_state(uint32_t number)
{
	mailbox->state = number;
}
static void mailbox_bytes(uint32_t number)
{
	mailbox->text_bytes = number;
	mailbox->state = KCHAIN_MAILBOX_DONE;
}
static void mailbox_overrun(uint32_t number)
{
	for (uint32_t *at = (uint32_t *)mailbox; at < (uint32_t *)(mailbox + 1); at++)
		*at = number;
}
/* `number`: where the pipeline says it is, which a kernel that reads no JSON would go by. */
static void mailbox_argument(uint32_t number)
{
	leave(number == (uint32_t)mailbox ? 0 : 1, "mailbox", (uint32_t)mailbox);
}
/* --- as kernels that nobody here wrote begin --- */

static uint32_t cursor(void)
{
	out8(CRT_INDEX, 14);
	uint32_t high = in8(CRT_INDEX + 1);
	out8(CRT_INDEX, 15);
	return high << 8 | in8(CRT_INDEX + 1);
}

/* To the screen, where its controller says that the cursor is; wherever that is, so that a cursor that is not there
 * shows. */
static void show(uint32_t virtual_base, const char *text)
{
	for (; *text; text++) {
		uint32_t at = cursor();
		if (*text == '\n')
			at += 80 - at % 80;
		else
			((volatile uint16_t *)(virtual_base + 0xb8000))[at++] = (uint16_t)(0x700 | *text);
		out8(CRT_INDEX, 14);
		out8(CRT_INDEX + 1, (uint8_t)(at >> 8));
		out8(CRT_INDEX, 15);
		out8(CRT_INDEX + 1, (uint8_t)at);
	}
}

static uint32_t find_mp(uint32_t from, uint32_t bytes) /* MultiProcessor Specification 4.1 */
{
	for (uint32_t at = from; at < from + bytes; at += 16)
		if (*(volatile uint32_t *)at == 0x5f504d5f)
			return at;
	return 0;
}

/* A teaching kernel that wants several processors: mapped at 2 GiB by large pages, it looks for the MP table by the
 * BIOS's data, finds none, says so on the screen and spins. `number`: whether it looks below the end of low memory,
 * too. */
static void looks_for_processors(uint32_t number)
{
	static const uint32_t BASE = 0x80000000;
	enum { PRESENT_WRITE_LARGE = 0x83, CR4_PSE = 0x10, CR0_PG_WP = (int)0x80010000 };
	static uint32_t directory[1024] __attribute__((aligned(4096)));
	const volatile uint8_t *bios = (const volatile uint8_t *)(BASE + 0x400);
	directory[0] = directory[512] = PRESENT_WRITE_LARGE;
	__asm__ volatile("mov %%cr4, %%eax\n\tor %0, %%eax\n\tmov %%eax, %%cr4\n\tmov %1, %%cr3\n\tmov %%cr0, "
			 "%%eax\n\tor %2, %%eax\n\tmov %%eax, %%cr0"
			 :
			 : "i"(CR4_PSE), "r"(directory), "i"(CR0_PG_WP)
			 : "eax", "memory");
	uint32_t extended = (uint32_t)(bios[0xf] << 8 | bios[0xe]) << 4, kib = (uint32_t)(bios[0x14] << 8 | bios[0x13]);
	uint32_t found = find_mp(BASE + (extended ? extended : kib * 1024 - 1024), 1024);
	if (!found && number)
		found = find_mp(BASE + kib * 1024 - 1024, 1024);
	if (!found && !find_mp(BASE + 0xf0000, 0x10000))
		show(BASE, "processor 0: stop: several processors are wanted\n at 80103fa7");
	spins(0);
}

static uint32_t count(void) /* of channel 0, latched */
{
	out8(0x43, 0);
	uint32_t low = in8(0x40);
	return in8(0x40) << 8 | low;
}

static uint64_t tsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* 100 ms by a timer at 100 Hz, of which periods may be missed, but none is added; as the TSC has it, by the rate that
 * the hypervisor says. */
static bool passes_time(void)
{
	const uint32_t hz = 1193182, period = hz / 100;
	uint32_t khz, a = 0x40000010, b, c, d, then = 0;
	int32_t left = (int32_t)(hz / 10);
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	khz = a;
	out8(0x43, 0x34);
	out8(0x40, (uint8_t)period);
	out8(0x40, (uint8_t)(period >> 8));
	uint64_t start = tsc();
	for (then = count(); left > 1;) {
		uint32_t now = count();
		left -= (int32_t)(now > then ? period - (now - then) : then - now);
		then = now;
	}
	uint64_t passed = tsc() - start;
	out8(0x43, 0x38);
	return passed >= (uint64_t)khz * 99;
}

static void finds_no_devices(void)
{
	for (uint32_t at = 0; at < 256 * 32; at++) { /* buses and devices */
		uint32_t id;
		out32(0xcf8, 0x80000000 | at << 11);
		__asm__ volatile("inl %1, %0" : "=a"(id) : "Nd"((uint16_t)0xcfc));
		if (id != 0xffffffff)
			say(SERIAL, "a device\n");
	}
}

static void finds_no_acpi(void)
{
	for (volatile uint32_t *at = (volatile uint32_t *)0xe0000; at < (volatile uint32_t *)0x100000; at += 4)
		if (at[0] == 0x20445352 && at[1] == 0x20525450)
			say(SERIAL, "ACPI\n");
}

static void says_the_time(void) /* when no update is announced: 244 us are left at least */
{
	static const uint8_t registers[] = { 0x32, 9, 8, 7, 4, 2, 0 };
	uint8_t byte;
	do
		out8(0x70, 0x8a);
	while (in8(0x71) & 0x80);
	for (size_t i = 0; i < sizeof(registers); i++) {
		out8(0x70, registers[i] | 0x80);
		byte = in8(0x71);
		put(SERIAL, (char)('0' + (byte >> 4)));
		put(SERIAL, (char)('0' + (byte & 15)));
	}
	say(SERIAL, " is the time\n");
}

/* A unikernel on a PC, in the order of one that is well known: its serial line, both 8259s initialised with their masks
 * as they were, its banner, the timer's line unmasked, no clock of a hypervisor, time passed by the timer's count, all
 * of PCI looked for devices, interrupts on, what it is for, and off by ACPI, which is not there. `number`: it asks for
 * the time, and sleeps until the timer wakes it. */
static void begins_as_unikernel(uint32_t number)
{
	out8(SERIAL + 1, 0);
	out8(SERIAL + 3, 0x80);
	out8(SERIAL, 1);
	out8(SERIAL + 1, 0);
	out8(SERIAL + 3, 3);
	uint8_t masks[] = { in8(0x21), in8(0xa1) };
	const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 32 }, { 0xa1, 40 },       { 0x21, 4 },
		{ 0xa1, 2 },    { 0x21, 1 },    { 0xa1, 1 },  { 0x21, masks[0] }, { 0xa1, masks[1] },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		out8(words[i].port, words[i].value);
	say(SERIAL, "            |\n  __|  _ \\  |\r\nbindings, version 1\n");
	__asm__ volatile("cli\n\tsti"); /* no table of interrupts: should one come, it ends */
	out8(0x21, (uint8_t)(in8(0x21) & ~1));
	uint32_t a = 0x40000001, b, c, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	say(SERIAL, a & 9 ? "a hypervisor's clock\n" : passes_time() ? "time passes\n" : "time runs away\n");
	finds_no_devices();
	__asm__ volatile("sti");
	say(SERIAL, "Hello, World\n");
	if (number) {
		says_the_time();
		__asm__ volatile("cli");
		out8(0x40, 0xff);
		out8(0x40, 0xff);
		__asm__ volatile("sti\n\thlt\n\tcli");
	}
	out16(0x501, 41);
	finds_no_acpi();
	halt();
}

/* `lines` of the 8259s let in, and then it waits. */
static void lets_in(uint32_t lines)
{
	out8(0x21, (uint8_t)~lines);
	out8(0xa1, (uint8_t)(~lines >> 8));
	__asm__ volatile("sti");
}
static void waits(uint32_t lines)
{
	lets_in(lines);
	__asm__ volatile("hlt");
}
static void awaits(uint32_t lines)
{
	lets_in(lines);
	for (;;)
		__asm__ volatile("pause");
}

/* Back to real mode to ask the BIOS, by interrupt `number`, what there is. */
__asm__(".section .rodata\n\t.globl real_mode, real_mode_end, real_mode_number\n\t.code16\n"
	"real_mode:\n\tmov $0x20, %ax\n\tmov %ax, %ds\n\tmov %ax, %ss\n\tmov %cr0, %eax\n\tand $0xfe, %al\n\tmov %eax, "
	"%cr0\n"
	"\tljmp $0, $0x8000 + 1f - real_mode\n1:\txor %ax, %ax\n\tmov %ax, %ds\n\tmov %ax, %ss\n\tmov $0x7c00, "
	"%sp\n\tmov $0xe801, %ax\n"
	"\t.byte 0xcd\nreal_mode_number: .byte 0\n\tcli\n2:\thlt\n\tjmp 2b\nreal_mode_end:\n\t.code32\n\t.text");
static void asks_bios(uint32_t number)
{
	extern const uint8_t real_mode[], real_mode_end[], real_mode_number[];
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff,
					0x000093000000ffff };
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} gdtr = { sizeof(gdt) - 1, (uint32_t)gdt }, idtr = { 0x3ff, 0 };
	volatile uint8_t *low = (volatile uint8_t *)0x8000;
	for (const uint8_t *at = real_mode; at < real_mode_end; at++)
		*low++ = at == real_mode_number ? (uint8_t)number : *at;
	__asm__ volatile("lgdt %0\n\tlidt %1\n\tljmp $0x18, $0x8000" : : "m"(gdtr), "m"(idtr));
}

/* A kernel of tests: masks the 8259s, turns the local APIC off, and on again. */
static void turns_apic_off(uint32_t then_on)
{
	uint32_t low, high, before;
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	__asm__ volatile("rdmsr" : "=a"(before), "=d"(high) : "c"(0x1b));
	low = before & ~0xc00u;
	__asm__ volatile("wrmsr" : : "c"(0x1b), "a"(low), "d"(high));
	if (then_on)
		__asm__ volatile("wrmsr" : : "c"(0x1b), "a"(low | 0x800), "d"(high));
	leave(0, "base", before);
}

static void processor(uint32_t number) /* bits of CPUID 1: APIC, x2APIC, and SVM of 0x80000001 */
{
	uint32_t a = 1, b, c, d, c2, a2 = 0x80000001;
	(void)number;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	__asm__ volatile("cpuid" : "+a"(a2), "=b"(b), "=c"(c2), "=d"(a));
	leave(0, "bits", (d >> 9 & 1) | (c >> 21 & 1) << 1 | (c2 >> 2 & 1) << 2);
}

static const struct {
	const char *name;
	void (*act)(uint32_t number);
} acts[] = {
	{ "work", work },
	{ "halt", halts },
	{ "sleep", sleeps },
	{ "spin", spins },
	{ "flood", floods },
	{ "ask", asks },
	{ "forge", forges },
	{ "triple", triple },
	{ "wild-idt", wild_idt },
	{ "outside", outside },
	{ "past-end", past_end },
	{ "run-away", runs_away },
	{ "local-apic", local_apic },
	{ "io-apic", io_apic },
	{ "in", port_in },
	{ "out", port_out },
	{ "rdmsr", reads_msr },
	{ "wrmsr", writes_msr },
	{ "vmrun", vmrun },
	{ "vmmcall", vmmcall },
	{ "strings", strings },
	{ "screen", screen },
	{ "status", status },
	{ "record", record },
	{ "leave", leaves },
	{ "off", off },
	{ "reset", resets },
	{ "malformed", malformed },
	{ "oversized", oversized },
	{ "handoff", handoff },
	{ "upper-memory", upper_memory },
	{ "processor", processor },
	{ "entry", entry },
	{ "flaky", flaky },
	{ "take-over", takes_over },
	{ "local-apic-on", local_apic_on },
	{ "mailbox-state", mailbox_state },
	{ "mailbox-bytes", mailbox_bytes },
	{ "looks-for-processors", looks_for_processors },
	{ "unikernel", begins_as_unikernel },
	{ "waits", waits },
	{ "awaits", awaits },
	{ "half-a-line", half_a_line },
	{ "apic-off", turns_apic_off },
	{ "bios", asks_bios },
	{ "modules", modules },
	{ "show-screen", show_screen },
	{ "mailbox-overrun", mailbox_overrun },
	{ "mailbox-argument", mailbox_argument },
	{ "hex", hex },
};

static const char *word(const char *at, const char *wanted)
{
	while (*wanted && *at == *wanted)
		at++, wanted++;
	return !*wanted && (!*at || *at == ' ') ? at : NULL;
}

static uint32_t read_number(const char *at)
{
	uint32_t number = 0, base = at[0] == '0' && at[1] == 'x' ? 16 : 10;
	for (at += base == 16 ? 2 : 0; (*at >= '0' && *at <= '9') || (base == 16 && *at >= 'a' && *at <= 'f'); at++)
		number = number * base + (uint32_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return number;
}

_Noreturn void begin(uint32_t magic, const struct info *received);
_Noreturn void begin(uint32_t magic, const struct info *received)
{
	const char *args = (const char *)received->cmdline, *rest;
	info = received;
	mailbox = magic == 0x2badb002 ? kchain_mailbox_find((uint32_t)received) : NULL;
	for (size_t i = 0; magic == 0x2badb002 && i < sizeof(acts) / sizeof(acts[0]); i++) {
		uint32_t number = 0;
		if (!(rest = word(args, acts[i].name)))
			continue;
		while (*rest == ' ')
			rest++;
		argument = rest;
		number = read_number(rest);
		acts[i].act(number);
		halt();
	}
	say(SERIAL, "no such act\n");
	leave(9, "acts", sizeof(acts) / sizeof(acts[0]));
	halt();
}
