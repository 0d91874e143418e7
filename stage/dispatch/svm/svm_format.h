/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what AMD's secure virtual machine reads and writes in memory (APM volume 2, appendices B and C). C only.
 * Must not know: what is done with it. */
#ifndef STAGE_SVM_FORMAT_H
#define STAGE_SVM_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct svm_segment {
	uint16_t selector, attributes; /* attributes: descriptor bits 40 to 47 and 52 to 55, packed */
	uint32_t limit;
	uint64_t base;
};

struct svm_vmcb {
	/* B.1: control */
	uint32_t intercept_cr, intercept_dr, intercept_exceptions;
	uint32_t intercept_first;  /* exits from 0x60 on, a bit each */
	uint32_t intercept_second; /* exits from 0x80 on */
	uint32_t intercept_third;  /* exits from 0xa0 on */
	uint8_t reserved0[0x40 - 0x18];
	uint64_t iopm_phys, msrpm_phys, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, reserved1[3];
	uint64_t virtual_interrupt, interrupt_shadow;
	uint64_t exit_code, exit_info1, exit_info2, exit_interrupt;
	uint64_t nested_control, avic_apic_bar, ghcb;
	uint64_t event_injection;
	uint64_t nested_root;
	uint64_t virtual_extensions;
	uint32_t clean, reserved2;
	uint64_t next_rip;
	uint8_t reserved3[0x400 - 0xd0];
	/* B.2: state */
	struct svm_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved4[0x4cb - 0x4a0];
	uint8_t cpl;
	uint8_t reserved5[4];
	uint64_t efer;
	uint8_t reserved6[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved7[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved8[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved9[0x668 - 0x648];
	uint64_t pat;
	uint8_t reserved10[0x1000 - 0x670];
};
static_assert(offsetof(struct svm_vmcb, iopm_phys) == 0x40 && offsetof(struct svm_vmcb, asid) == 0x58, "control");
static_assert(offsetof(struct svm_vmcb, exit_code) == 0x70 && offsetof(struct svm_vmcb, nested_control) == 0x90,
	      "control");
static_assert(offsetof(struct svm_vmcb, event_injection) == 0xa8 && offsetof(struct svm_vmcb, next_rip) == 0xc8,
	      "control");
static_assert(offsetof(struct svm_vmcb, es) == 0x400 && offsetof(struct svm_vmcb, tr) == 0x490, "segments");
static_assert(offsetof(struct svm_vmcb, efer) == 0x4d0 && offsetof(struct svm_vmcb, cr4) == 0x548, "state");
static_assert(offsetof(struct svm_vmcb, rip) == 0x578 && offsetof(struct svm_vmcb, rsp) == 0x5d8, "state");
static_assert(offsetof(struct svm_vmcb, rax) == 0x5f8 && offsetof(struct svm_vmcb, cr2) == 0x640, "state");
static_assert(offsetof(struct svm_vmcb, pat) == 0x668 && sizeof(struct svm_vmcb) == 4096, "state");

/* Appendix C. */
enum svm_exit {
	SVM_EXIT_READ_DR0 = 0x20,
	SVM_EXIT_WRITE_DR15 = 0x3f,
	SVM_EXIT_DEBUG = 0x41,
	SVM_EXIT_ALIGNMENT = 0x51,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_RSM,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IO,
	SVM_EXIT_MSR,
	SVM_EXIT_FERR_FREEZE = 0x7e,
	SVM_EXIT_SHUTDOWN,
	SVM_EXIT_VMRUN,
	SVM_EXIT_VMMCALL,
	SVM_EXIT_VMLOAD,
	SVM_EXIT_VMSAVE,
	SVM_EXIT_STGI,
	SVM_EXIT_CLGI,
	SVM_EXIT_SKINIT,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR,
	SVM_EXIT_MWAIT,
	SVM_EXIT_MWAIT_ARMED,
	SVM_EXIT_XSETBV,
	SVM_EXIT_RDPRU,
	SVM_EXIT_MCOMMIT = 0xa3,
	SVM_EXIT_NESTED_FAULT = 0x400,
	SVM_EXIT_INVALID = -1, /* VMRUN found the state invalid; not by every processor's word in 64 bits */
};

enum {
	SVM_IOPM_BYTES = 3 * 4096,
	SVM_MSRPM_BYTES = 2 * 4096,
	SVM_IO_IN = 1,
	SVM_IO_STRING = 4,
	SVM_IO_BYTES_SHIFT = 4,
	SVM_IO_PORT_SHIFT = 16, /* EXITINFO1 of an I/O exit (15.10.2) */
	SVM_TLB_FLUSH_ALL = 1,
	SVM_NESTED_ENABLE = 1,
	SVM_VIRTUAL_MASKING = 1 << 24,
};
#define SVM_EVENT_EXCEPTION (3u << 8)
#define SVM_EVENT_HAS_ERROR (1u << 11)
#define SVM_EVENT_VALID     (1u << 31)

#endif
