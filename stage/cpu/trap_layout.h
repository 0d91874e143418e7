/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: offsets into struct stage_cpu and the trap frame that trap_entry.S uses; cpu.c asserts them. */
#ifndef STAGE_TRAP_LAYOUT_H
#define STAGE_TRAP_LAYOUT_H

#define CPU_SELF         48
#define CPU_ROOT         56
#define CPU_FS_BASE      64
#define CPU_STACKS       72
#define CPU_ENTRY_OFFSET 104
#define CPU_CR0          112
#define CPU_CR4          120

/* An entry area: the processor's block, a page; then its entry stacks, one for each interrupt stack of the TSS. */
#define ENTRY_AREA_BYTES    8192
#define ENTRY_STACK_SHIFT   8 /* 256 bytes each */
#define ENTRY_STACKS        4
#define ENTRY_STACK_NMI     1
#define HANDLER_STACK_LEAST 4096

#define TRAP_FRAME_BYTES (23 * 8)
#define TRAP_RIP         (18 * 8)
#define TRAP_RSP         (21 * 8)

/* Entries reach the end of their group by a short jump. */
#define TRAP_GROUP       32
#define TRAP_ENTRY_BYTES 4
#define TRAP_GROUP_BYTES (TRAP_GROUP * TRAP_ENTRY_BYTES + 5)

#endif
