/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: offsets that commit.c and commit_trampoline.S share; commit.c asserts each against its structs. */
#ifndef STAGE_COMMIT_LAYOUT_H
#define STAGE_COMMIT_LAYOUT_H

#define COMMIT_MOVES 0
#define COMMIT_MOVE_COUNT 8
#define COMMIT_ENTRY 16
#define COMMIT_EAX 20
#define COMMIT_EBX 24
#define COMMIT_FAR 28      /* 4-byte offset, 2-byte selector */
#define COMMIT_GDTR 38     /* 2-byte limit, 8-byte base */
#define COMMIT_IDTR 48
#define COMMIT_GDT 64

#define COMMIT_SEL_CODE 0x08
#define COMMIT_SEL_DATA 0x10

#define MOVE_DEST 0
#define MOVE_SOURCE 8
#define MOVE_BYTES 16
#define MOVE_ZERO 24
#define MOVE_SIZE 32

#endif
