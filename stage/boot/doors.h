/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the table of boot protocols by which the stage can be entered. A protocol is entry code in entry.S, a reader in
 * chain/doors/ and a row of doors.c.
 * Must not know: what is done with what a loader left. */
#ifndef STAGE_BOOT_DOORS_H
#define STAGE_BOOT_DOORS_H

#include "chain/boot_read.h"

struct stage_door {
	uint32_t number;  /* left by the entry code: from a register, or from the start of its structure */
	const char *name; /* in handoffs, records and bootinfo files */
	chain_boot_reader *read;
};

/* Ends with a row whose name is null. */
extern const struct stage_door stage_doors[];

/* Fills an initialised bootinfo with the name of the protocol that has this number and what its loader left at `phys`.
 * CHAIN_E_DOOR_UNKNOWN, and the reader's errors. */
enum chain_status stage_doors_read(uint32_t number, uint64_t phys, chain_boot_map *map, void *ctx,
				   struct chain_bootinfo *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
