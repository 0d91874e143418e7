/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* FIPS 180-4, sections 4 to 6. The rounds read the message schedule, round constants added, from a table on the stack. Loops are
 * unrolled only as far as the eight working variables need to turn without copies: code is small before it is anything else. */
#include "sha256.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
enum { WORDS = 16, ROUNDS = 64 };

/* Section 4.2.2. */
static const uint32_t K[ROUNDS] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
	0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

INLINE uint32_t turn(uint32_t value, unsigned bits)
{
	return value >> bits | value << (32 - bits);
}

/* Section 6.2.2, step 3, without moving the variables along. Maj(a, b, c) is b where a and b agree, or else what c says: `a ^ b`
 * of one round is `b ^ c` of the next. */
INLINE void round_do(uint32_t a, uint32_t b, uint32_t *d, uint32_t e, uint32_t f, uint32_t g, uint32_t *h, uint32_t wk, uint32_t *same)
{
	const uint32_t t = a ^ b;

	*h += wk + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f) + (~e & g);
	*d += *h;
	*h += (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((*same & t) ^ b);
	*same = t;
}

/* The schedule has its words in fours, `step` words from one four to the next. */
INLINE void rounds_do(uint32_t state[8], const uint32_t *wk, size_t step)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
	uint32_t same = b ^ c;

	for (const uint32_t *end = wk + ROUNDS / 4 * step; wk != end; wk += 2 * step) {
		round_do(a, b, &d, e, f, g, &h, wk[0], &same);
		round_do(h, a, &c, d, e, f, &g, wk[1], &same);
		round_do(g, h, &b, c, d, e, &f, wk[2], &same);
		round_do(f, g, &a, b, c, d, &e, wk[3], &same);
		round_do(e, f, &h, a, b, c, &d, wk[step], &same);
		round_do(d, e, &g, h, a, b, &c, wk[step + 1], &same);
		round_do(c, d, &f, g, h, a, &b, wk[step + 2], &same);
		round_do(b, c, &e, f, g, h, &a, wk[step + 3], &same);
	}
	__asm__("" : "+m"(*(uint32_t(*)[8])state)); /* add to it where it lies: there are no registers left to keep it in */
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

static void blocks_plain(uint32_t state[8], const uint8_t *bytes, uint64_t blocks)
{
	uint32_t w[ROUNDS], wk[ROUNDS];

	for (; blocks > 0; blocks--, bytes += SHA256_BLOCK) {
		for (size_t t = 0; t < ROUNDS; t++) {
			if (t < WORDS) {
				memcpy(&w[t], bytes + 4 * t, 4);
				w[t] = __builtin_bswap32(w[t]);
			} else {
				const uint32_t x = w[t - 15], y = w[t - 2];

				w[t] = w[t - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >> 3) + w[t - 7] +
				       (turn(y, 17) ^ turn(y, 19) ^ y >> 10);
			}
			wk[t] = w[t] + K[t];
		}
		rounds_do(state, wk, 4);
	}
}

/* Two blocks' schedules side by side, one in each half of the vectors. */
#define AVX2 __attribute__((target("avx2,bmi,bmi2")))

AVX2 INLINE __m256i two_words_sigma1(__m256i pairs)
{
	return _mm256_xor_si256(_mm256_srli_epi32(pairs, 10),
				_mm256_xor_si256(_mm256_srli_epi64(pairs, 17), _mm256_srli_epi64(pairs, 19)));
}

/* The next four words, made of the sixteen before. sigma1 needs two words that are only made here, so it is done by halves: each word
 * twice in 64 bits, where a shift is a rotation. */
