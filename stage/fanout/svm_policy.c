/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What an isolated kernel sees of the processor: CPUID and MSRs. */

#include "svm_machine.h"

enum {
	/* CPUID 1 */
	ECX_MONITOR = 1 << 3, ECX_VMX = 1 << 5, ECX_SMX = 1 << 6, ECX_X2APIC = 1 << 21, ECX_DEADLINE = 1 << 24,
	ECX_OSXSAVE = 1 << 27,
	EDX_MCE = 1 << 7, EDX_APIC = 1 << 9, EDX_MTRR = 1 << 12, EDX_MCA = 1 << 14,
	/* CPUID 0x80000001 */
	EXT_SVM = 1 << 2, EXT_APIC_SPACE = 1 << 3, EXT_OSVW = 1 << 9, EXT_IBS = 1 << 10, EXT_SKINIT = 1 << 12, EXT_LWP = 1 << 15,
	EXT8_WBNOINVD = 1 << 9, /* CPUID 0x80000008 */
};
#define ECX_HYPERVISOR (1u << 31)
#define HYPERVISOR_MAX 0x40000010u

static struct stage_cpuid hypervisor(uint32_t leaf, uint32_t tsc_khz)
{
	/* The ports of a machine under QEMU are those that are here (0xe9, 0xf4, 0x604), so that is what it calls itself: a booted native
	 * kernel knows by it how to leave. */
	if (leaf == 0x40000000)
		return (struct stage_cpuid){ HYPERVISOR_MAX, 0x54474354, 0x43544743, 0x47435447 }; /* "TCGTCGTCGTCG" */
	return (struct stage_cpuid){ leaf == HYPERVISOR_MAX ? tsc_khz : 0, 0, 0, 0 };
}

struct stage_cpuid svm_cpuid(uint32_t leaf, struct stage_cpuid r, bool os_xsave, uint32_t tsc_khz)
{
	const uint32_t absent = EDX_MCE | EDX_APIC | EDX_MTRR | EDX_MCA;
	if (leaf >= 0x40000000 && leaf < 0x50000000)
		return hypervisor(leaf, tsc_khz);
	switch (leaf) {
	case 1:
		r.b = (r.b & 0xff00) | 1u << 16; /* APIC id 0, one processor */
		r.c &= ~(uint32_t)(ECX_MONITOR | ECX_VMX | ECX_SMX | ECX_X2APIC | ECX_DEADLINE | ECX_OSXSAVE);
		r.c |= ECX_HYPERVISOR | (os_xsave ? (uint32_t)ECX_OSXSAVE : 0);
		r.d &= ~absent;
		return r;
	case 0x80000001:
		r.c &= ~(uint32_t)(EXT_SVM | EXT_APIC_SPACE | EXT_OSVW | EXT_IBS | EXT_SKINIT | EXT_LWP);
		r.d &= ~absent;
		return r;
	case 5: /* MONITOR */
	case 0xa: /* performance counters */
	case 0xb: case 0x1f: /* processors */
	case 0x8000000a: /* SVM */
	case 0x8000001b: case 0x8000001c: case 0x8000001f: /* IBS, LWP, memory encryption */
		return (struct stage_cpuid){ 0, 0, 0, 0 };
	case 0x80000008:
		r.b &= ~(uint32_t)EXT8_WBNOINVD;
		r.c = 0; /* processors */
		return r;
	default:
		return r;
	}
}

const uint32_t *svm_msr_own(void)
{
	/* VMSAVE and VMLOAD carry them (APM 15.5.2); the last three are SYSENTER's. */
	static const uint32_t own[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
					0x174, 0x175, 0x176, 0 };
	return own;
}

enum {
	MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_PAT = 0x277,
	EFER_SCE = 1, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11, EFER_SVME = 1 << 12,
};
#define MSR_EFER 0xc0000080u

static bool pat_ok(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t type = (uint8_t)(pat >> 8 * i);
		if (type > 7 || type == 2 || type == 3) /* APM 7.8.1 */
			return false;
	}
	return true;
}

enum svm_verdict svm_msr(struct svm_machine *m, bool write, uint32_t msr, uint64_t *value, uint64_t *efer, uint64_t *pat)
{
	const uint64_t settable = EFER_SCE | EFER_LME | EFER_NXE;
	m->what = msr == MSR_APIC_BASE ? "the local APIC, MSR" : write ? "to write an MSR" : "to read an MSR";
	if (msr == MSR_EFER && !write) {
		*value = *efer & ~(uint64_t)EFER_SVME;
		return SVM_GO_ON;
	}
	if (msr == MSR_EFER && !(*value & ~(settable | EFER_LMA))) {
		*efer = (*value & settable) | (*efer & EFER_LMA) | EFER_SVME;
		return SVM_GO_ON;
	}
	if (msr == MSR_PAT && (!write || pat_ok(*value))) {
		*(write ? pat : value) = write ? *value : *pat;
		return SVM_GO_ON;
	}
	if (msr == MSR_TSC && !write) {
		*value = stage_rdtsc();
		return SVM_GO_ON;
	}
	return SVM_NEEDS;
}
