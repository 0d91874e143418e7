/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: entering a guest under AMD's secure virtual machine, and coming back (APM volume 2, chapter 15).
 * Must not know: what the guest is, why it came back. */
#ifndef STAGE_SVM_H
#define STAGE_SVM_H

#include <stdbool.h>
#include <stdint.h>

/* Registers that neither VMRUN nor VMLOAD carry; RAX, RSP, RIP and RFLAGS are in the VMCB. */
struct stage_svm_registers {
	uint8_t fx[512] __attribute__((aligned(16)));
	uint64_t rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};

/* Null: this processor can run guests with nested paging; else what it lacks. */
const char *stage_svm_lacks(void);
/* Alike on all processors. */
struct stage_svm_processor {
	bool tells_next; /* a VMCB says where the next instruction is */
	bool has_tsc_aux;
	uint64_t all_xcr0; /* every part of the state that XSAVE knows; 0: there is no XSAVE */
	uint64_t own_xcr0; /* of these, what the stage uses, and guests may */
};
void stage_svm_probe(struct stage_svm_processor *out);

/* On the processor that runs guests, before one's first entry: SVM is on, `host_save_phys` (a page) is where VMRUN
 * keeps the host, and no register shows what ran before. */
void stage_svm_prepare(const struct stage_svm_processor *processor, uint64_t host_save_phys,
		       struct stage_svm_registers *registers);
/* After a guest's last exit. */
void stage_svm_leave(const struct stage_svm_processor *processor);

/* Runs the guest until its next exit. Interrupts must be off, and stay so for it too: only NMI, INIT and its own doing
 * bring it back. `host_phys`: a page for the host's part of what VMLOAD carries. */
void stage_svm_enter(struct stage_svm_registers *registers, uint64_t vmcb_phys, uint64_t host_phys);

#endif
