/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 for authors of native kernels. */

#include <kchain.h>

#include "chain/digest.h"

#include <assert.h>

static_assert(sizeof(struct kchain_sha256) >= sizeof(struct chain_sha256), "room");
static_assert((int)KCHAIN_SHA256_HEX == (int)CHAIN_SHA256_HEX, "digits");

static struct chain_sha256 *own(struct kchain_sha256 *hash)
{
	return (struct chain_sha256 *)(void *)hash;
}

void kchain_sha256_begin(struct kchain_sha256 *hash)
{
	chain_sha256_init(own(hash));
}

void kchain_sha256_add(struct kchain_sha256 *hash, const void *bytes, uint64_t count)
{
	chain_sha256_update(own(hash), bytes, count);
}

void kchain_sha256_end(struct kchain_sha256 *hash, char hex[KCHAIN_SHA256_HEX + 1])
{
	uint8_t digest[CHAIN_SHA256_BYTES];
	chain_sha256_final(own(hash), digest);
	chain_sha256_to_hex(digest, hex);
}
