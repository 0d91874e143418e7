/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what ap_start.S and processors.c agree on: the page that processors start in. processors.c asserts the offsets.
 */
#ifndef STAGE_AP_LAYOUT_H
#define STAGE_AP_LAYOUT_H

#define AP_PAGE    0x8000 /* physical; STAGE_AP_PAGE */
#define AP_PARAMS  0xf00  /* in the page, behind the code; the same for all */
#define AP_CR3     0
#define AP_CR4     4
#define AP_EFER    8
#define AP_CR0     12
#define AP_ID_LEAF 16 /* of CPUID: 0xb, or 1 */
#define AP_COUNT   20
/* APIC ids, 32 bits each; at the same place among them as a processor's block among the blocks */
#define AP_IDS         24
#define AP_BLOCKS      32
#define AP_BLOCK_BYTES 40
#define AP_STACK_AT    44 /* in a block: where its stack ends */
#define AP_ENTRY       48

#endif
