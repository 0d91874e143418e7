/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a call is: which kernel is called in which way, what one of its turns is given, how a turn ended; and
 * calling one kernel, once (often: stage/fanout.h).
 * Must not know: pipelines, JSON, where the kernel's bytes came from. */
#ifndef STAGE_CALL_H
#define STAGE_CALL_H

#include "chain/call_way.h"
#include "chain/guest.h"
#include "chain/range.h"

enum stage_call_outcome {
	STAGE_CALL_EXITED,    /* exit status in `exit` */
	STAGE_CALL_FAULTED,   /* an exception: vector, rip and address say which */
	STAGE_CALL_TIMED_OUT, /* `what`, of an isolated kernel: what it may have waited for, with `address` */
	STAGE_CALL_HALTED,  /* isolated kernels only: it ended in good order without an exit status; `what` says how */
	STAGE_CALL_REFUSED, /* isolated kernels only: it needs `what` with the number `address`, which is not there */
	STAGE_CALL_DONE,    /* of a kernel's further processor, never of a kernel */
};

struct stage_assigned;

/* The kernel, as each way of calling needs it. Borrowed, as is all that they point at. */
struct stage_callee_native {
	/* ELF64 with the native note (abi/native.h), direct-mapped; page-aligned where its text is to be shared. */
	const uint8_t *bytes;
	uint64_t bytes_count;
	struct chain_range fs; /* physical place of the baked filesystem; empty: none */
	uint64_t window_bytes; /* private memory; a multiple of 4096 */
	uint32_t cpus;         /* processors that share the window, at least 1 */
};
/* Where its addresses say: `guest.fixed`. */
struct stage_callee_fixed {
	struct chain_guest_request guest;
};
/* In a machine of its own: `guest.memory_bytes`. */
struct stage_callee_svm {
	struct chain_guest_request guest;
};

struct stage_callee {
	const char *subject; /* the kernel's source, for errors */
	uint64_t text_bytes; /* no task's handoff and terminated arguments are longer, together */
	enum chain_call_way way;
	union { /* by `way` */
		struct stage_callee_native native;
		struct stage_callee_fixed fixed;
		struct stage_callee_svm svm;
	};
};

/* What one turn is given. Borrowed. */
struct stage_call_task {
	uint32_t index, attempt; /* of a fan-out; else 0 */
	const char *handoff;
	uint64_t handoff_bytes;
	const char *args;
	struct stage_assigned *devices; /* of a native kernel: those that it has to itself; null: none */
};

/* One kernel, called once. */
struct stage_call {
	const struct stage_callee *callee;
	struct stage_call_task task;
	uint64_t timeout_us; /* more than 0 */
	const char *marker;  /* expected in the kernel's text; null: nothing */
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
	bool marker_seen;    /* the call's, in its text */
	const char *what;    /* of a kernel that is not native: says more than the vector; null: nothing to say */
	char *mailbox;       /* owned, terminated; null when the kernel left no result, or there was no memory for it */
	bool mailbox_lost;   /* there was none: mailbox_claimed bytes */
	uint64_t mailbox_bytes;
	uint64_t mailbox_claimed; /* what the kernel said it left; above mailbox_bytes: it would not have fitted */
	uint64_t ticks;           /* from dispatch to the processor's return */
};

enum { STAGE_CALL_MAILBOX_BYTES = 16 * 1024, STAGE_CALL_STACK_BYTES = 32 * 1024 };

/* A native kernel runs on this processor, any other on one of its own (stage/dispatch/fixed.c, svm/svm.c). Fails
 * (CHAIN_E_…) only before the kernel is entered: not native, another ABI, segments outside its range, too small a
 * window (says how much is missing), no memory, no processor. What the kernel does after that is in `out`, whose
 * mailbox the caller frees. */
enum chain_status stage_call(const struct stage_call *call, struct stage_call_result *out,
			     struct chain_error *err) CHAIN_MUST_CHECK;

/* The window of a native kernel is kept for its next call, until another is called, memory is short, or all memory is
 * wanted: by this, before a fan-out or a boot. */
void stage_call_forget(void);

#endif
