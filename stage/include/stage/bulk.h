/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: filling and copying of pages and buffers, eight bytes a step and more. The compiler, asked for small code,
 * turns memset and memcpy of unknown length into `rep stosb` and `rep movsb`: a byte a step, which an emulator counts
 * and pays for. Must not know: what is copied. */
#ifndef STAGE_BULK_H
#define STAGE_BULK_H

#include <stdint.h>
#include <string.h>

#if KCHAIN_STAGE
/* Sixteen stores of 16 bytes a round, where `to` is on a multiple of 16. */
void stage_zero(void *to, uint64_t bytes);
/* The two don't overlap. */
static inline void stage_copy(void *to, const void *from, uint64_t bytes)
{
	uint64_t words = bytes / 8, rest = bytes % 8;
	__asm__ volatile("rep movsq\n\tmov %3, %%rcx\n\trep movsb"
			 : "+D"(to), "+S"(from), "+c"(words)
			 : "r"(rest)
			 : "memory");
}
#else
static inline void stage_zero(void *to, uint64_t bytes)
{
	memset(to, 0, bytes);
}
static inline void stage_copy(void *to, const void *from, uint64_t bytes)
{
	memcpy(to, from, bytes);
}
#endif

#endif
