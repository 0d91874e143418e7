/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/cpu.h"

#include "chain/x86_registers.h"
#include "stage/boot.h"
#include "trap_layout.h"

#include <assert.h>
#include <string.h>

static_assert(offsetof(struct stage_cpu, gdt) == 0, "SGDT gives the block");
static_assert(offsetof(struct stage_cpu, self) == CPU_SELF, "CPU_SELF");
static_assert(offsetof(struct stage_cpu, root_phys) == CPU_ROOT, "CPU_ROOT");
static_assert(offsetof(struct stage_cpu, fs_base) == CPU_FS_BASE, "CPU_FS_BASE");
static_assert(offsetof(struct stage_cpu, stacks) == CPU_STACKS, "CPU_STACKS");
static_assert(offsetof(struct stage_cpu, entry_offset) == CPU_ENTRY_OFFSET, "CPU_ENTRY_OFFSET");
static_assert(offsetof(struct stage_cpu, cr0) == CPU_CR0 && offsetof(struct stage_cpu, cr4) == CPU_CR4,
	      "control registers");
static_assert(sizeof(struct stage_entry_area) == ENTRY_AREA_BYTES, "ENTRY_AREA_BYTES");
static_assert(STAGE_ENTRY_STACK_BYTES == 1 << ENTRY_STACK_SHIFT && (int)STAGE_IST_COUNT == ENTRY_STACKS,
	      "entry stacks");
static_assert(sizeof(struct stage_trap_frame) == TRAP_FRAME_BYTES && TRAP_FRAME_BYTES < STAGE_ENTRY_STACK_BYTES,
	      "trap frame");
static_assert(sizeof(struct stage_tss) == 104, "TSS");
static_assert(offsetof(struct stage_trap_frame, vector) == 16 * 8, "trap frame");
static_assert(offsetof(struct stage_trap_frame, rip) == TRAP_RIP && offsetof(struct stage_trap_frame, rsp) == TRAP_RSP,
	      "TRAP_RIP, TRAP_RSP");
static_assert((int)STAGE_IST_NMI == ENTRY_STACK_NMI && (int)STAGE_HANDLER_STACK_LEAST == HANDLER_STACK_LEAST,
	      "stack of the NMI");

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

struct idt_gate { /* APM 4.8.4 */
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};
static_assert(sizeof(struct idt_gate) == 16, "interrupt gate");

enum {
	MSR_STAR = 0xc0000081,
	MSR_LSTAR = 0xc0000082,
	MSR_SFMASK = 0xc0000084,
	MSR_GS_BASE = 0xc0000101,
	GATE_INTERRUPT = 0x8e,
	VECTORS = 256,
	RFLAGS_MASKED = 0x44700, /* at SYSCALL: TF, IF, DF, NT, AC off */
};

/* Shared by all processors. */
static struct idt_gate idt[VECTORS] STAGE_BOOT_ONLY __attribute__((aligned(4096)));
extern const uint8_t stage_trap_entries[];
void stage_syscall_entry(void);

static enum stage_ist ist_of(unsigned vector)
{
	switch (vector) {
	case 2: /* NMI */
		return STAGE_IST_NMI;
	case 8:  /* double fault */
	case 18: /* machine check */
		return STAGE_IST_DOUBLE;
	default:
		return vector < 32 ? STAGE_IST_FAULT : STAGE_IST_INTERRUPT;
	}
}

static void fill_idt(void)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		uint64_t entry = (uint64_t)stage_trap_entries + v / TRAP_GROUP * TRAP_GROUP_BYTES +
				 v % TRAP_GROUP * TRAP_ENTRY_BYTES;
		idt[v] = (struct idt_gate){ .offset_low = (uint16_t)entry,
					    .selector = STAGE_SEL_CODE,
					    .ist = (uint8_t)(ist_of(v) + 1),
					    .type = GATE_INTERRUPT,
					    .offset_middle = (uint16_t)(entry >> 16),
					    .offset_high = (uint32_t)(entry >> 32) };
	}
}

