/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a kernel may do to the stage that called it by accident, on the processor numbered CPU, the others standing by:
 *   trap CPU int N       INT N
 *   trap CPU int N on    the same with interrupts on
 *   trap CPU sti|popf    interrupts on, by either instruction, for a while
 *   trap CPU hlt         the same, halted
 *   trap CPU timer       the same, with the 8259 letting the machine's timer through
 *   trap CPU nmi         INT 2 again and again for a while, so that NMIs come where one seems to be handled
 *   trap CPU ports       all lines of the 8259s masked and the machine's timer stopped, then it hangs with
 *                        interrupts off
 *   trap CPU ports-of-first  the same, where it runs on the machine's first processor
 *   trap CPU jump SEED   to some address of the kernel's own text, with registers full of noise; the SEED says which
 *   trap CPU jump AT     to the address AT (0x…), the same way
 *   trap 1 overwrite [entries]   CPU 1 writes over all that a kernel of two can write to, again and again,
 *                                while the other asks for services; with `entries` also over the pages that
 *                                their traps arrive in
 * Leaves {"came": "back"} where it goes on afterwards. */

#include <kchain.h>

#include "stage/boot.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* INT N; RET: four bytes for each N. */
__asm__(".text\n"
	"ints:\n\t"
	".set n, 0\n\t"
	".rept 256\n\t"
	".byte 0xcd, n\n\t"
	"ret\n\t"
	"nop\n\t"
	".set n, n + 1\n\t"
	".endr\n");
extern const uint8_t ints[], stage_text_end[];

enum { WORDS_MAX = 8 };
static const char *words[WORDS_MAX];
static unsigned victim;

static const char *word(unsigned at)
{
	return at < WORDS_MAX && words[at] ? words[at] : "";
}
static void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}
static void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Long enough for a timer of the machine to come. */
static void stay(void)
{
	uint64_t end = kchain_clock_us() + 3000;
	while (kchain_clock_us() < end)
		__asm__ volatile("pause" : : : "memory");
}

static void int_n(void)
{
	unsigned long n = strtoul(word(1), NULL, 0) & 255;
	if (!strcmp(word(2), "on"))
		interrupts_on();
	((void (*)(void))(uintptr_t)(ints + 4 * n))();
	interrupts_off();
}

static void sti(void)
{
	interrupts_on();
	stay();
	interrupts_off();
}

static void popf(void)
{
	__asm__ volatile("push $0x202\n\tpopfq" : : : "memory", "cc");
	stay();
	interrupts_off();
}

static void timer(void)
{
	enum { MASK_PORT = 0x21, ALL_BUT_TIMER = 0xfe, ALL = 0xff };
	__asm__ volatile("outb %b0, %w1" : : "a"(ALL_BUT_TIMER), "Nd"(MASK_PORT));
	for (unsigned i = 0; i < 20; i++)
		sti();
	__asm__ volatile("outb %b0, %w1" : : "a"(ALL), "Nd"(MASK_PORT));
}

static void ports(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} stops[] = { { 0x21, 0xff }, { 0xa1, 0xff }, { 0x43, 0x30 }, { 0x43, 0x70 } };
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		__asm__ volatile("outb %b0, %w1" : : "a"(stops[i].value), "d"(stops[i].port));
	for (;;)
		__asm__ volatile("cli\n\tpause");
}

/* The same where it runs on the machine's first processor, as CPUID says; on another one it takes some ms. */
static void ports_of_first(void)
{
	uint32_t a = 1, b, c, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	if (!(b >> 24))
		ports();
	for (unsigned i = 0; i < 20000; i++)
		__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1));
}

static void nmi(void)
{
	for (unsigned i = 0; i < 30000; i++)
		__asm__ volatile("int $2" : : : "memory");
}

