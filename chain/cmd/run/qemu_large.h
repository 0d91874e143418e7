/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: kernels that QEMU's own loader does not take, which reads a file in one piece of less than 2 GiB and keeps
 * three copies of it: a small kernel that is started in their place and copies them (qemu_large_loader.S, which
 * includes this file for the layout). Must not know: how QEMU is started. */
#ifndef KCHAIN_QEMU_LARGE_H
#define KCHAIN_QEMU_LARGE_H

/* Words of the small kernel that are filled in: the five addresses of its header, then where it goes on, how many
 * pieces there are, and of each: bytes to skip in the file, bytes to read, address, bytes of zeros behind them. */
#define QEMU_LARGE_ADDRESSES  12
#define QEMU_LARGE_ENTRY      32
#define QEMU_LARGE_COUNT      36
#define QEMU_LARGE_PIECES     40
#define QEMU_LARGE_PIECES_MAX 64
#define QEMU_LARGE_START      (QEMU_LARGE_PIECES + 16 * QEMU_LARGE_PIECES_MAX)
/* Its own address, in its first instruction. */
#define QEMU_LARGE_OWN (QEMU_LARGE_START + 1)
/* Where it finds the file, and what it writes to the exit port when it does not (docs/RECORDS.md: the stage failed). */
#define QEMU_LARGE_ITEM    "opt/kchain/kernel"
#define QEMU_LARGE_MISSING 0x12

#ifndef __ASSEMBLER__
#include "chain/door.h"

/* From this size on; below it, QEMU's own loader is as good. */
enum { QEMU_LARGE_LEAST = 256 << 20 };

/* A file without a name that QEMU is given as the kernel, to lie behind `kernel` in memory: modules come behind it.
 * CHAIN_E_CMD_TOO_LARGE: the kernel can't be started so. CHAIN_E_IO. */
enum chain_status qemu_large_make(const struct chain_kernel *kernel, uint64_t file_bytes, const char *subject,
				  int *out_fd, struct chain_error *err) CHAIN_MUST_CHECK;
#endif

#endif