static void fill_gdt(struct stage_cpu *cpu)
{
	uint64_t tss = (uint64_t)&cpu->tss, limit = sizeof(cpu->tss) - 1;
	cpu->gdt[STAGE_SEL_CODE / 8] = 0x00af9b000000ffff;
	cpu->gdt[STAGE_SEL_DATA / 8] = 0x00cf93000000ffff;
	cpu->gdt[STAGE_SEL_TSS / 8] = limit | (tss & 0xffffff) << 16 | (uint64_t)0x89 << 40 | (tss >> 24 & 0xff) << 56;
	cpu->gdt[STAGE_SEL_TSS / 8 + 1] = tss >> 32;
}

STAGE_BOOT_TEXT static void load_tables(struct stage_cpu *cpu)
{
	struct table_pointer gdtr = { sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt };
	struct table_pointer idtr = { sizeof(idt) - 1, (uint64_t)idt };
	__asm__ volatile("lgdt %0\n\t"
			 "lidt %1\n\t"
			 "mov %w3, %%ss\n\t"
			 "pushq %q2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tltr %w4"
			 :
			 : "m"(gdtr), "m"(idtr), "r"((uint64_t)STAGE_SEL_CODE), "r"(STAGE_SEL_DATA), "r"(STAGE_SEL_TSS)
			 : "rax", "memory");
	__asm__ volatile("mov %w0, %%ds\n\tmov %w0, %%es\n\tmov %w1, %%fs\n\tmov %w1, %%gs"
			 :
			 : "r"(STAGE_SEL_DATA), "r"(0));
	stage_wrmsr(MSR_FS_BASE, 0);
	stage_wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

/* XSAVE and AVX need the operating system's consent: CR4.OSXSAVE and XCR0 (APM 11.5.1). */
STAGE_BOOT_TEXT static void enable_vectors(void)
{
	enum { XSAVE = 1 << 26, AVX = 1 << 28 };
	uint32_t features = stage_cpuid(1, 0).c;
	if (!(features & XSAVE))
		return;
	uint64_t cr4;
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 1u << 18));
	__asm__ volatile("xsetbv" : : "c"(0), "a"(features & AVX ? 7 : 3), "d"(0)); /* x87, SSE, AVX */
}

void stage_cpu_restore_syscall(void)
{
	stage_wrmsr(MSR_STAR, (uint64_t)STAGE_SEL_CODE << 32); /* CS, and SS behind it */
	stage_wrmsr(MSR_LSTAR, (uint64_t)stage_syscall_entry);
	stage_wrmsr(MSR_SFMASK, RFLAGS_MASKED);
}

const void *stage_idt(void)
{
	return idt;
}

STAGE_BOOT_TEXT static void load(struct stage_cpu *cpu)
{
	cpu->self = cpu;
	cpu->tss.io_map = sizeof(cpu->tss);
	for (size_t i = 0; i < STAGE_IST_COUNT; i++)
		cpu->tss.ist[i] = stage_entry_stack(cpu, (enum stage_ist)i);
	fill_gdt(cpu);
	load_tables(cpu);
}

STAGE_BOOT_TEXT void stage_cpu_init(struct stage_cpu *cpu, uint32_t index, const uint64_t stacks[STAGE_IST_COUNT])
{
	cpu->index = index;
	cpu->apic_id = stage_cpuid(1, 0).b >> 24;
	cpu->root_phys = stage_read_cr3();
	for (size_t i = 0; i < STAGE_IST_COUNT; i++)
		cpu->stacks[i] = stacks[i];
	if (index == 0)
		fill_idt();
	load(cpu);
	enable_vectors();
	__asm__("mov %%cr0, %0\n\tmov %%cr4, %1" : "=r"(cpu->cr0), "=r"(cpu->cr4));
	stage_cpu_restore_syscall();
}

STAGE_BOOT_TEXT void stage_cpu_move(struct stage_cpu *cpu)
{
	load(cpu);
	stage_wrmsr(MSR_FS_BASE, cpu->fs_base); /* loading FS has cleared it */
}
