/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the numbers of chain/entry.h that assembly needs too. */
#ifndef CHAIN_ENTRY_LAYOUT_H
#define CHAIN_ENTRY_LAYOUT_H

/* The descriptor table at the entry: null, null, code, data, task state. The selectors are those that Linux asks for
 * (__BOOT_CS,
 * __BOOT_DS); other protocols leave them open. */
#define CHAIN_ENTRY_CODE        0x10
#define CHAIN_ENTRY_DATA        0x18
#define CHAIN_ENTRY_TASK        0x20
#define CHAIN_ENTRY_DESCRIPTORS 5

/* Registers, as instructions number them (APM volume 3, table A-2, with REX.B). */
#define CHAIN_RAX       0
#define CHAIN_RCX       1
#define CHAIN_RDX       2
#define CHAIN_RBX       3
#define CHAIN_RSP       4
#define CHAIN_RBP       5
#define CHAIN_RSI       6
#define CHAIN_RDI       7
#define CHAIN_R8        8
#define CHAIN_R9        9
#define CHAIN_R10       10
#define CHAIN_R11       11
#define CHAIN_R12       12
#define CHAIN_R13       13
#define CHAIN_R14       14
#define CHAIN_R15       15
#define CHAIN_REGISTERS 16

#endif
