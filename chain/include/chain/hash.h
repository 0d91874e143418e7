/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: digests of both kinds that a pipeline and an image may name: SHA-256 of the bytes, as `sha256sum` prints it,
 * and fs-verity's, as `fsverity digest` does. Must not know: what is hashed. */
#ifndef CHAIN_HASH_H
#define CHAIN_HASH_H

#include "chain/verity.h"

enum chain_digest_kind { CHAIN_DIGEST_SHA256, CHAIN_DIGEST_FSVERITY, CHAIN_DIGEST_KINDS };
struct chain_digest {
	enum chain_digest_kind kind;
	uint8_t bytes[CHAIN_SHA256_BYTES];
};

/* Bytes as they come. */
struct chain_hash {
	enum chain_digest_kind kind;
	union {
		struct chain_sha256 sha256;
		struct chain_verity fsverity;
	};
};
void chain_hash_init(struct chain_hash *hash, enum chain_digest_kind kind);
void chain_hash_update(struct chain_hash *hash, const void *bytes, uint64_t count);
void chain_hash_final(struct chain_hash *hash, struct chain_digest *out);
void chain_digest_of(enum chain_digest_kind kind, const void *bytes, uint64_t count, struct chain_digest *out);

bool chain_digest_same(const struct chain_digest *a, const struct chain_digest *b);
/* "sha256:…" or "fsverity:…", 64 lower-case hexadecimal digits; returns `out`. */
enum { CHAIN_DIGEST_TEXT_BYTES = 9 + CHAIN_SHA256_HEX + 1 };
const char *chain_digest_text(const struct chain_digest *digest, char out[CHAIN_DIGEST_TEXT_BYTES]);
/* What chain_digest_text writes, and digits of either case; false for all else. */
bool chain_digest_parse(const char *text, struct chain_digest *out);

/* What bytes have to be: a digest of each kind, 32 bytes, borrowed, or null. */
struct chain_pin {
	const uint8_t *digests[CHAIN_DIGEST_KINDS];
};
bool chain_pin_is(const struct chain_pin *pin);
/* Bytes against a pin, as they come. */
struct chain_pin_hash {
	const struct chain_pin *pin; /* borrowed */
	struct chain_hash hashes[CHAIN_DIGEST_KINDS];
};
void chain_pin_begin(struct chain_pin_hash *hash, const struct chain_pin *pin);
void chain_pin_update(struct chain_pin_hash *hash, const void *bytes, uint64_t count);
/* CHAIN_E_SOURCE_DIGEST, about `subject`, with the digest that was found. `out` (nullable): the
 * SHA-256 where the bytes are pinned by that alone, else their fs-verity digest. */
enum chain_status chain_pin_end(struct chain_pin_hash *hash, const char *subject, struct chain_digest *out,
				struct chain_error *err) CHAIN_MUST_CHECK;

#endif
