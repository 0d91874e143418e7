/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/svm.h"

#include "chain/x86_registers.h"
#include "stage/instructions.h"
#include "svm_layout.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(offsetof(struct stage_svm_registers, rbx) == SVM_RBX &&
		      offsetof(struct stage_svm_registers, r15) == SVM_R15,
	      "registers");
static_assert(offsetof(struct stage_svm_registers, rdi) == SVM_RDI &&
		      offsetof(struct stage_svm_registers, r8) == SVM_R8,
	      "registers");

enum {
	MSR_VM_CR = 0xc0010114,
	VM_CR_SVMDIS = 1 << 4,
	CPUID_SVM = 1 << 2,
	NESTED_PAGING = 1 << 0,
	NEXT_RIP = 1 << 3,
	CPUID_XSAVE = 1 << 26,
	CPUID_RDTSCP = 1 << 27,
	FX_CONTROL = 0,
	FX_MXCSR = 24,
	CONTROL_DEFAULT = 0x37f,
	MXCSR_DEFAULT = 0x1f80,
};
#define MSR_TSC_AUX      0xc0000103u
#define MSR_HOST_SAVE_PA 0xc0010117u

const char *stage_svm_lacks(void)
{
	if (stage_cpuid(0x80000000, 0).a < 0x8000000a || !(stage_cpuid(0x80000001, 0).c & CPUID_SVM))
		return "it has no SVM";
	if (stage_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "its firmware has turned SVM off";
	return stage_cpuid(0x8000000a, 0).d & NESTED_PAGING ? NULL : "it has SVM without nested paging";
}

static uint64_t read_xcr0(void)
{
	uint32_t low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void write_xcr0(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

void stage_svm_probe(struct stage_svm_processor *out)
{
	struct stage_cpuid parts = stage_cpuid(0xd, 0);
	bool xsave = stage_cpuid(1, 0).c & CPUID_XSAVE;
	*out = (struct stage_svm_processor){
		.tells_next = stage_cpuid(0x8000000a, 0).d & NEXT_RIP,
		.has_tsc_aux = stage_cpuid(0x80000001, 0).d & CPUID_RDTSCP,
		.all_xcr0 = xsave ? (uint64_t)parts.d << 32 | parts.a : 0,
		.own_xcr0 = xsave ? read_xcr0() : 0,
	};
}

/* All parts of the state that XSAVE knows, as they are at first: an area whose header says that nothing was saved
 * brings that (APM 11.5.3). A guest can write to parts that it was not shown, with CR4.PKE, or where XSETBV can't be
 * caught (QEMU's emulation): XCR0 has them all for that long. */
static void reset_parts(const struct stage_svm_processor *processor)
{
	uint8_t none[576] __attribute__((aligned(64))) = { 0 };
	const uint32_t mxcsr = MXCSR_DEFAULT;
	if (!processor->all_xcr0)
		return;
	memcpy(none + FX_MXCSR, &mxcsr, sizeof(mxcsr)); /* what XRSTOR takes from there in any case */
	write_xcr0(processor->all_xcr0);
	__asm__ volatile("xrstor (%0)"
			 :
			 : "r"(none), "a"((uint32_t)processor->all_xcr0), "d"((uint32_t)(processor->all_xcr0 >> 32))
			 : "memory");
	write_xcr0(processor->own_xcr0);
}

void stage_svm_prepare(const struct stage_svm_processor *processor, uint64_t host_save_phys,
		       struct stage_svm_registers *registers)
{
	const uint16_t control = CONTROL_DEFAULT;
	const uint32_t mxcsr = MXCSR_DEFAULT;
	stage_wrmsr(MSR_EFER, stage_rdmsr(MSR_EFER) | EFER_SVME);
	stage_wrmsr(MSR_HOST_SAVE_PA, host_save_phys);
	if (processor->has_tsc_aux)
		stage_wrmsr(MSR_TSC_AUX, 0);
	memset(registers, 0, sizeof(*registers));
	memcpy(registers->fx + FX_CONTROL, &control, sizeof(control));
	memcpy(registers->fx + FX_MXCSR, &mxcsr, sizeof(mxcsr));
	reset_parts(processor);
}

void stage_svm_leave(const struct stage_svm_processor *processor)
{
	stage_wrmsr(MSR_EFER,
		    stage_rdmsr(MSR_EFER) & ~(uint64_t)EFER_SVME); /* the next kernel finds the processor as we did */
	if (processor->all_xcr0)
		write_xcr0(processor->own_xcr0);
}
