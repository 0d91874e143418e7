/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the instructions C has no words for. Outside of the stage they are functions that a test defines: ports,
 * counters and privileged registers of a machine of its own (stage/tests/fake_machine.h). Must not know: what they are
 * used for. */
#ifndef STAGE_INSTRUCTIONS_H
#define STAGE_INSTRUCTIONS_H

#include "abi/native.h"

#include <stdbool.h>
#include <stdint.h>

struct stage_cpuid {
	uint32_t a, b, c, d;
};

#if KCHAIN_STAGE
static inline void stage_outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void stage_outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void stage_outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline void stage_outs(uint16_t port, const void *bytes, uint64_t count)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}
static inline uint8_t stage_inb(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t stage_inw(uint16_t port)
{
	uint16_t v;
	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t stage_inl(uint16_t port)
{
	uint32_t v;
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint64_t stage_rdtsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}
static inline uint64_t stage_rdmsr(uint32_t msr)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}
static inline void stage_wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr) : "memory");
}
static inline struct stage_cpuid stage_cpuid(uint32_t leaf, uint32_t sub)
{
	struct stage_cpuid r;
	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
static inline uint64_t stage_read_cr2(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}
static inline uint64_t stage_read_cr3(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}
static inline void stage_write_cr3(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}
static inline void stage_invlpg(const void *virt)
{
	__asm__ volatile("invlpg (%0)" : : "r"(virt) : "memory");
}
/* One interrupt is let in, the processor halted until it comes. */
static inline void stage_wait_for_interrupt(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}
static inline void stage_interrupts_on(void)
{
	__asm__ volatile("sti");
}
static inline void stage_interrupts_off(void)
{
	__asm__ volatile("cli");
}
/* False: the processor had none ready. */
static inline bool stage_rdrand(uint64_t *out)
{
	uint8_t ok;
	__asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*out), "=qm"(ok) : : "cc");
	return ok;
}
/* A called kernel's request to its caller (abi/native.h). */
static inline uint64_t stage_service(uint64_t service, uint64_t first, uint64_t second)
{
	uint64_t result;
	__asm__ volatile("int %1"
			 : "=a"(result)
			 : "i"(KCHAIN_SERVICE_VECTOR), "a"(service), "D"(first), "S"(second)
			 : "memory");
	return result;
}
static inline void stage_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}
#else
void stage_outb(uint16_t port, uint8_t v);
void stage_outw(uint16_t port, uint16_t v);
void stage_outl(uint16_t port, uint32_t v);
void stage_outs(uint16_t port, const void *bytes, uint64_t count);
uint8_t stage_inb(uint16_t port);
uint16_t stage_inw(uint16_t port);
uint32_t stage_inl(uint16_t port);
uint64_t stage_rdtsc(void);
uint64_t stage_rdmsr(uint32_t msr);
void stage_wrmsr(uint32_t msr, uint64_t v);
struct stage_cpuid stage_cpuid(uint32_t leaf, uint32_t sub);
uint64_t stage_read_cr2(void);
uint64_t stage_read_cr3(void);
void stage_write_cr3(uint64_t v);
void stage_invlpg(const void *virt);
void stage_wait_for_interrupt(void);
void stage_interrupts_on(void);
void stage_interrupts_off(void);
bool stage_rdrand(uint64_t *out);
uint64_t stage_service(uint64_t service, uint64_t first, uint64_t second);
void stage_pause(void);
#endif

/* By CPUID's leaf 1, ECX (bit 31 is nobody else's: APM volume 3, appendix E.3.2). */
static inline bool stage_is_under_hypervisor(void)
{
	return stage_cpuid(1, 0).c >> 31;
}

#endif
