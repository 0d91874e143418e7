/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: page tables in which memory has the addresses where it lies, for the trampoline and for a 64-bit kernel's first
 * steps (APM volume 2, 5.3). Linux's own are no good for that: they may lie where a kernel's zeroed memory will be.
 * Must not know: what is moved. Pure. */
#ifndef NEXT_MAP_H
#define NEXT_MAP_H

#include "chain/plan.h"

/* How many bytes they need, whole pages, for a plan and a segment that has `own_bytes` besides them. */
uint64_t next_map_bytes(const struct chain_plan *plan, uint64_t own_bytes);

/* Builds them at `tables`, zeroed and aligned to 8 bytes, for use at `phys`: they map the first 4 GiB, the plan's
 * claims and destinations, and `own`, the segment that they are a part of, by whole GiB. The root of four levels is the
 * first page, that of five the second. */
void next_map_build(const struct chain_plan *plan, struct chain_range own, uint64_t phys, uint8_t *tables);

#endif
