/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/entry.h"

#include "chain/x86_registers.h"

/* Flat, all of 4 GiB, accessed set (APM volume 2, 4.7 and 4.8); the task state lies at 0 and is one byte short of 104
 * long, as PVH wants it. */
#define CODE32 0x00cf9b000000ffffull
#define CODE64 0x00af9b000000ffffull
#define DATA   0x00cf93000000ffffull
#define TASK   0x0000890000000067ull

struct chain_entry chain_entry_at(enum chain_entry_mode mode, uint64_t address)
{
	struct chain_entry entry = {
		.mode = mode,
		.address = address,
		.cr0 = CR0_ET | CR0_PE,
		.descriptors = { 0, 0, CODE32, DATA, TASK },
	};
	if (mode == CHAIN_ENTRY_LONG64) {
		entry.cr0 |= CR0_PG | CR0_NE;
		entry.cr4 = CR4_PAE;
		entry.efer = EFER_LME | EFER_LMA;
		entry.descriptors[CHAIN_ENTRY_CODE / 8] = CODE64;
		entry.descriptors[CHAIN_ENTRY_TASK / 8] = 0;
	}
	return entry;
}

const char *chain_entry_mode_name(enum chain_entry_mode mode)
{
	return mode == CHAIN_ENTRY_PROTECTED32 ? "protected32" : "long64";
}

const char *chain_register_name(unsigned which)
{
	static const char names[CHAIN_REGISTERS][4] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
	};
	return names[which];
}
