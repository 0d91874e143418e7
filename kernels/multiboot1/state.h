/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What state_entry.S keeps of a processor for state.c, which asserts the offsets. */
#ifndef KERNELS_STATE_H
#define KERNELS_STATE_H

#define FOUND_GENERAL64 0  /* r8 to r15 */
#define FOUND_GDTR      64 /* limit, base; padded to 8 bytes */
#define FOUND_IDTR      72
#define FOUND_GENERAL   80 /* ecx, edx, esi, edi, ebp, esp */
#define FOUND_MAGIC     104
#define FOUND_INFO      108
#define FOUND_FLAGS     112
#define FOUND_CR        116 /* cr0, cr2, cr3, cr4 */
#define FOUND_EFER      132
#define FOUND_LDTR      136
#define FOUND_TR        138
#define FOUND_SELECTORS 140 /* ds, es, fs, gs, ss */
#define FOUND_BYTES     152

#define SELECTOR_CODE  0x08
#define SELECTOR_DATA  0x10
#define SELECTOR_LDT   0x18
#define SELECTOR_OTHER 0x28
#define SELECTOR_TSS   0x30
#define PATTERN        0x5a5a5a5a5a5a5a5a

#endif