static void hlt(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

/* splitmix64 */
static uint64_t noise(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* What accidents have in registers: small numbers, addresses of the kernel's, anything. */
static uint64_t some_register(uint64_t *state)
{
	uint64_t z = noise(state);
	switch (z >> 61) {
	case 0:
	case 1:
		return z & 0xffff;
	case 2:
		return KCHAIN_NATIVE_VIRT + (z & 0x1ffff);
	case 3:
	case 4:
		return KCHAIN_WINDOW_VIRT + (z & 0x3ffff);
	default:
		return z;
	}
}

static void jump(void)
{
	static uint64_t r[15];
	bool named = !strncmp(word(1), "0x", 2);
	uint64_t state = strtoull(word(1), NULL, 0), text = (uint64_t)(stage_text_end - stage_image_start);
	uint64_t at = named ? state : (uint64_t)stage_image_start + noise(&state) % text;
	for (unsigned i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		r[i] = some_register(&state);
	r[14] = at;
	__asm__ volatile(
		"mov 0(%%rsi), %%rax\n\tmov 8(%%rsi), %%rbx\n\tmov 16(%%rsi), %%rcx\n\tmov 24(%%rsi), %%rdx\n\t"
		"mov 32(%%rsi), %%rdi\n\tmov 40(%%rsi), %%rbp\n\tmov 48(%%rsi), %%r8\n\tmov 56(%%rsi), %%r9\n\t"
		"mov 64(%%rsi), %%r10\n\tmov 72(%%rsi), %%r11\n\tmov 80(%%rsi), %%r12\n\tmov 88(%%rsi), %%r13\n\t"
		"mov 96(%%rsi), %%r14\n\tmov 104(%%rsi), %%r15\n\tpush 112(%%rsi)\n\tmov %%r15, %%rsi\n\tret"
		:
		: "S"(r)
		: "memory");
	__builtin_unreachable();
}

static const struct {
	const char *word;
	void (*go)(void);
} ways[] = {
	{ "int", int_n },   { "sti", sti }, { "popf", popf },   { "hlt", hlt },
	{ "timer", timer }, { "nmi", nmi }, { "ports", ports }, { "ports-of-first", ports_of_first },
	{ "jump", jump },
};

static void (*way_of(const char *name))(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].word, name))
			return ways[i].go;
	return NULL;
}

static void go(unsigned cpu, void *arg)
{
	void (*const *way)(void) = arg;
	if (cpu == victim)
		(*way)();
	else
		stay();
}

static void fill(uint64_t base, uint64_t end)
{
	for (volatile uint64_t *at = (volatile uint64_t *)base; (uint64_t)at < end; at++)
		*at = 0x5a5a5a5a5a5a5a5a;
}

/* Everything but its own stack. */
static _Noreturn void fill_all(const struct kchain_call *call)
{
	enum { PAGE = 4096, STACK = 32768 };
	const bool entries = !strcmp(word(1), "entries");
	extern uint8_t stage_data_start[], stage_data_end[];
	const struct kchain_call at = *call;
	const uint64_t data = (uint64_t)stage_data_start, data_end = (uint64_t)stage_data_end;
	const uint64_t entry[] = { ((const struct kchain_team *)at.team)->processors[0],
				   ((const struct kchain_team *)at.team)->processors[1] };
	for (;;) {
		for (unsigned i = 0; entries && i < 2; i++)
			fill(KCHAIN_ENTRY_VIRT + entry[i] * 2 * PAGE + PAGE,
			     KCHAIN_ENTRY_VIRT + (entry[i] + 1) * 2 * PAGE);
		fill(KCHAIN_WINDOW_VIRT + PAGE, KCHAIN_WINDOW_VIRT + PAGE + STACK);
		fill((uint64_t)call, (uint64_t)call + PAGE);
		fill(at.mailbox, at.mailbox + at.mailbox_bytes);
		fill(at.heap, at.heap + at.heap_bytes);
		fill(data, data_end);
	}
}

/* In services all the time, without any memory of its own. */
static _Noreturn void ask(uint64_t text)
{
	__asm__ volatile(
		"1:\tmov %0, %%eax\n\tint %2\n\tmov %1, %%eax\n\tmov %%rbx, %%rdi\n\tmov $64, %%esi\n\tint %2\n\tjmp 1b"
		:
		: "i"(KCHAIN_SERVICE_CLOCK), "i"(KCHAIN_SERVICE_WRITE), "i"(KCHAIN_SERVICE_VECTOR), "b"(text)
		: "rax", "rdi", "rsi");
	__builtin_unreachable();
}

static void overwrite(unsigned cpu, void *arg)
{
	if (cpu)
		fill_all(arg);
	ask(((const struct kchain_call *)arg)->heap);
}

int main(int argc, char **argv)
{
	victim = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 0;
	for (int i = 2; i < argc && i < WORDS_MAX + 2; i++)
		words[i - 2] = argv[i];
	void (*way)(void) = way_of(word(0));
	if (!strcmp(word(0), "overwrite"))
		return kchain_parallel(overwrite, (void *)(uintptr_t)stage_boot.call) ? 0 : 1;
	if (!way || !kchain_parallel(go, &way))
		return 2;
	return kchain_result("{\"came\": \"back\"}") ? 0 : 1;
}
