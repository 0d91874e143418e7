/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/svm.h"

#include "stage/instructions.h"
#include "svm_layout.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(offsetof(struct stage_svm_registers, rbx) == SVM_RBX && offsetof(struct stage_svm_registers, r15) == SVM_R15, "registers");
static_assert(offsetof(struct stage_svm_registers, rdi) == SVM_RDI && offsetof(struct stage_svm_registers, r8) == SVM_R8, "registers");

enum {
	MSR_VM_CR = 0xc0010114, VM_CR_SVMDIS = 1 << 4, EFER_SVME = 1 << 12,
	CPUID_SVM = 1 << 2, NESTED_PAGING = 1 << 0, NEXT_RIP = 1 << 3,
	CR4_OSXSAVE = 1 << 18, STATE_AVX = 4,
	FX_CONTROL = 0, FX_MXCSR = 24, CONTROL_DEFAULT = 0x37f, MXCSR_DEFAULT = 0x1f80,
};
#define MSR_EFER         0xc0000080u
#define MSR_HOST_SAVE_PA 0xc0010117u

const char *stage_svm_lacks(void)
{
	if (stage_cpuid(0x80000000, 0).a < 0x8000000a || !(stage_cpuid(0x80000001, 0).c & CPUID_SVM))
		return "it has no SVM";
	if (stage_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "its firmware has turned SVM off";
	return stage_cpuid(0x8000000a, 0).d & NESTED_PAGING ? NULL : "it has SVM without nested paging";
}

bool stage_svm_tells_next(void) { return stage_cpuid(0x8000000a, 0).d & NEXT_RIP; }

static bool has_xsave(void)
{
	uint64_t cr4;
	__asm__("mov %%cr4, %0" : "=r"(cr4));
	return cr4 & CR4_OSXSAVE;
}

static uint64_t read_xcr0(void)
{
	uint32_t low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* The upper halves of the AVX registers: an area whose header says that nothing was saved brings the first state (APM 11.5.3). */
static void clear_avx(void)
{
	uint8_t none[576] __attribute__((aligned(64))) = { 0 };
	__asm__ volatile("xrstor (%0)" : : "r"(none), "a"(STATE_AVX), "d"(0) : "memory");
}

uint64_t stage_svm_prepare(uint64_t host_save_phys, struct stage_svm_registers *registers)
{
	const uint16_t control = CONTROL_DEFAULT;
	const uint32_t mxcsr = MXCSR_DEFAULT;
	uint64_t xcr0 = has_xsave() ? read_xcr0() : 0;
	stage_wrmsr(MSR_EFER, stage_rdmsr(MSR_EFER) | EFER_SVME);
	stage_wrmsr(MSR_HOST_SAVE_PA, host_save_phys);
	memset(registers, 0, sizeof(*registers));
	memcpy(registers->fx + FX_CONTROL, &control, sizeof(control));
	memcpy(registers->fx + FX_MXCSR, &mxcsr, sizeof(mxcsr));
	__asm__ volatile("mov %0, %%dr0\n\tmov %0, %%dr1\n\tmov %0, %%dr2\n\tmov %0, %%dr3" : : "r"(0ull));
	if (xcr0 & STATE_AVX)
		clear_avx();
	return xcr0;
}

/* A guest can change XCR0 where the processor does not let that be caught (QEMU's emulation). */
void stage_svm_leave(uint64_t xcr0)
{
	stage_wrmsr(MSR_EFER, stage_rdmsr(MSR_EFER) & ~(uint64_t)EFER_SVME); /* the next kernel finds the processor as we did */
	if (xcr0)
		__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)));
}
