/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine an isolated kernel finds: its ports, its CPUID and its MSRs (docs/PIPELINE.md, isolation). Plain
 * data: everything the kernel says is only counted, kept or refused. Must not know: how the kernel's instruction was
 * caught; heap and console. */
#ifndef STAGE_SVM_MACHINE_H
#define STAGE_SVM_MACHINE_H

#include "stage/call.h"
#include "stage/instructions.h"
#include "svm_clocks.h"

enum {
	SVM_TEXT_BYTES = 240,
	SVM_RECORD_BYTES = STAGE_CALL_MAILBOX_BYTES + 64, /* an exit record with the largest result */
};

enum svm_verdict {
	SVM_GO_ON,
	SVM_NEEDS,      /* what is not there: `what` says it */
	SVM_ENDED,      /* the kernel ended itself: `outcome`, `exit`; `what` where there is more to say */
	SVM_PROTECTION, /* a general protection exception, as on any processor */
};

struct svm_machine {
	/* 16550 at COM1: what was written, and the loopback that drivers look for one with. */
	uint8_t uart[8], divisor[2], looped;
	bool looped_in;
	/* Two 8259s, initialised and masked but never heard of: the number of the initialisation word that comes next,
	 * 0: none does. `open`: the lines that are not masked. */
	struct svm_pic {
		uint8_t open, next, first;
	} pics[2];
	/* Of a VGA's CRT controller: where the cursor is. */
	uint8_t crt_index, cursor[2];
	uint8_t rtc_index;
	struct svm_pit pit;
	/* A line of text so far, handed on when it is whole; a line of the debug port that may be a record. */
	char text[SVM_TEXT_BYTES];
	uint32_t text_bytes;
	bool spoke, in_record, in_debug_text;
	char record[SVM_RECORD_BYTES];
	uint64_t record_bytes; /* may be more than there is room for */
	/* Of an exit record: where its result lies in `record`. */
	uint64_t result_at, result_bytes;
	enum stage_call_outcome outcome;
	uint8_t exit;
	const char *what;
	/* Kept by svm_machine_reset. */
	const struct svm_clocks *clocks;
	void (*write)(void *ctx, const char *bytes, uint64_t count);
	void *ctx;
};

void svm_machine_reset(struct svm_machine *m);
/* `value`: what is written, or what was read; `bytes` 1, 2 or 4. */
enum svm_verdict svm_machine_port(struct svm_machine *m, bool in, uint16_t port, unsigned bytes, uint32_t *value);
/* The lines of both 8259s that would come through, a bit each. */
uint16_t svm_machine_lines(const struct svm_machine *m);
/* Hands on a line of text that was begun. */
void svm_machine_flush(struct svm_machine *m);
/* The text of a VGA screen, if the kernel said nothing in any other way. */
void svm_machine_screen(struct svm_machine *m, const uint16_t *cells);

/* What the kernel is shown of the processor's own answer. */
struct svm_cpuid_view {
	bool os_xsave;
	uint32_t tsc_khz;
	uint64_t xcr0; /* parts of the state that it may use */
};
struct stage_cpuid svm_cpuid(uint32_t leaf, uint32_t sub, struct stage_cpuid own, const struct svm_cpuid_view *view);

/* MSRs that the processor itself keeps for each guest are read and written without an exit: clears their bits in the
 * permission map. */
void svm_msr_let_pass(uint8_t *map);
/* The others. `efer` and `pat` are the kernel's, and the only ones that can be written; `paging`: it has turned that
 * on. */
enum svm_verdict svm_msr(struct svm_machine *m, bool write, uint32_t msr, uint64_t *value, bool paging, uint64_t *efer,
			 uint64_t *pat);

/* What an access to this address, where the kernel has no memory, was after; null: nothing known. */
const char *svm_device_at(uint64_t phys);

#endif