AVX2 INLINE __m256i four_words(__m256i x0, __m256i x1, __m256i x2, __m256i x3)
{
	const __m256i low = _mm256_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2, 3, 8, 9, 10, 11, -1, -1,
					     -1, -1, -1, -1, -1, -1);
	const __m256i high = _mm256_shuffle_epi32(low, 0x4e);
	const __m256i w15 = _mm256_alignr_epi8(x1, x0, 4), w7 = _mm256_alignr_epi8(x3, x2, 4);
	const __m256i right = _mm256_xor_si256(_mm256_srli_epi32(w15, 7), _mm256_srli_epi32(w15, 18));
	const __m256i left = _mm256_xor_si256(_mm256_slli_epi32(w15, 25), _mm256_slli_epi32(w15, 14));
	const __m256i sigma0 = _mm256_xor_si256(_mm256_xor_si256(right, left), _mm256_srli_epi32(w15, 3));
	__m256i x = _mm256_add_epi32(_mm256_add_epi32(x0, w7), sigma0);

	x = _mm256_add_epi32(x, _mm256_shuffle_epi8(two_words_sigma1(_mm256_shuffle_epi32(x3, 0xfa)), low));
	return _mm256_add_epi32(x, _mm256_shuffle_epi8(two_words_sigma1(_mm256_shuffle_epi32(x, 0x50)), high));
}

AVX2 INLINE void four_put(uint32_t wk[8], __m256i words, const uint32_t k[4])
{
	const __m256i constants = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)k));

	_mm256_store_si256((__m256i *)wk, _mm256_add_epi32(words, constants));
}

AVX2 INLINE __m256i four_get(const uint8_t *one, const uint8_t *other)
{
	const __m256i swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));

	return _mm256_shuffle_epi8(_mm256_loadu2_m128i((const __m128i *)other, (const __m128i *)one), swap);
}

AVX2 static void blocks_avx2(uint32_t state[8], const uint8_t *bytes, uint64_t blocks)
{
	uint32_t wk[2 * ROUNDS] __attribute__((aligned(32)));

	while (blocks > 0) {
		const uint8_t *other = blocks > 1 ? bytes + SHA256_BLOCK : bytes;
		__m256i x0 = four_get(bytes, other), x1 = four_get(bytes + 16, other + 16);
		__m256i x2 = four_get(bytes + 32, other + 32), x3 = four_get(bytes + 48, other + 48);

		for (size_t t = 0;; t += WORDS) {
			four_put(wk + 2 * t, x0, K + t);
			four_put(wk + 2 * t + 8, x1, K + t + 4);
			four_put(wk + 2 * t + 16, x2, K + t + 8);
			four_put(wk + 2 * t + 24, x3, K + t + 12);
			if (t == ROUNDS - WORDS)
				break;
			x0 = four_words(x0, x1, x2, x3);
			x1 = four_words(x1, x2, x3, x0);
			x2 = four_words(x2, x3, x0, x1);
			x3 = four_words(x3, x0, x1, x2);
		}
		for (const uint32_t *mine = wk; blocks > 0 && mine < wk + 8; mine += 4, blocks--, bytes += SHA256_BLOCK)
			rounds_do(state, mine, 8);
	}
}

/* By the processor's own instructions. They want the variables as ABEF and CDGH. */
#define SHA __attribute__((target("sha,sse4.1")))

SHA INLINE void four_rounds(__m128i *abef, __m128i *cdgh, __m128i words, const uint32_t k[4])
{
	const __m128i wk = _mm_add_epi32(words, _mm_load_si128((const __m128i *)k));

	*cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, wk);
	*abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

SHA INLINE __m128i four_next(__m128i x0, __m128i x1, __m128i x2, __m128i x3)
{
	return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(x0, x1), _mm_alignr_epi8(x3, x2, 4)), x3);
}

