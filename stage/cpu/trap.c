/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Who hears of a trap, and the report where nobody does. */

#include "stage/boot.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/packed_names.h"
#include "stage/print.h"
#include "stage/runtime.h"

#include <stdarg.h>

enum { STACK_WORDS = 12, LINE_BYTES = 160 };

static stage_trap_handler *handlers[256] STAGE_BOOT_ONLY;
static stage_trap_hook *trap_hook STAGE_BOOT_ONLY;

STAGE_BOOT_TEXT void stage_cpu_set_handler(uint8_t vector, stage_trap_handler *handler)
{
	handlers[vector] = handler;
}
STAGE_BOOT_TEXT bool stage_cpu_has_handler(uint8_t vector)
{
	return handlers[vector];
}
STAGE_BOOT_TEXT void stage_cpu_set_trap_hook(stage_trap_hook *hook)
{
	trap_hook = hook;
}

const char *stage_vector_name(uint64_t vector)
{
	static const char names[] = /* APM 8.2 */
		"divide error\0debug\0non-maskable interrupt\0breakpoint\0overflow\0bound range\0invalid opcode\0"
		"device not available\0double fault\0coprocessor overrun\0invalid TSS\0segment not present\0stack "
		"fault\0"
		"general protection\0page fault\0\0x87 exception\0alignment check\0machine check\0SIMD exception\0"
		"virtualization\0control protection\0\0\0\0\0\0\0hypervisor injection\0VMM communication\0security\0";
	const char *name = stage_packed_name(names, sizeof(names), vector);
	return vector >= STAGE_EXCEPTIONS ? "interrupt" : name && *name ? name : "reserved exception";
}

static void __attribute__((format(printf, 1, 2))) line(const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;
	va_start(args, format);
	int count = stage_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (count > 0)
		stage_console_write(text, (uint64_t)count < sizeof(text) ? (uint64_t)count : sizeof(text) - 1);
}

/* Intel SDM 3A section 4.7, APM 8.4.2. */
static void print_page_fault(const struct stage_trap_frame *f, uint64_t address)
{
	uint64_t e = f->error_code;
	line("  %s of %#llx: %s%s\n",
	     e & 16 ? "execution" :
	     e & 2  ? "write" :
		      "read",
	     (unsigned long long)address, e & 1 ? "not permitted" : "not mapped",
	     e & 8 ? ", reserved bit set in a table" : "");
	if (address < 4096)
		line("  a null pointer, most likely\n");
}

static bool in_image(uint64_t virt)
{
	return virt >= (uint64_t)stage_image_start && virt < (uint64_t)stage_image_end;
}

static bool in_text(uint64_t virt)
{
	extern const uint8_t stage_boot_text_end[];
	return virt >= (uint64_t)stage_image_start && virt < (uint64_t)stage_boot_text_end;
}

static void print_registers(const struct stage_trap_frame *f)
{
	const struct {
		const char *name;
		uint64_t value;
	} r[] = {
		{ "rax", f->rax }, { "rbx", f->rbx }, { "rcx", f->rcx },      { "rdx", f->rdx }, { "rsi", f->rsi },
		{ "rdi", f->rdi }, { "rbp", f->rbp }, { "rsp", f->rsp },      { "r8", f->r8 },   { "r9", f->r9 },
		{ "r10", f->r10 }, { "r11", f->r11 }, { "r12", f->r12 },      { "r13", f->r13 }, { "r14", f->r14 },
		{ "r15", f->r15 }, { "cr3", f->cr3 }, { "flags", f->rflags },
	};
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		line("  %-5s %016llx%s", r[i].name, (unsigned long long)r[i].value, i % 3 == 2 ? "\n" : "");
}

static void print_stack(const struct stage_trap_frame *f)
{
	uint64_t rsp = f->rsp & ~(uint64_t)7;
	extern const uint8_t stage_boot_guard[], stage_boot_stack[];
	if (rsp >= (uint64_t)stage_boot_guard && rsp < (uint64_t)stage_boot_stack) {
		line("  the stack overflowed\n");
		return;
	}
	if (!in_image(rsp)) {
		line("  the stack pointer is outside the image: no stack shown\n");
		return;
	}
	const uint64_t *word = (const uint64_t *)rsp;
	line("  stack, words that point into the text marked *\n");
	for (size_t i = 0; i < STACK_WORDS && in_image((uint64_t)(word + i + 1)); i++)
		line("  %016llx%c%s", (unsigned long long)word[i], in_text(word[i]) ? '*' : ' ',
		     i % 3 == 2 ? "\n" : "");
}

STAGE_BOOT_TEXT static _Noreturn void report(const struct stage_trap_frame *f)
{
	static bool reporting;
	uint64_t address = stage_read_cr2();
	if (reporting) {
		line("\n%s: another exception (%s) while one was reported\n", stage_name(),
		     stage_vector_name(f->vector));
		stage_halt();
	}
	reporting = true;
	line("\n%s: %s (vector %llu, error code %#llx) on processor %u\n", stage_name(), stage_vector_name(f->vector),
	     (unsigned long long)f->vector,
	     f->error_code == STAGE_NO_ERROR_CODE ? 0 : (unsigned long long)f->error_code, stage_cpu()->index);
	line("  rip   %016llx", (unsigned long long)f->rip);
	if (in_image(f->rip))
		line(" = image + %#llx", (unsigned long long)(f->rip - (uint64_t)stage_image_start));
	line("\n");
	if (f->vector == STAGE_VECTOR_PAGE_FAULT)
		print_page_fault(f, address);
	print_registers(f);
	print_stack(f);
	char record[LINE_BYTES];
	int count = stage_snprintf(
		record, sizeof(record),
		"{\"event\":\"fault\",\"vector\":%llu,\"name\":\"%s\",\"rip\":\"%#llx\",\"address\":\"%#llx\"}",
		(unsigned long long)f->vector, stage_vector_name(f->vector), (unsigned long long)f->rip,
		(unsigned long long)address);
	stage_record(record, (uint64_t)count);
	stage_exit(STAGE_EXIT_FAULT);
}

/* From the entry code, with interrupts off, under the stage's tables. */
void stage_trap(struct stage_trap_frame *frame);
STAGE_BOOT_TEXT void stage_trap(struct stage_trap_frame *frame)
{
	frame->vector &= 0xff; /* it was pushed with its sign */
	if (trap_hook && trap_hook(frame))
		return;
	if (!handlers[frame->vector])
		report(frame);
	handlers[frame->vector](frame);
}

_Noreturn void stage_panic(const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;
	va_start(args, format);
	stage_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line("\n%s: stopped: %s\n", stage_name(), text);
	stage_exit(STAGE_EXIT_FAULT);
}

_Noreturn void stage_halt(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt");
}
