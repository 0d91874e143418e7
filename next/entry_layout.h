/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where the root of the page tables and the commit trampoline's parameters lie in the segment that Linux
 * enters. */
#ifndef NEXT_ENTRY_LAYOUT_H
#define NEXT_ENTRY_LAYOUT_H

#define NEXT_ENTRY_ROOT   56 /* 8 bytes: its physical address */
#define NEXT_ENTRY_PARAMS 64

#ifndef __ASSEMBLER__
#include <stdint.h>
extern const uint8_t next_entry[], next_entry_end[];
#endif

#endif