SHA static void blocks_sha(uint32_t state[8], const uint8_t *bytes, uint64_t blocks)
{
	const __m128i swap = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
	__m128i *at = (__m128i *)state;
	const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(at), 0xb1), hgfe = _mm_shuffle_epi32(_mm_loadu_si128(at + 1), 0x1b);
	__m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

	for (; blocks > 0; blocks--, bytes += SHA256_BLOCK) {
		const __m128i *in = (const __m128i *)bytes, abef_before = abef, cdgh_before = cdgh;
		__m128i x0 = _mm_shuffle_epi8(_mm_loadu_si128(in), swap), x1 = _mm_shuffle_epi8(_mm_loadu_si128(in + 1), swap);
		__m128i x2 = _mm_shuffle_epi8(_mm_loadu_si128(in + 2), swap), x3 = _mm_shuffle_epi8(_mm_loadu_si128(in + 3), swap);

		for (size_t t = 0;; t += WORDS) {
			four_rounds(&abef, &cdgh, x0, K + t);
			four_rounds(&abef, &cdgh, x1, K + t + 4);
			four_rounds(&abef, &cdgh, x2, K + t + 8);
			four_rounds(&abef, &cdgh, x3, K + t + 12);
			if (t == ROUNDS - WORDS)
				break;
			x0 = four_next(x0, x1, x2, x3);
			x1 = four_next(x1, x2, x3, x0);
			x2 = four_next(x2, x3, x0, x1);
			x3 = four_next(x3, x0, x1, x2);
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}

	const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);

	_mm_storeu_si128(at, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128(at + 1, _mm_alignr_epi8(dchg, feba, 8));
}

/* Leaf 7, and what the operating system has to consent to for AVX2 (APM volume 1, section 4.2.2; volume 2, section 11.5.1). */
enum sha256_way sha256_best_way(void)
{
	uint32_t a, b, c, d, features, more, enabled = 0;

	if (!__get_cpuid(1, &a, &b, &features, &d) || !__get_cpuid_count(7, 0, &a, &more, &c, &d))
		return SHA256_PLAIN;
	if ((more & bit_SHA) && (features & bit_SSE4_1))
		return SHA256_SHA;
	if (features & bit_OSXSAVE)
		__asm__("xgetbv" : "=a"(enabled) : "c"(0) : "edx");
	return (more & bit_AVX2) && (more & bit_BMI) && (more & bit_BMI2) && (enabled & 6) == 6 ? SHA256_AVX2 : SHA256_PLAIN;
}

static void blocks_take(struct sha256 *hash, const uint8_t *bytes, uint64_t blocks)
{
	if (hash->way == SHA256_SHA)
		blocks_sha(hash->state, bytes, blocks);
	else if (hash->way == SHA256_AVX2)
		blocks_avx2(hash->state, bytes, blocks);
	else
		blocks_plain(hash->state, bytes, blocks);
}

void sha256_init(struct sha256 *hash, enum sha256_way way)
{
	static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(hash->state, first, sizeof(first));
	hash->bytes = 0;
	hash->way = way;
}

void sha256_update(struct sha256 *hash, const uint8_t *bytes, uint64_t count)
{
	const size_t held = hash->bytes % SHA256_BLOCK, room = SHA256_BLOCK - held;

	hash->bytes += count;
	if (held > 0) {
		const size_t taken = count < room ? (size_t)count : room;

		memcpy(hash->rest + held, bytes, taken);
		if (taken < room)
			return;
		blocks_take(hash, hash->rest, 1);
		bytes += taken;
		count -= taken;
	}
	blocks_take(hash, bytes, count / SHA256_BLOCK);
	memcpy(hash->rest, bytes + count / SHA256_BLOCK * SHA256_BLOCK, count % SHA256_BLOCK);
}

/* Section 5.1.1: a one bit, zeros, and the number of bits in the last eight bytes of a block. */
void sha256_final(struct sha256 *hash, uint8_t out[32])
{
	const uint64_t bits = __builtin_bswap64(hash->bytes * 8);
	const size_t held = hash->bytes % SHA256_BLOCK;
	const uint64_t blocks = held < SHA256_BLOCK - sizeof(bits) ? 1 : 2;
	uint8_t last[2 * SHA256_BLOCK] = { 0 };

	memcpy(last, hash->rest, held);
	last[held] = 0x80;
	memcpy(last + blocks * SHA256_BLOCK - sizeof(bits), &bits, sizeof(bits));
	blocks_take(hash, last, blocks);
	for (size_t i = 0; i < 8; i++) {
		const uint32_t word = __builtin_bswap32(hash->state[i]);

		memcpy(out + 4 * i, &word, 4);
	}
}
