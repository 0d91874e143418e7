/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Several SHA-256 digests at once. libcrypto's own code for it (sha256_multi_block, in libcrypto.a alone and in no
 * header) was tried in the place of this: 32,875 bytes instead of 6,785, of which the smallest image would be 333 KiB
 * larger than its files, and not 308; an invalid opcode without SSSE3, which QEMU's usual processor lacks, so one lane
 * there, at 44 instructions a byte; and no quicker where it runs (a tree's byte, in instructions):
 *
 *   processor        libcrypto   this
 *   AVX2                  7.61   7.64
 *   AVX                  14.56   18.7
 *   SSSE3                18.18   18.7
 *   SSE2                    44   18.7
 *
 * chain/tests/test_verity.c compares it with libcrypto's plain SHA-256. */
#include "digest_lanes.h"

#include <string.h>

enum { LANES_LEAST = 3 }; /* what fewer pieces take one after the other is less */

/* FIPS 180-4, section 4.2.2 */
const uint32_t digest_constants[DIGEST_ROUNDS] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void state_begin(uint32_t *state, size_t lanes)
{
	/* section 5.3.3 */
	static const uint32_t first[DIGEST_WORDS] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
						      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	for (size_t i = 0; i < DIGEST_WORDS * lanes; i++)
		state[i] = first[i / lanes];
}

/* An idle lane does what the first one does. */
static void hash_side_by_side(size_t lanes, const uint8_t *const *pieces, size_t count, uint32_t bytes,
			      uint8_t (*out)[CHAIN_SHA256_BYTES])
{
	/* section 5.1.1: a one, zeros, and the length in bits; a chunk of its own behind whole ones */
	uint8_t end[DIGEST_CHUNK_BYTES] = { 0x80 };
	const uint64_t bits = __builtin_bswap64((uint64_t)bytes * 8);
	const uint8_t *of[CHAIN_SHA256_LANES];
	uint32_t state[DIGEST_WORDS * CHAIN_SHA256_LANES];

	memcpy(end + sizeof(end) - sizeof(bits), &bits, sizeof(bits));
	for (size_t i = 0; i < lanes; i++)
		of[i] = pieces[i < count ? i : 0];
	state_begin(state, lanes);
	(lanes == 8 ? digest_lanes8 : digest_lanes4)(of, bytes / DIGEST_CHUNK_BYTES, end, state);
	for (size_t i = 0; i < count; i++) {
		for (size_t word = 0; word < DIGEST_WORDS; word++) {
			const uint32_t value = __builtin_bswap32(state[word * lanes + i]);

			memcpy(out[i] + word * sizeof(value), &value, sizeof(value));
		}
	}
}

void digest_of_lanes(size_t lanes, const uint8_t *const *pieces, size_t count, uint32_t bytes,
		     uint8_t (*out)[CHAIN_SHA256_BYTES])
{
	size_t done = 0;

	while (lanes > 1 && count - done >= LANES_LEAST) {
		const size_t now = count - done < lanes ? count - done : lanes;

		hash_side_by_side(lanes, pieces + done, now, bytes, out + done);
		done += now;
	}
	for (; done < count; done++)
		chain_sha256_of(pieces[done], bytes, out[done]);
}

void chain_sha256_lanes(const uint8_t *const *pieces, size_t count, uint32_t bytes, uint8_t (*out)[CHAIN_SHA256_BYTES])
{
	const uint32_t has = digest_processor();

	/* instructions of its own for SHA-256 are quicker than any number of lanes */
	digest_of_lanes(has & DIGEST_CPU_SHA ? 1 : has & DIGEST_CPU_AVX2 ? 8 : 4, pieces, count, bytes, out);
}
