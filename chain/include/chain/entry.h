/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the state of the processor when a kernel is entered, as plain data. The kernel's door fills it in (doors/), the
 * commit trampoline or a virtual machine's control block loads it, and nobody in between looks at more of it than the
 * address. Must not know: boot protocols, or how the state is loaded. */
#ifndef CHAIN_ENTRY_H
#define CHAIN_ENTRY_H

#include "chain/entry_layout.h"

#include <stdint.h>

enum chain_entry_mode {
	CHAIN_ENTRY_PROTECTED32, /* flat 32-bit segments, paging off */
	CHAIN_ENTRY_LONG64, /* 64-bit code, memory mapped where it lies (identity), at least all that the plan names */
};

struct chain_entry {
	enum chain_entry_mode mode;
	uint64_t address;                    /* physical, below chain_entry_memory_end */
	uint64_t registers[CHAIN_REGISTERS]; /* by CHAIN_RAX, …; in 32-bit mode the lower halves of the first eight */
	uint64_t cr0, cr4, efer;             /* of CR3 only a 64-bit kernel knows that it maps memory where it lies */
	uint64_t descriptors[CHAIN_ENTRY_DESCRIPTORS];
};

/* Where the physical memory ends that code in this mode can address before it has page tables of its own. */
static inline uint64_t chain_entry_memory_end(enum chain_entry_mode mode)
{
	return mode == CHAIN_ENTRY_PROTECTED32 ? (uint64_t)1 << 32 : UINT64_MAX;
}

/* The state with interrupts off and all general registers zero. */
struct chain_entry chain_entry_at(enum chain_entry_mode mode, uint64_t address);
const char *chain_entry_mode_name(enum chain_entry_mode mode); /* "protected32", "long64" */
const char *chain_register_name(unsigned which);               /* "rax", … */

#endif
