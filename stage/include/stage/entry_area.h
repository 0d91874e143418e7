/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where the processors' entry areas (stage/cpu.h) are seen, by the stage and by called kernels at the same
 * addresses: at KCHAIN_ENTRY_VIRT, one behind the other. Must not know: what a called kernel is shown in their place.
 */
#ifndef STAGE_ENTRY_AREA_H
#define STAGE_ENTRY_AREA_H

#include "stage/cpu.h"

/* Shows the area that lies at `phys` (zeroed memory, or one in use) as the number-th one; 0 is the boot processor's.
 * Null: no memory for tables. */
struct stage_cpu *stage_entry_area_map(uint32_t number, uint64_t phys);
/* Once, on the boot processor, before the first call: its area is no longer known by its place in the image. False: no
 * memory for tables. */
bool stage_entry_area_move(void);
/* Where the first page of such an area lies. */
uint64_t stage_entry_area_phys(const struct stage_cpu *cpu);

#endif
