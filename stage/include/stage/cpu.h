/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the processor: its own block of data, descriptor tables and traps (AMD64 Architecture Programmer's Manual,
 * volume 2; "APM" below). Must not know: memory beyond the tables' layout, devices, kernels. */
#ifndef STAGE_CPU_H
#define STAGE_CPU_H

#include "stage/instructions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Selectors of every processor's GDT. Accessed bits are set beforehand: the table is read-only in a called kernel. */
enum { STAGE_SEL_CODE = 0x08, STAGE_SEL_DATA = 0x10, STAGE_SEL_TSS = 0x18 };

/* Every vector has an interrupt stack (APM 8.9.4), so a trap never depends on the interrupted stack. They are
 * apart so that none of them can arrive on the stack another still uses. The processor pushes its frame onto an entry
 * stack, of which there is one for each; the handler has a stack of its own with a copy (stage/cpu/trap_entry.S). */
enum stage_ist { STAGE_IST_FAULT, STAGE_IST_NMI, STAGE_IST_DOUBLE, STAGE_IST_INTERRUPT, STAGE_IST_COUNT };

struct __attribute__((packed)) stage_tss { /* APM 12.2.5 */
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map;
};

/* One a processor, pointed to by GS. */
struct stage_cpu {
	uint64_t gdt[6];
	struct stage_cpu *self;           /* the trap entry finds the block by RSP, and is sure by this */
	uint64_t root_phys;               /* page tables that traps are handled under */
	uint64_t fs_base;                 /* thread-local storage that trap handlers use */
	uint64_t stacks[STAGE_IST_COUNT]; /* where those of the handlers end */
	uint64_t entry_offset; /* of a called kernel: its entry page's address in the direct map, less where it sees it;
				  0: none is called */
	uint64_t cr0, cr4;     /* as the stage has them: a called kernel may have changed them by mistake */
	void *call;            /* the call under way on it, or null; stage/dispatch/call.c's */
	struct stage_pool *pool; /* what values of JSON are made in on it (stage/malloc.h); null: in the heap */
	uint32_t index;          /* 0 is the one that was booted */
	uint32_t apic_id;
	struct stage_tss tss;
};

/* Where a processor's traps arrive: its block, a page, then a page with its entry stacks. A called kernel sees the
 * first one read-only, and in place of the second one a page of its own window. In the image for the processor that was
 * booted; for the others, and for that one too before it calls a kernel, at KCHAIN_ENTRY_VIRT (stage/entry_area.h). */
enum { STAGE_ENTRY_PAGE = 4096, STAGE_ENTRY_STACK_BYTES = 256, STAGE_HANDLER_STACK_LEAST = 4096 };
struct __attribute__((aligned(2 * STAGE_ENTRY_PAGE))) stage_entry_area {
	union {
		struct stage_cpu cpu;
		uint8_t page[STAGE_ENTRY_PAGE];
	};
	uint8_t stacks[STAGE_ENTRY_PAGE];
};
/* Where an entry stack ends. */
static inline uint64_t stage_entry_stack(const struct stage_cpu *cpu, enum stage_ist ist)
{
	return (uint64_t)cpu + STAGE_ENTRY_PAGE + ((uint64_t)ist + 1) * STAGE_ENTRY_STACK_BYTES;
}

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

/* What the entry code saves. `cr3` is what was loaded when the trap came, and is loaded again when it returns; changing
 * any of it changes where and how the return goes. x87 and SSE registers are saved and restored beside it. */
struct stage_trap_frame {
	uint64_t cr3;
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error_code; /* STAGE_NO_ERROR_CODE: the processor pushed none */
	uint64_t rip, cs, rflags, rsp, ss;
};
#define STAGE_NO_ERROR_CODE UINT64_MAX
enum { STAGE_EXCEPTIONS = 32, STAGE_VECTOR_NMI = 2, STAGE_VECTOR_PAGE_FAULT = 14 };

/* Sets up a processor whose block is the first page of its entry area: GDT, TSS, the shared IDT, GS, SSE, and AVX where
 * there is any. `stacks` is where those of its handlers end, STAGE_HANDLER_STACK_LEAST bytes or more each. */
void stage_cpu_init(struct stage_cpu *cpu, uint32_t index, const uint64_t stacks[STAGE_IST_COUNT]);
/* The running processor's block is seen at `cpu` as well, and known there from now on. */
void stage_cpu_move(struct stage_cpu *cpu);
/* The table that all processors have, a page. */
const void *stage_idt(void);
/* Points SYSCALL back at the runtime's own handler (a called kernel points it elsewhere). */
void stage_cpu_restore_syscall(void);

/* Of any priority (a called kernel may have refused some by mistake: CR8, APM 8.5.1), once they are on. */
#if KCHAIN_STAGE
static inline void stage_cpu_accept_interrupts(void)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ull));
}
#endif

/* Handlers run with interrupts off, under the stage's page tables. Null takes one away. */
typedef void stage_trap_handler(struct stage_trap_frame *frame);
void stage_cpu_set_handler(uint8_t vector, stage_trap_handler *handler);
bool stage_cpu_has_handler(uint8_t vector);
/* Asked first about every trap; true: it took over, return by the frame. */
typedef bool stage_trap_hook(struct stage_trap_frame *frame);
void stage_cpu_set_trap_hook(stage_trap_hook *hook);
/* "page fault" and so on; "interrupt" from 32 on. */
const char *stage_vector_name(uint64_t vector);

/* A broken invariant of our own: prints the text and ends the program with failure. */
_Noreturn void stage_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Stops this processor for good. */
_Noreturn void stage_halt(void);

#endif
