/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What an isolated kernel sees of the processor: CPUID and MSRs. */

#include "svm_machine.h"

#include "chain/x86_registers.h"

/* Bits of CPUID that are shown: instructions, and state that is reset before each kernel. What is not listed is not
 * there, whatever the processor has: no MSR of it can be read, no register of it holds anything. */
#define B(n) (1u << (n))
/* 1: SSE3, PCLMULQDQ, SSSE3, FMA, CMPXCHG16B, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND */
#define ECX1_SHOWN                                                                                                     \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) | B(28) | B(29) |  \
	 B(30))
#define ECX1_OSXSAVE B(27)
/* 1: FPU, VME, DE, PSE, TSC, MSR, PAE, CMPXCHG8B, SYSENTER, PGE, CMOV, PAT, PSE-36, CLFLUSH, MMX, FXSR, SSE, SSE2, SS,
 * HTT */
#define EDX1_SHOWN                                                                                                     \
	(0x7f | B(8) | B(11) | B(13) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27) | B(28))
/* 7: FSGSBASE, BMI1, AVX2, FDP only on errors, SMEP, BMI2, ERMS, INVPCID, no FPU CS and DS, RDSEED, ADX, SMAP,
 * CLFLUSHOPT, CLWB, SHA */
#define EBX7_SHOWN                                                                                                     \
	(B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(18) | B(19) | B(20) | B(23) | B(24) | B(29))
/* 7: UMIP, GFNI, VAES, VPCLMULQDQ, LA57, RDPID, CLDEMOTE, MOVDIRI, MOVDIR64B; fast short moves, SERIALIZE */
#define ECX7_SHOWN (B(2) | B(8) | B(9) | B(10) | B(16) | B(22) | B(25) | B(27) | B(28))
#define EDX7_SHOWN (B(4) | B(14))
#define EAXD_SHOWN 7u /* 0xd.1: XSAVEOPT, XSAVEC, XGETBV of what is in use */
/* 0x80000001: LAHF, CR8 by LOCK, ABM, SSE4A, misaligned SSE, PREFETCHW, XOP, FMA4, TBM; not MCE, APIC, MTRR, MCA, FFXSR
 */
#define ECX81_SHOWN     (B(0) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21))
#define EDX81_ABSENT    (B(7) | B(9) | B(12) | B(14) | B(25))
#define EDX87_SHOWN     B(8)          /* 0x80000007: the TSC is invariant */
#define EBX88_SHOWN     (B(0) | B(2)) /* 0x80000008: CLZERO, error pointers by XSAVE */
#define ECX1_HYPERVISOR B(31)
#define HYPERVISOR_MAX  0x40000010u

static struct stage_cpuid hypervisor(uint32_t leaf, uint32_t tsc_khz)
{
	/* The ports of a machine under QEMU are those that are here (0xe9, 0xf4, 0x604), so that is what it calls
	 * itself: a booted native kernel knows by it how to leave. */
	if (leaf == 0x40000000)
		return (struct stage_cpuid){ HYPERVISOR_MAX, 0x54474354, 0x43544743, 0x47435447 }; /* "TCGTCGTCGTCG" */
	return (struct stage_cpuid){ leaf == HYPERVISOR_MAX ? tsc_khz : 0, 0, 0, 0 };
}

static struct stage_cpuid xsave(uint32_t sub, struct stage_cpuid r, uint64_t xcr0)
{
	if (!sub)
		return (struct stage_cpuid){ (uint32_t)xcr0, r.b, r.b, (uint32_t)(xcr0 >> 32) };
	if (sub == 1)
		return (struct stage_cpuid){ r.a & EAXD_SHOWN, r.b, 0, 0 };
	return sub < 64 && xcr0 >> sub & 1 ? r : (struct stage_cpuid){ 0, 0, 0, 0 };
}

struct stage_cpuid svm_cpuid(uint32_t leaf, uint32_t sub, struct stage_cpuid r, const struct svm_cpuid_view *view)
{
	switch (leaf) {
	case 1:
		r.b = (r.b & 0xff00) | 1u << 16; /* APIC id 0, one processor */
		r.c = (r.c & ECX1_SHOWN) | ECX1_HYPERVISOR | (view->os_xsave ? ECX1_OSXSAVE : 0);
		r.d &= EDX1_SHOWN;
		return r;
	case 7:
		if (!sub)
			return (struct stage_cpuid){ 0, r.b & EBX7_SHOWN, r.c & ECX7_SHOWN, r.d & EDX7_SHOWN };
		break;
	case 0xd:
		return xsave(sub, r, view->xcr0);
	case 0x80000001:
		r.c &= ECX81_SHOWN;
		r.d &= ~EDX81_ABSENT;
		return r;
	case 0x80000007:
		return (struct stage_cpuid){ 0, 0, 0, r.d & EDX87_SHOWN };
	case 0x80000008:
		return (struct stage_cpuid){ r.a, r.b & EBX88_SHOWN, 0, 0 }; /* ECX: processors */
	case 4:
		r.a &= 0x3fff; /* of one processor */
		return r;
	case 0:
	case 2:
	case 0x15:
	case 0x16: /* names, caches, rates */
	case 0x80000000:
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
	case 0x80000005:
	case 0x80000006:
	case 0x80000019:
	case 0x8000001a:
	case 0x8000001d:
		return r;
	default:
		break;
	}
	return leaf >= 0x40000000 && leaf < 0x50000000 ? hypervisor(leaf, view->tsc_khz) :
							 (struct stage_cpuid){ 0, 0, 0, 0 };
}

void svm_msr_let_pass(uint8_t *map)
{
	/* VMSAVE and VMLOAD carry them (APM 15.5.2); the last three are SYSENTER's. */
	static const uint32_t own[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
					0xc0000101, 0xc0000102, 0x174,      0x175,      0x176 };
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]);
	     i++) { /* two bits an MSR, read and write; ranges of 8192 (APM 15.11) */
		uint32_t at = (own[i] & 0x1fff) * 2 + (own[i] >= 0xc0000000 ? 0x800u : 0) * 8;
		map[at / 8] = (uint8_t)(map[at / 8] & ~(3u << at % 8));
	}
}

enum {
	MSR_TSC = 0x10,
	MSR_PAT = 0x277,
};
#define APIC_BASE_OFF 0xfee00100u /* of the processor that was booted; turned off, as CPUID says (APM 16.3.1) */

static bool pat_ok(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t type = (uint8_t)(pat >> 8 * i);
		if (type > 7 || type == 2 || type == 3) /* APM 7.8.1 */
			return false;
	}
	return true;
}

enum svm_verdict svm_msr(struct svm_machine *m, bool write, uint32_t msr, uint64_t *value, bool paging, uint64_t *efer,
			 uint64_t *pat)
{
	const uint64_t settable = EFER_SCE | EFER_LME | EFER_NXE;
	m->what = msr == MSR_APIC_BASE ? "the local APIC, MSR" : write ? "to write an MSR" : "to read an MSR";
	if (msr == MSR_EFER && !write) {
		*value = *efer & ~(uint64_t)EFER_SVME;
		return SVM_GO_ON;
	}
	if (msr == MSR_EFER && !(*value & ~(settable | EFER_LMA))) {
		if (paging && (*value ^ *efer) & EFER_LME)
			return SVM_PROTECTION; /* APM 14.6.1 */
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
	if (msr == MSR_APIC_BASE && (!write || *value == APIC_BASE_OFF)) {
		*value = APIC_BASE_OFF;
		return SVM_GO_ON;
	}
	return SVM_NEEDS;
}
