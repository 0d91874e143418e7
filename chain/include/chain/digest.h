/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: SHA-256 (FIPS 180-4) as OpenSSL's libcrypto computes it, and its hexadecimal text.
 * Must not know: what is hashed. */
#ifndef CHAIN_DIGEST_H
#define CHAIN_DIGEST_H

#include "chain/error.h"

#include <stdbool.h>

enum { CHAIN_SHA256_BYTES = 32, CHAIN_SHA256_HEX = 64, CHAIN_SHA256_LANES = 8 };

struct chain_sha256 {
	_Alignas(8) unsigned char state[112]; /* an OpenSSL SHA256_CTX; digest.c asserts the size */
};
void chain_sha256_init(struct chain_sha256 *ctx);
void chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count);
void chain_sha256_final(struct chain_sha256 *ctx, uint8_t out[CHAIN_SHA256_BYTES]);
void chain_sha256_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES]);

/* Of `count` pieces, at most CHAIN_SHA256_LANES, of `bytes` each, a multiple of 64: side by side where the processor
 * can and it is quicker. */
void chain_sha256_lanes(const uint8_t *const *pieces, size_t count, uint32_t bytes, uint8_t (*out)[CHAIN_SHA256_BYTES]);

/* Lower case, terminated: `out` has room for 2 * count + 1. */
void chain_hex_of(const uint8_t *bytes, size_t count, char *out);
void chain_sha256_to_hex(const uint8_t digest[CHAIN_SHA256_BYTES], char out[CHAIN_SHA256_HEX + 1]);
/* Exactly 64 lower- or upper-case digits; false otherwise. */
bool chain_sha256_from_hex(const char *text, size_t count, uint8_t out[CHAIN_SHA256_BYTES]);

#endif
