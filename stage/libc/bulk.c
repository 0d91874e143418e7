/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"

#include <stddef.h>

typedef uint64_t lanes __attribute__((vector_size(16), may_alias));

void stage_zero(void *to, uint64_t bytes)
{
	enum { BLOCK_LANES = 16, BLOCK = BLOCK_LANES * sizeof(lanes) };
	uint8_t *at = to;
	const lanes zero = { 0, 0 };
	if ((uintptr_t)at % sizeof(lanes) == sizeof(uint64_t) && bytes >= sizeof(uint64_t)) {
		memset(at, 0, sizeof(uint64_t));
		at += sizeof(uint64_t);
		bytes -= sizeof(uint64_t);
	}
	for (; bytes >= BLOCK && (uintptr_t)at % sizeof(lanes) == 0; bytes -= BLOCK, at += BLOCK) {
		lanes *block = (lanes *)at;
#pragma GCC unroll 16
		for (size_t i = 0; i < BLOCK_LANES; i++)
			block[i] = zero;
	}
	uint64_t words = bytes / 8, rest = bytes % 8;
	__asm__ volatile("rep stosq\n\tmov %2, %%rcx\n\trep stosb"
			 : "+D"(at), "+c"(words)
			 : "r"(rest), "a"(0)
			 : "memory");
}
