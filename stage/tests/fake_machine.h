/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the processor and the ports of a machine that a test makes up: the functions that stage/instructions.h is
 * outside of the stage, and what the runtime's files need of each other where a test has only some of them. A panic or
 * an exit ends a run that expects one. Must not know: what runs on it. One program includes it once. */
#ifndef STAGE_TESTS_FAKE_MACHINE_H
#define STAGE_TESTS_FAKE_MACHINE_H

#include "stage/boot.h"
#include "stage/cpu.h"
#include "stage/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_machine {
	uint32_t (*in)(uint16_t port, unsigned width); /* null: an empty bus, all ones */
	void (*out)(uint16_t port, uint32_t value, unsigned width);
	struct stage_cpuid (*cpuid)(uint32_t leaf, uint32_t sub); /* null: zeroes */
	uint64_t (*service)(uint64_t service, uint64_t first, uint64_t second);
	void (*interrupt)(void); /* a chance for one to come */
	uint64_t tsc, tsc_step;  /* each reading takes a step */
	uint64_t cr3, fs_base;
	unsigned long ins, outs, flushes;
	bool rdrand;
	struct stage_cpu cpu;
	jmp_buf end; /* of FAKE_ENDS */
	bool ends, halted;
	int exit;
	char panic[256];
} fake_machine;

/* A booted kernel, but for what a test says it is. */
static const struct stage_face fake_face = { .owns_machine = true };
struct kchain_call stage_no_call;
struct stage_boot stage_boot = { .call = &stage_no_call, .face = &fake_face };

/* Runs the statement; true when it ended in a panic, an exit or a halt. */
#define FAKE_ENDS(statement)                                                                                           \
	(fake_machine.ends = true, fake_machine.panic[0] = '\0', fake_machine.exit = -1,                               \
	 setjmp(fake_machine.end) ? !(fake_machine.ends = false) : ((statement), fake_machine.ends = false))

static inline _Noreturn void fake_end(void)
{
	if (!fake_machine.ends) {
		fprintf(stderr, "the program ended: exit %d, panic \"%s\"\n", fake_machine.exit, fake_machine.panic);
		abort();
	}
	longjmp(fake_machine.end, 1);
}

_Noreturn void stage_panic(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(fake_machine.panic, sizeof(fake_machine.panic), format, args);
	va_end(args);
	fake_end();
}

_Noreturn void stage_halt(void)
{
	fake_machine.halted = true;
	fake_end();
}

static inline uint32_t fake_in(uint16_t port, unsigned width)
{
	fake_machine.ins++;
	return fake_machine.in ? fake_machine.in(port, width) : 0xffffffff;
}

static inline void fake_out(uint16_t port, uint32_t value, unsigned width)
{
	fake_machine.outs++;
	if (fake_machine.out)
		fake_machine.out(port, value, width);
}

void stage_outb(uint16_t port, uint8_t v)
{
	fake_out(port, v, 1);
}
void stage_outw(uint16_t port, uint16_t v)
{
	fake_out(port, v, 2);
}
void stage_outl(uint16_t port, uint32_t v)
{
	fake_out(port, v, 4);
}
void stage_outs(uint16_t port, const void *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		fake_out(port, ((const uint8_t *)bytes)[i], 1);
}
uint8_t stage_inb(uint16_t port)
{
	return (uint8_t)fake_in(port, 1);
}
uint16_t stage_inw(uint16_t port)
{
	return (uint16_t)fake_in(port, 2);
}
uint32_t stage_inl(uint16_t port)
{
	return fake_in(port, 4);
}
uint64_t stage_rdtsc(void)
{
	return fake_machine.tsc += fake_machine.tsc_step;
}
uint64_t stage_read_cr2(void)
{
	return 0;
}
uint64_t stage_read_cr3(void)
{
	return fake_machine.cr3;
}
void stage_write_cr3(uint64_t v)
{
	fake_machine.cr3 = v;
}
void stage_pause(void) {}
void stage_interrupts_on(void) {}
void stage_interrupts_off(void) {}
struct stage_cpu *stage_cpu(void)
{
	return &fake_machine.cpu;
}

void stage_invlpg(const void *virt)
{
	(void)virt;
	fake_machine.flushes++;
}

/* No-execute is on. */
uint64_t stage_rdmsr(uint32_t msr)
{
	return msr == 0xc0000080 ? 0x800 : 0;
}

void stage_wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == 0xc0000100)
		fake_machine.fs_base = v;
}

struct stage_cpuid stage_cpuid(uint32_t leaf, uint32_t sub)
{
	return fake_machine.cpuid ? fake_machine.cpuid(leaf, sub) : (struct stage_cpuid){ 0 };
}

void stage_wait_for_interrupt(void)
{
	if (fake_machine.interrupt)
		fake_machine.interrupt();
}

bool stage_rdrand(uint64_t *out)
{
	*out = 0x1122334455667788;
	return fake_machine.rdrand;
}

uint64_t stage_service(uint64_t service, uint64_t first, uint64_t second)
{
	if (service == KCHAIN_SERVICE_EXIT) {
		fake_machine.exit = (int)first;
		fake_end();
	}
	return fake_machine.service ? fake_machine.service(service, first, second) : UINT64_MAX;
}

#endif
