/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the processor: its own block of data, descriptor tables and traps (AMD64 Architecture Programmer's Manual, volume 2; "APM"
 * below).
 * Must not know: memory beyond the tables' layout, devices, kernels. */
#ifndef STAGE_CPU_H
#define STAGE_CPU_H

#include "stage/instructions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Selectors of every processor's GDT. Accessed bits are set beforehand: the table is read-only in a called kernel. */
enum { STAGE_SEL_CODE = 0x08, STAGE_SEL_DATA = 0x10, STAGE_SEL_TSS = 0x18 };

/* Every vector runs on an interrupt stack (APM 8.9.4), so a trap never depends on the interrupted stack. They are
 * apart so that none of them can arrive on the stack another still uses. */
enum stage_ist { STAGE_IST_FAULT, STAGE_IST_NMI, STAGE_IST_DOUBLE, STAGE_IST_INTERRUPT, STAGE_IST_COUNT };
enum { STAGE_IST_BYTES = 8192 };

struct __attribute__((packed)) stage_tss { /* APM 12.2.5 */
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map;
};

/* One a processor, pointed to by GS. The GDT is its first member, so that the trap entry finds the block by SGDT
 * whatever a called kernel did to GS. */
struct stage_cpu {
	uint64_t gdt[6];
	struct stage_cpu *self;
	uint64_t root_phys;   /* page tables that traps are handled under */
	uint64_t fs_base;     /* thread-local storage that trap handlers use */
	void *call;           /* the call under way on it, or null; stage/call.c's */
	uint32_t index;       /* 0 is the one that was booted */
	uint32_t apic_id;
	struct stage_tss tss;
};

#if KCHAIN_STAGE
static inline struct stage_cpu *stage_cpu(void)
{
	struct stage_cpu *cpu;
	__asm__("mov %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct stage_cpu, self)));
	return cpu;
}
#else
struct stage_cpu *stage_cpu(void);
#endif

/* What the entry code saves. `cr3` is what was loaded when the trap came, and is loaded again when it returns; changing any
 * of it changes where and how the return goes. x87 and SSE registers are saved and restored beside it. */
struct stage_trap_frame {
	uint64_t cr3;
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error_code; /* error_code 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Sets up a processor: GDT, TSS with `ist_tops`, the shared IDT, GS, SSE, and AVX where there is any. */
void stage_cpu_init(struct stage_cpu *cpu, uint32_t index, const uint64_t ist_tops[STAGE_IST_COUNT]);
/* Points SYSCALL back at the runtime's own handler (a called kernel points it elsewhere). */
void stage_cpu_restore_syscall(void);

/* Handlers run with interrupts off, under the stage's page tables. Null takes one away. */
typedef void stage_trap_handler(struct stage_trap_frame *frame);
void stage_cpu_set_handler(uint8_t vector, stage_trap_handler *handler);
/* A handler for a vector that has none. */
void stage_cpu_keep_quiet(uint8_t vector, stage_trap_handler *handler);
/* Asked first about every exception (vectors 0 to 31) without a handler; true: it took over, return by the frame. */
typedef bool stage_fault_hook(struct stage_trap_frame *frame);
void stage_cpu_set_fault_hook(stage_fault_hook *hook);
/* "page fault" and so on; "interrupt" from 32 on. */
const char *stage_vector_name(uint64_t vector);

/* A broken invariant of our own: prints the text and ends the program with failure. */
_Noreturn void stage_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Stops this processor for good. */
_Noreturn void stage_halt(void);

#endif
