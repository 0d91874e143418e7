/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: offsets in what the commit trampoline reads, for its code; commit_params.h asserts each against its structs. */
#ifndef STAGE_COMMIT_LAYOUT_H
#define STAGE_COMMIT_LAYOUT_H

#include "chain/entry_layout.h"

#define COMMIT_MOVES       0
#define COMMIT_MOVE_COUNT  8
#define COMMIT_ADDRESS     16
#define COMMIT_REGISTERS   24
#define COMMIT_REGISTER(n) (COMMIT_REGISTERS + 8 * (n))
#define COMMIT_CR0         152
#define COMMIT_CR4         160
#define COMMIT_EFER        168
#define COMMIT_LONG64      176 /* not zero: the kernel is entered in long mode */
#define COMMIT_FAR         184 /* as a far return of 64 bits pops it: address, selector */
#define COMMIT_GDTR        200 /* 2-byte limit, 8-byte base */
#define COMMIT_IDTR        210
#define COMMIT_GDT         224
#define COMMIT_BYTES       264 /* the code follows */

#define MOVE_DEST   0
#define MOVE_SOURCE 8
#define MOVE_BYTES  16
#define MOVE_ZERO   24
#define MOVE_SIZE   32

#endif
