/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the window of a called native kernel: its physical memory, what of it the kernel sees where, and the page
 * tables that show it nothing else writable. Must not know: how the kernel is entered or taken back. */
#ifndef STAGE_CALL_WINDOW_H
#define STAGE_CALL_WINDOW_H

#include "abi/native.h"
#include "chain/elf.h"
#include "stage/call.h"

/* A part of the window that the kernel can write to. */
struct stage_call_piece {
	uint64_t virt, phys, bytes;
	const uint8_t *file;
	uint64_t file_bytes; /* what it begins with; zero behind */
	uint64_t *entries;   /* of a window that is used again: the table entries of its pages; null: in more than one
				table */
};

enum { STAGE_VISIBLE_STACK, STAGE_VISIBLE_MAILBOX, STAGE_VISIBLE_HEAP, STAGE_VISIBLE_COUNT };

struct stage_call_window {
	uint64_t phys, bytes; /* the claimed memory */
	uint64_t used;        /* bytes of it handed out so far, from the start */
	uint64_t root_phys;
	uint64_t virt_next;                              /* where the next piece becomes visible */
	struct chain_range visible[STAGE_VISIBLE_COUNT]; /* virtual: what the kernel may point services at */
	uint64_t entry_phys; /* the page that the processor's traps arrive in (stage/cpu.h) */
	uint64_t stack_top, entry;
	uint64_t call_phys, call_virt, mailbox_phys;
	uint64_t heap_phys;
	uint64_t text_phys, text_virt, text_room; /* handoff and arguments */
	uint64_t team_phys, team_virt;            /* struct kchain_team, where there are several processors; else 0 */
	struct kchain_call block;                 /* what its call block says of each task */
	struct stage_call_piece *pieces;
	size_t piece_count; /* owned */
	bool wipe;          /* all of it is to be cleared before the next use, not only what was written to */
};

/* Tables that show the filesystem to many windows at once. 0 in `root_entry`: no memory. Free them when the last window
 * is gone. */
struct stage_call_fs_table {
	uint64_t phys, bytes, used; /* memory of the tables */
	uint64_t root_entry;        /* for stage_call_window_request */
};
bool stage_call_fs_table_make(struct chain_range fs, struct stage_call_fs_table *out);
void stage_call_fs_table_free(struct stage_call_fs_table *table);

struct stage_call_window_request {
	const struct stage_callee *callee; /* a native one */
	uint32_t processor;                /* the kernel has as many as it asks for, from this one on */
	uint64_t fs_root_entry;            /* root-level table that shows the filesystem; 0: the window makes its own */
	bool recycled;                     /* for more than one task */
};

/* Claims a window and lays it out; a task's texts and call block are still to be filled in. Nothing stays claimed after
 * a failure. */
enum chain_status stage_call_window_make(const struct stage_call_window_request *request, struct stage_call_window *out,
					 struct chain_error *err) CHAIN_MUST_CHECK;
/* What differs from one task to the next. To be run on the processor that enters the window. */
void stage_call_window_fill(const struct stage_call_window *window, const struct stage_call_task *task);
/* Makes a recycled window as it was for another task, and fills that in. Only pages that were written to are cleared,
 * and the heap too; so it costs what the last task touched. */
void stage_call_window_reset(struct stage_call_window *window, const struct stage_call_task *task);
/* The same for one that is not recycled: what the kernel's file says is as it was, all else as the last task left it.
 */
void stage_call_window_renew(const struct stage_call_window *window);
/* As the cpu-th of the kernel's processors sees it: with stacks of its own. Owns nothing. */
struct stage_call_window stage_call_window_of(const struct stage_call_window *window, uint32_t cpu);
void stage_call_window_free(struct stage_call_window *window);

#endif
