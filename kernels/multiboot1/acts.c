/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A kernel that knows nothing of kchain but what docs/RECORDS.md says: plain Multiboot 1, 32-bit, fixed at 1 MiB, without anybody's
 * runtime. Its first argument names what it does, well or badly; see the table at the end. */

#include <stddef.h>
#include <stdint.h>

enum { HEADER_MAGIC = 0x1badb002, SERIAL = 0x3f8, DEBUG = 0xe9, DEBUG_EXIT = 0xf4, OUTSIDE = 0x30000000 };

struct module { uint32_t start, end, string, reserved; };
struct info { uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count; const struct module *mods; };

__attribute__((section(".header"), used)) static const uint32_t header[] = { HEADER_MAGIC, 0, 0u - HEADER_MAGIC };

uint8_t stack[16384];
static const struct info *info;
static uint32_t touched; /* in .bss: zero at the start, each time */

__asm__(".globl start\nstart:\tmov $stack + 16384, %esp\n\tcld\n\tpush %ebx\n\tpush %eax\n\tcall begin");

static void out8(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static void out16(uint16_t port, uint16_t v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static void out32(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static uint8_t in8(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(uint16_t port, char c)
{
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

static void leave(uint32_t status, const char *key, uint32_t value)
{
	say(DEBUG, "{\"event\": \"exit\", \"status\": ");
	say_number(DEBUG, status);
	say(DEBUG, ", \"result\": {\"");
	say(DEBUG, key);
	say(DEBUG, "\": ");
	say_number(DEBUG, value);
	say(DEBUG, "}}\n");
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
	const struct __attribute__((packed)) { uint16_t limit; uint32_t base; } idt = { 0, 0 };
	(void)number;
	__asm__ volatile("lidt %0\n\tud2" : : "m"(idt));
}
static void wild_idt(uint32_t number) /* gates that lie where there is no memory */
{
	const struct __attribute__((packed)) { uint16_t limit; uint32_t base; } idt = { 0x7ff, OUTSIDE };
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
static void port_in(uint32_t number) { leave(0, "read", in8((uint16_t)number)); }
static void port_out(uint32_t number) { out8((uint16_t)number, 0); }
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
	(void)number;
	say(DEBUG, "{\"event\":\"exit\",\"status\":0,\"result\":{{}}\n");
}
static void oversized(uint32_t number)
{
	say(DEBUG, "{\"event\":\"exit\",\"status\":0,\"result\":\"");
	for (uint32_t i = 0; i < number; i++)
		put(DEBUG, 'x');
	say(DEBUG, "\"}\n");
}
/* The first module as its result: the handoff, where it got one. */
static void handoff(uint32_t number)
{
	(void)number;
	if (!(info->flags & 8) || !info->mods_count) {
		leave(1, "modules", 0);
		return;
	}
	say(DEBUG, "{\"event\":\"exit\",\"status\":0,\"result\":{\"string\":\"");
	say(DEBUG, (const char *)info->mods->string);
	say(DEBUG, "\",\"handoff\":");
	for (const char *at = (const char *)info->mods->start; at < (const char *)info->mods->end; at++)
		put(DEBUG, *at);
	say(DEBUG, "}}\n");
}
static void upper_memory(uint32_t number)
{
	(void)number;
	leave(0, "kib", info->mem_upper);
}
static void processor(uint32_t number) /* bits of CPUID 1: APIC, x2APIC, and SVM of 0x80000001 */
{
	uint32_t a = 1, b, c, d, c2, a2 = 0x80000001;
	(void)number;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	__asm__ volatile("cpuid" : "+a"(a2), "=b"(b), "=c"(c2), "=d"(a));
	leave(0, "bits", (d >> 9 & 1) | (c >> 21 & 1) << 1 | (c2 >> 2 & 1) << 2);
}

static const struct { const char *name; void (*act)(uint32_t number); } acts[] = {
	{ "work", work }, { "halt", halts }, { "sleep", sleeps }, { "spin", spins }, { "flood", floods }, { "ask", asks },
	{ "forge", forges }, { "triple", triple }, { "wild-idt", wild_idt }, { "outside", outside }, { "past-end", past_end }, { "run-away", runs_away },
	{ "local-apic", local_apic }, { "io-apic", io_apic }, { "in", port_in }, { "out", port_out }, { "rdmsr", reads_msr },
	{ "wrmsr", writes_msr }, { "vmrun", vmrun }, { "vmmcall", vmmcall }, { "strings", strings }, { "screen", screen },
	{ "status", status }, { "record", record }, { "off", off }, { "reset", resets }, { "malformed", malformed },
	{ "oversized", oversized }, { "handoff", handoff }, { "upper-memory", upper_memory }, { "processor", processor },
};

static const char *word(const char *at, const char *wanted)
{
	while (*wanted && *at == *wanted)
		at++, wanted++;
	return !*wanted && (!*at || *at == ' ') ? at : NULL;
}

_Noreturn void begin(uint32_t magic, const struct info *given);
_Noreturn void begin(uint32_t magic, const struct info *given)
{
	const char *args = (const char *)given->cmdline, *rest;
	info = given;
	for (size_t i = 0; magic == 0x2badb002 && i < sizeof(acts) / sizeof(acts[0]); i++) {
		uint32_t number = 0;
		if (!(rest = word(args, acts[i].name)))
			continue;
		while (*rest == ' ')
			rest++;
		for (; *rest >= '0' && *rest <= '9'; rest++)
			number = number * 10 + (uint32_t)(*rest - '0');
		acts[i].act(number);
		halt();
	}
	say(SERIAL, "no such act\n");
	leave(9, "acts", sizeof(acts) / sizeof(acts[0]));
	halt();
}
