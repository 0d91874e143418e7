/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What digest.c, digest_lanes.c, digest_lanes4.c and digest_lanes8.c share: SHA-256 of several pieces of one length, a
 * lane of the vector registers for each. */
#ifndef CHAIN_DIGEST_LANES_H
#define CHAIN_DIGEST_LANES_H

#include "chain/digest.h"

enum { DIGEST_WORDS = 8, DIGEST_CHUNK_BYTES = 64, DIGEST_ROUNDS = 64 };
extern const uint32_t digest_constants[DIGEST_ROUNDS];

/* Of each lane `chunks` chunks of its piece, then `end`, the last one, which they have in common. `state`, word by
 * word, holds what a digest begins with and is left what it ends with. */
typedef void digest_lanes(const uint8_t *const *pieces, size_t chunks, const uint8_t end[DIGEST_CHUNK_BYTES],
			  uint32_t *state);
digest_lanes digest_lanes4; /* SSE2, which every x86-64 processor has */
digest_lanes digest_lanes8; /* AVX2 */

/* By how many lanes at most: 1, 4 or 8. */
void digest_of_lanes(size_t lanes, const uint8_t *const *pieces, size_t count, uint32_t bytes,
		     uint8_t (*out)[CHAIN_SHA256_BYTES]);
/* CPUID's leaf 7, EBX, as far as the operating system consents. */
enum { DIGEST_CPU_AVX2 = 1 << 5, DIGEST_CPU_SHA = 1 << 29 };
uint32_t digest_processor(void);

#endif
