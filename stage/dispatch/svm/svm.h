/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one worker's guest: its memory, the pages the processor needs beside it, and its turn from entry to end.
 * Must not know: the queue it is fed from. */
#ifndef STAGE_FANOUT_SVM_H
#define STAGE_FANOUT_SVM_H

#include "chain/guest.h"
#include "stage/call_run.h"
#include "stage/svm.h"
#include "svm_format.h"
#include "svm_machine.h"

/* Of a fan-out: read only once it is made. */
struct svm_shared {
	struct chain_guest guest;
	uint64_t maps_phys; /* which ports and MSRs cause an exit: all but svm_msr_own's */
	struct svm_clocks clocks;
	struct stage_svm_processor processor;
};

/* As it was entered last: where that was refused, a VMCB may say otherwise. */
struct svm_entered {
	uint64_t rip, rsp, rax, rflags, cr0, cr4, efer;
	struct svm_segment cs;
};

struct svm_guest {
	struct stage_svm_registers registers;
	const struct svm_shared *shared;
	uint64_t memory_phys, bytes; /* the guest's memory, its nested tables behind it, then three pages */
	uint64_t tables_used, root_phys;
	uint64_t vmcb_phys, host_phys, host_save_phys;
	struct svm_vmcb *vmcb;
	struct svm_machine machine;
	struct svm_entered entered;
};

/* The state a Multiboot 1 kernel is entered with (section 3.2), and what of it is caught. */
void svm_guest_enter_state(struct svm_guest *guest);
/* Runs it until it ends, its time is up or the processor is taken away; fills in `run->result`. */
void svm_guest_run(struct svm_guest *guest, struct stage_call_run *run);
/* It is over: a line that it did not end, or its screen; in `result`, what it may have waited for until its time was
 * up. */
void svm_guest_say_rest(struct svm_guest *guest, struct stage_call_result *result);

#endif
