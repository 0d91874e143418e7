/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: SHA-256 (FIPS 180-4) for kernels, in a fifth of the room that libcrypto's takes. The host uses libcrypto, and tests this
 * against it.
 * Must not know: what is hashed. */
#ifndef CHAIN_LIB_SHA256_H
#define CHAIN_LIB_SHA256_H

#include <stdint.h>

enum { SHA256_BLOCK = 64 };

/* Who computes: any processor; one with AVX2, BMI1 and BMI2; one with the SHA extensions. The result is the same. */
enum sha256_way { SHA256_PLAIN, SHA256_AVX2, SHA256_SHA, SHA256_WAYS };

struct sha256 {
	uint64_t bytes; /* so far; what does not fill a block is in `rest` */
	uint32_t state[8];
	enum sha256_way way;
	uint8_t rest[SHA256_BLOCK];
};

/* The quickest of those that this processor has, and that it may use: with AVX, where the operating system says so. */
enum sha256_way sha256_best_way(void);

/* `way` must be one that the processor has. */
void sha256_init(struct sha256 *hash, enum sha256_way way);
void sha256_update(struct sha256 *hash, const uint8_t *bytes, uint64_t count);
/* The hash can only be begun anew afterwards. */
void sha256_final(struct sha256 *hash, uint8_t out[32]);

#endif
