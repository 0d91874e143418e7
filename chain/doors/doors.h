/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what several rows of table.c share. Not for others. */
#ifndef CHAIN_DOORS_H
#define CHAIN_DOORS_H

#include "chain/door.h"

#define CHAIN_4G ((uint64_t)UINT32_MAX + 1)

/* A block of memory that is being written, and where it will lie. The caller has counted its bytes before. */
struct door_block {
	uint8_t *buf;
	uint64_t phys, used;
};

/* Copies `bytes` to the block's next multiple of `align` (a power of two), zeroes between, and returns where they will
 * lie. */
uint64_t door_put(struct door_block *block, const void *from, uint64_t bytes, uint64_t align);
/* The size of a block after door_put of that many bytes. */
uint64_t door_after(uint64_t used, uint64_t bytes, uint64_t align);

/* ELF segments and entry of a kernel for this machine that lies below 4 GiB, for a door that loads by them. */
enum chain_status door_read_elf(const uint8_t *file, uint64_t file_bytes, const char *subject, struct chain_kernel *out,
				struct chain_error *err) CHAIN_MUST_CHECK;
/* CHAIN_E_ELF_BAD_ENTRY where the entry point lies in no segment. */
enum chain_status door_check_entry(const struct chain_kernel *kernel, const char *subject,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* CHAIN_E_KERNEL_ABOVE_4G with the first segment that lies there. */
enum chain_status door_check_low(const struct chain_kernel *kernel, const char *subject,
				 struct chain_error *err) CHAIN_MUST_CHECK;

#endif
