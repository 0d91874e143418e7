/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: offsets and numbers that entry.S shares with C; boot.c asserts them. */
#ifndef STAGE_BOOT_LAYOUT_H
#define STAGE_BOOT_LAYOUT_H

#define BOOT_ENTRY_TSC  0
#define BOOT_IMAGE_PHYS 8
#define BOOT_DOOR       16
#define BOOT_INFO_PHYS  20
#define BOOT_CALL       24
#define BOOT_FACE       32

#define BOOT_STACK_BYTES 65536

/* What PVH's entry code leaves as its number; Multiboot's loaders leave theirs in EAX. */
#define BOOT_DOOR_PVH 0x336ec578
/* The word below this serves as a stack for a moment: memory on every PC, and nothing is lost. */
#define BOOT_LOW_STACK 0x1000

#endif
