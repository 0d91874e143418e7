/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 (FIPS 180-4, sections 4.1.2 and 6.2.2) in all lanes of a vector. The numbers of lanes are files of their own,
 * since each is compiled for another processor: who includes this has said LANES and ROUNDS_NAME. */
#include "digest_lanes.h"

#include <string.h>

#ifndef LANES /* so that this compiles alone */
#define LANES       4
#define ROUNDS_NAME digest_lanes4
#endif

#define INLINE static inline __attribute__((always_inline))
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint64_t pairs __attribute__((vector_size(4 * LANES)));

#if LANES == 8
typedef uint8_t bytes __attribute__((vector_size(4 * LANES)));
/* The shuffles go on in each half of a vector alone. */
INLINE words swap(words x)
{
	const bytes b = (bytes)x;

	return (words)__builtin_shufflevector(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17,
					      16, 23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28);
}
INLINE words low(words a, words b)
{
	return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
}
INLINE words high(words a, words b)
{
	return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}
INLINE words low_pairs(words a, words b)
{
	return (words)__builtin_shufflevector((pairs)a, (pairs)b, 0, 4, 2, 6);
}
INLINE words high_pairs(words a, words b)
{
	return (words)__builtin_shufflevector((pairs)a, (pairs)b, 1, 5, 3, 7);
}
/* Three operands: nothing is gained by an order. */
#define IN_ORDER(x) (void)(x)
#else
typedef uint16_t shorts __attribute__((vector_size(4 * LANES)));

INLINE words swap(words x)
{
	shorts s = (shorts)x;

	s = s << 8 | s >> 8;
	return (words)__builtin_shufflevector(s, s, 1, 0, 3, 2, 5, 4, 7, 6);
}
INLINE words low(words a, words b)
{
	return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
INLINE words high(words a, words b)
{
	return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
INLINE words low_pairs(words a, words b)
{
	return (words)__builtin_shufflevector((pairs)a, (pairs)b, 0, 2);
}
INLINE words high_pairs(words a, words b)
{
	return (words)__builtin_shufflevector((pairs)a, (pairs)b, 1, 3);
}
/* Two operands: a value that is shifted on needs no copy, if the compiler does not make one shift of two. */
#define IN_ORDER(x) __asm__("" : "+x"(x))
#endif

/* The beginnings of four pieces, as vectors of their first words, second words and so on. */
INLINE void load_four(const uint8_t *const *pieces, size_t at, words out[4])
{
	words row[4];

#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		memcpy(&row[i], pieces[i] + at, sizeof(row[i]));
		row[i] = swap(row[i]);
	}
	const words a = low(row[0], row[1]), b = low(row[2], row[3]), c = high(row[0], row[1]),
		    d = high(row[2], row[3]);

	out[0] = low_pairs(a, b);
	out[1] = high_pairs(a, b);
	out[2] = low_pairs(c, d);
	out[3] = high_pairs(c, d);
}

#if LANES == 8
INLINE void load(const uint8_t *const *pieces, size_t at, words out[16])
{
	for (size_t i = 0; i < 16; i += 8) {
		words a[4], b[4];

		load_four(pieces, at + 4 * i, a);
		load_four(pieces + 4, at + 4 * i, b);
#pragma GCC unroll 4
		for (size_t j = 0; j < 4; j++) {
			out[i + j] = (words)__builtin_shufflevector((pairs)a[j], (pairs)b[j], 0, 1, 4, 5);
			out[i + 4 + j] = (words)__builtin_shufflevector((pairs)a[j], (pairs)b[j], 2, 3, 6, 7);
		}
	}
}
#else
INLINE void load(const uint8_t *const *pieces, size_t at, words out[16])
{
	for (size_t i = 0; i < 16; i += 4)
		load_four(pieces, at + 4 * i, out + i);
}
#endif

/* A rotation to the right is a shift to the right and one to the left, and the sum of several is one of their shifts:
 * those to the right by r, r + r1, r + r1 + r2, and to the left by l, l + l1, l + l1 + l2. */
INLINE words shifts(words right, words left, int r1, int r2, int l1, int l2)
{
	words sum = right;

	IN_ORDER(sum);
	sum ^= left;
	IN_ORDER(sum);
	IN_ORDER(right);
	right >>= r1;
	sum ^= right;
	IN_ORDER(sum);
	IN_ORDER(right);
	right >>= r2;
	sum ^= right;
	IN_ORDER(sum);
	IN_ORDER(left);
	left <<= l1;
	sum ^= left;
	if (l2 == 0)
		return sum;
	IN_ORDER(sum);
	IN_ORDER(left);
	return sum ^ left << l2;
}

/* Section 4.1.2, equations 4.4 to 4.7. */
INLINE words large_sigma0(words x)
{
	return shifts(x >> 2, x << 10, 11, 9, 9, 11);
}
INLINE words large_sigma1(words x)
{
	return shifts(x >> 6, x << 7, 5, 14, 14, 5);
}
INLINE words small_sigma0(words x)
{
	return shifts(x >> 3, x << 14, 4, 11, 11, 0);
}
INLINE words small_sigma1(words x)
{
	return shifts(x >> 10, x << 13, 7, 2, 2, 0);
}

/* One of eight rounds, behind which each variable is where it was: a to h move down one with each. */
INLINE void round_of(words s[DIGEST_WORDS], size_t i, words w)
{
	const words a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7], e = s[(4 - i) & 7], f = s[(5 - i) & 7],
		    g = s[(6 - i) & 7];
	const words t = s[(7 - i) & 7] + w + large_sigma1(e) + (g ^ (e & (f ^ g)));

	s[(3 - i) & 7] += t;
	s[(7 - i) & 7] = t + large_sigma0(a) + (b ^ ((a ^ b) & (b ^ c)));
}

INLINE void chunk(words state[DIGEST_WORDS], words w[DIGEST_ROUNDS], const words k[DIGEST_ROUNDS])
{
	words s[DIGEST_WORDS];

#pragma GCC unroll 2
	for (size_t i = 16; i < DIGEST_ROUNDS; i++)
		w[i] = w[i - 16] + small_sigma0(w[i - 15]) + w[i - 7] + small_sigma1(w[i - 2]);
#pragma GCC unroll 8
	for (size_t i = 0; i < DIGEST_WORDS; i++)
		s[i] = state[i];
	for (size_t i = 0; i < DIGEST_ROUNDS; i += 8) {
#pragma GCC unroll 8
		for (size_t j = 0; j < 8; j++)
			round_of(s, j, w[i + j] + k[i + j]);
	}
#pragma GCC unroll 8
	for (size_t i = 0; i < DIGEST_WORDS; i++)
		state[i] += s[i];
}

void ROUNDS_NAME(const uint8_t *const *pieces, size_t chunks, const uint8_t end[DIGEST_CHUNK_BYTES], uint32_t *state)
{
	words s[DIGEST_WORDS], w[DIGEST_ROUNDS], k[DIGEST_ROUNDS];
	const uint8_t *ends[LANES];

	memcpy(s, state, sizeof(s));
	for (size_t i = 0; i < DIGEST_ROUNDS; i++)
		k[i] = (words){ 0 } + digest_constants[i];
	for (size_t i = 0; i < LANES; i++)
		ends[i] = end;
	for (size_t i = 0; i <= chunks; i++) {
		load(i < chunks ? pieces : ends, i < chunks ? i * DIGEST_CHUNK_BYTES : 0, w);
		chunk(s, w, k);
	}
	memcpy(state, s, sizeof(s));
}
