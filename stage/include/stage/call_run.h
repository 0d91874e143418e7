/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one kernel's turn on the processor it runs on: entering its window, serving it, and coming back when it exits,
 * faults or its time is up. Works on any processor, and needs neither heap nor console. Must not know: where the window
 * came from, what happens with the outcome. */
#ifndef STAGE_CALL_RUN_H
#define STAGE_CALL_RUN_H

#include "stage/call_time.h"
#include "stage/call_window.h"

struct stage_call_run {
	struct stage_call_window window;
	struct stage_call_result result; /* without the mailbox's bytes */
	struct stage_call_time time;     /* what the ticker watches; of a processor without one its timeout stays 0 */
	/* Text of the kernel, readable here. Called in a trap. */
	void (*write)(struct stage_call_run *run, const char *bytes, uint64_t count);
	/* KCHAIN_SERVICE_START, in a trap; null: refused. */
	uint64_t (*start)(struct stage_call_run *run, uint64_t entry, uint64_t argument);
	/* Null, or what else the boot processor does at a tick that interrupts the kernel. Its time does not count. */
	void (*look)(struct stage_call_run *run);
	/* Which of the kernel's processors this is. 0: its first, entered with the call block; another is entered with
	 * its number and `argument`. */
	uint32_t cpu;
	uint64_t argument;
	uint64_t saved_rsp; /* the stage's stack, see stage_call_enter */
	uint64_t stage_root;
};

/* Points the traps at calls; once is enough. CHAIN_E_NO_MEMORY. */
enum chain_status stage_call_run_init(struct chain_error *err) CHAIN_MUST_CHECK;
/* Fills in `result`. The window must be as made or reset. */
void stage_call_run(struct stage_call_run *run);
/* The ticker has interrupted the kernel, or an exit of a guest's: looks, and says whether its time is up. */
bool stage_call_run_is_over(struct stage_call_run *run);
/* The result in the window, with its bytes as `mailbox_claimed` in `run->result` says; null: none, or more than there
 * is room for. */
const char *stage_call_mailbox(const struct stage_call_run *run);

#endif
