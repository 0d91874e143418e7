/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the commit trampoline (commit_trampoline.S) reads: where it lies, the processor's state, the moves. Used
 * by the stage, and by kchain-next, whose Linux starts the same trampoline. Must not know: how a plan is made. */
#ifndef STAGE_COMMIT_PARAMS_H
#define STAGE_COMMIT_PARAMS_H

#include "chain/entry.h"
#include "commit_layout.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct __attribute__((packed)) descriptor_pointer {
	uint16_t limit;
	uint64_t base;
};

struct __attribute__((packed)) commit_params {
	uint64_t moves, move_count;
	uint64_t address, registers[CHAIN_REGISTERS];
	uint64_t cr0, cr4, efer;
	uint64_t long64;
	uint64_t far_address, far_selector;
	struct descriptor_pointer gdtr, idtr;
	uint8_t pad0[4];
	uint64_t gdt[CHAIN_ENTRY_DESCRIPTORS];
};
static_assert(offsetof(struct commit_params, address) == COMMIT_ADDRESS, "address");
static_assert(offsetof(struct commit_params, registers) == COMMIT_REGISTERS, "registers");
static_assert(offsetof(struct commit_params, cr0) == COMMIT_CR0, "cr0");
static_assert(offsetof(struct commit_params, cr4) == COMMIT_CR4, "cr4");
static_assert(offsetof(struct commit_params, efer) == COMMIT_EFER, "efer");
static_assert(offsetof(struct commit_params, long64) == COMMIT_LONG64, "mode");
static_assert(offsetof(struct commit_params, far_address) == COMMIT_FAR, "far return");
static_assert(offsetof(struct commit_params, gdtr) == COMMIT_GDTR, "gdtr");
static_assert(offsetof(struct commit_params, idtr) == COMMIT_IDTR, "idtr");
static_assert(offsetof(struct commit_params, gdt) == COMMIT_GDT, "gdt");
static_assert(sizeof(struct commit_params) == COMMIT_BYTES, "the code finds them before itself");

struct commit_move {
	uint64_t dest, source, bytes, zero;
};
static_assert(sizeof(struct commit_move) == MOVE_SIZE, "move");
static_assert(offsetof(struct commit_move, zero) == MOVE_ZERO, "move kind");

/* The code, to be copied behind the parameters. */
extern const uint8_t stage_commit_trampoline[], stage_commit_trampoline_end[];

/* For parameters that will lie at `params_phys`, and as many moves at `moves_phys`. */
static inline void commit_params_fill(struct commit_params *params, const struct chain_entry *entry,
				      uint64_t params_phys, uint64_t moves_phys, uint64_t move_count)
{
	*params = (struct commit_params){
		.moves = moves_phys,
		.move_count = move_count,
		.address = entry->address,
		.cr0 = entry->cr0,
		.cr4 = entry->cr4,
		.efer = entry->efer,
		.long64 = entry->mode == CHAIN_ENTRY_LONG64,
		.far_selector = CHAIN_ENTRY_CODE,
		.gdtr = { sizeof(params->gdt) - 1, params_phys + COMMIT_GDT },
	};
	memcpy(params->registers, entry->registers, sizeof(params->registers));
	memcpy(params->gdt, entry->descriptors, sizeof(params->gdt));
}

#endif
