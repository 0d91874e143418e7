/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the memory of a called Multiboot kernel begins with: a plan for a machine with nothing but that memory
 * (from 0 on under "isolation", else a window of the real one: chain/fixed.h), and the plan carried out for the whole
 * of it or for any part, so that a used memory is made as new again where it was written to. Must not know: processors,
 * how a kernel is run. */
#ifndef CHAIN_GUEST_H
#define CHAIN_GUEST_H

#include "chain/fixed.h"
#include "chain/plan.h"

enum { CHAIN_GUEST_MEMORY_MIN = 2 * 1024 * 1024, CHAIN_GUEST_MEMORY_DEFAULT = 16 * 1024 * 1024 };

/* The machine it is planned for: `mem` is the caller's room for the map, and stays in use. */
enum { CHAIN_GUEST_MEM_ENTRIES = 2 };
struct chain_bootinfo chain_guest_machine(uint64_t memory_bytes, struct chain_mem_entry mem[CHAIN_GUEST_MEM_ENTRIES]);

/* Where an isolated guest comes to when it wants something of the BIOS: VMMCALL, in the segment CHAIN_GUEST_BIOS / 16 -
 * the interrupt's number. */
enum { CHAIN_GUEST_BIOS = 0xfe000 };

/* What a guest takes of the machine's memory: its own (whole pages), tables that show it nothing else, and what the
 * processor keeps beside it. */
enum { CHAIN_GUEST_OWN_PAGES = 3 };
uint64_t chain_guest_window_bytes(uint64_t memory_bytes);

/* All borrowed until chain_guest_free. */
struct chain_guest_request {
	const char *subject;           /* source of the kernel, for errors */
	const struct chain_door *door; /* one that says where its texts lie */
	const uint8_t *kernel;
	uint64_t kernel_bytes;
	const struct chain_plan_module *modules;
	size_t module_count; /* their bytes are copied from where `bytes` points */
	enum chain_handoff_at handoff_at;
	const char *handoff_string;
	uint64_t memory_bytes;                /* from address 0 on; not used with `fixed` */
	const struct chain_fixed *fixed;      /* null: isolated, in a machine of its own */
	const struct chain_bootinfo *machine; /* with `fixed`: what surrounds its window */
	uint64_t text_bytes;                  /* room that handoff and arguments get, each */
	bool video_required;                  /* as of a plan */
};

struct chain_guest {
	struct chain_plan plan;           /* owned; its sources: the kernel's bytes and the plan's own */
	bool isolated;                    /* a machine of its own: it has what a PC's BIOS leaves in memory */
	uint64_t base, memory_bytes;      /* in whole pages; of a window its mailbox is not part */
	struct chain_range handoff, args; /* their rooms */
	uint64_t handoff_end_at;          /* where the module list says how far the handoff reaches; 0: there is none */
	char *filler;                     /* owned: what stands in for texts that differ from kernel to kernel */
};

/* Errors of plan.h; CHAIN_E_GUEST_MEMORY where the kernel does not fit the memory, CHAIN_E_GUEST_PLAN for a plan that
 * only a real machine could carry out (see chain_guest_check). */
enum chain_status chain_guest_make(const struct chain_guest_request *request, struct chain_guest *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
void chain_guest_free(struct chain_guest *guest);

/* Whether every destination, the entry point, the information structure and the handoff lie in `memory`, and no move
 * reads target memory: whatever the plan says, chain_guest_part then stays within bounds. Run by make; public for
 * tests. */
enum chain_status chain_guest_check(const struct chain_plan *plan, struct chain_range memory, const char *subject,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* What the memory begins with at [base, base + bytes), written to `into`; zero where the plan puts nothing, but for the
 * BIOS's data. Texts are not in it. */
void chain_guest_part(const struct chain_guest *guest, uint64_t base, uint64_t bytes, uint8_t *into);
/* One kernel's texts, written to its memory; `memory` is all of it, from `base` on. False: they don't fit the room. */
bool chain_guest_texts(const struct chain_guest *guest, uint8_t *memory, const char *handoff, uint64_t handoff_bytes,
		       const char *args);

#endif
