/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: calling a native kernel on this processor: its window, its page tables, its entry, and taking the processor
 * back when it exits, faults or overruns its time (abi/native.h has the agreement with the kernel).
 * Must not know: pipelines, JSON, where the kernel's bytes came from. */
#ifndef STAGE_CALL_H
#define STAGE_CALL_H

#include "chain/guest.h"
#include "chain/range.h"

enum stage_call_outcome {
	STAGE_CALL_EXITED,  /* exit status in `exit` */
	STAGE_CALL_FAULTED, /* an exception: vector, rip and address say which */
	STAGE_CALL_TIMED_OUT,
	STAGE_CALL_HALTED,  /* isolated kernels only: it ended in good order without an exit status; `what` says how */
	STAGE_CALL_REFUSED, /* isolated kernels only: it needs `what` with the number `address`, which is not there */
	STAGE_CALL_DONE,    /* of a kernel's further processor, never of a kernel */
};

struct stage_assigned;

struct stage_call_request {
	const char *subject; /* the kernel's source, for errors */
	const uint8_t *
		kernel; /* ELF64 with the native note; borrowed, direct-mapped, page-aligned where it is to be shared */
	uint64_t kernel_bytes;
	const char *handoff;
	uint64_t handoff_bytes;
	const char *args;
	uint32_t index;        /* of a fan-out; 0 */
	struct chain_range fs; /* physical place of the baked filesystem; empty: none */
	uint64_t window_bytes; /* private memory; a multiple of 4096 */
	uint64_t timeout_us;   /* more than 0 */
	const char *
		marker; /* expected in the kernel's text; null: nothing. Not of a fan-out, whose client sees the text */
	const struct chain_guest_request *guest; /* of a Multiboot kernel: its machine; text_bytes is not used. Null: a
						    native kernel in a window */
	struct stage_assigned
		*devices;    /* of a native kernel: those that it has to itself (stage/given.h); null: none */
	uint64_t text_bytes; /* room for handoff and arguments of later calls in the same window; 0: this call's */
	uint64_t fs_table;   /* root-level table that shows the filesystem already (stage_call_fs_table); 0: the window
				makes its own */
	bool recycled;       /* the window is for more than one call */
	uint32_t cpus;       /* processors that share the window; 0 is 1 */
};

enum { STAGE_CALL_REGISTERS = 17 }; /* rax rbx rcx rdx rsi rdi rbp r8 to r15 rsp rflags */

struct stage_call_result {
	enum stage_call_outcome outcome;
	uint8_t exit;
	uint8_t vector;
	bool instruction; /* of a fault: INT n with that vector, and no exception */
	bool located; /* of a fault: rip and registers are the kernel's own when it came; else nothing is known of them
		       */
	uint32_t cpu; /* which of the kernel's processors faulted or exited; 0: its first */
	uint64_t rip, address, error_code;
	uint64_t registers[STAGE_CALL_REGISTERS];
	uint64_t overflowed; /* of a fault: bytes of the stack that it ran off the end of; 0: it did not */
	bool marker_seen;    /* the request's, in its text */
	const char *what;    /* of a kernel that is not native: says more than the vector; null: nothing to say */
	char *mailbox;       /* owned, terminated; null when the kernel left no result, or there was no memory for it */
	bool mailbox_lost;   /* there was none: mailbox_claimed bytes */
	uint64_t mailbox_bytes;
	uint64_t mailbox_claimed; /* what the kernel said it left; above mailbox_bytes: it would not have fitted */
	uint64_t ticks;           /* from dispatch to the processor's return */
};

enum { STAGE_CALL_MAILBOX_BYTES = 16 * 1024, STAGE_CALL_STACK_BYTES = 32 * 1024 };

/* Fails (CHAIN_E_…) only before the kernel is entered: not native, another ABI, segments outside its range, too small a
 * window (says how much is missing), no memory. What the kernel does after that is in `out`, whose mailbox the caller
 * frees. */
enum chain_status stage_call(const struct stage_call_request *request, struct stage_call_result *out,
			     struct chain_error *err) CHAIN_MUST_CHECK;

/* The same for a Multiboot 1 kernel: in a machine of its own (stage/dispatch/svm/svm.c), or where its addresses say
 * (fixed.c). */
enum chain_status stage_call_isolated(const struct stage_call_request *request, struct stage_call_result *out,
				      struct chain_error *err) CHAIN_MUST_CHECK;

const char *stage_call_outcome_name(enum stage_call_outcome outcome);

#endif
