/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the window of a called native kernel: its physical memory, what of it the kernel sees where, and the page tables
 * that show it nothing else writable.
 * Must not know: how the kernel is entered or taken back. */
#ifndef STAGE_CALL_WINDOW_H
#define STAGE_CALL_WINDOW_H

#include "stage/call.h"
#include "stage/cpu.h"

struct stage_call_window {
	uint64_t phys, bytes;      /* the claimed memory */
	uint64_t used;             /* bytes of it handed out so far, from the start */
	uint64_t root_phys;
	uint64_t virt_next;        /* where the next piece becomes visible */
	struct chain_range visible[3]; /* virtual: stack, mailbox, heap: what the kernel may point services at */
	uint64_t ist_top[STAGE_IST_COUNT];
	uint64_t stack_top, entry;
	uint64_t call_phys, call_virt, mailbox_phys;
};

/* Claims and fills a window for the request. Nothing stays claimed after a failure. */
enum chain_status stage_call_window_make(const struct stage_call_request *request, uint64_t stage_root,
					 struct stage_call_window *out, struct chain_error *err) CHAIN_MUST_CHECK;
void stage_call_window_free(struct stage_call_window *window);

#endif
