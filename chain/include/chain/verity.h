/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the digest by which fs-verity knows a file (Linux, Documentation/filesystems/fsverity.rst): SHA-256, blocks of
 * 4096 bytes, version 1, no salt; `fsverity digest` prints the same. It is that of a small record with the file's size
 * and the root of a tree: each block has a digest, 128 of them make a block of the next level, what is missing in a
 * level's last block is zero. So the blocks of a file can be hashed side by side, eight at a time.
 * Must not know: what is hashed, or who does so on how many processors. */
#ifndef CHAIN_VERITY_H
#define CHAIN_VERITY_H

#include "chain/digest.h"

enum {
	CHAIN_VERITY_BLOCK_BYTES = 4096,
	CHAIN_VERITY_LEVELS = 8, /* 2^64 bytes have 2^52 blocks, and each level has a 128th of what is below */
};

/* Bytes as they come. About 1.3 KB; no other memory is needed. */
struct chain_verity {
	uint64_t bytes;
	uint64_t digests[CHAIN_VERITY_LEVELS + 1];           /* from 1: how many each level has so far */
	struct chain_sha256 blocks[CHAIN_VERITY_LEVELS + 1]; /* of each the block that is not full; 0: the file's own */
	uint8_t root[CHAIN_SHA256_BYTES];                    /* the first digest of the highest level */
};
void chain_verity_init(struct chain_verity *v);
/* Pieces of whole blocks, many at a time, are the quickest. */
void chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count);
/* Nothing may be added behind. */
void chain_verity_final(struct chain_verity *v, uint8_t out[CHAIN_SHA256_BYTES]);
void chain_verity_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES]);

/* Of `count` files, at most CHAIN_SHA256_LANES, of one block or less each, side by side. Behind a file's bytes the
 * block it is given in is zero. */
void chain_verity_of_small(const uint8_t *const *blocks, const uint64_t *bytes, size_t count,
			   uint8_t (*out)[CHAIN_SHA256_BYTES]);

/* For work in several places: the digests of `count` blocks, and adding such digests, in the blocks' order, where whole
 * blocks were added so far. */
void chain_verity_blocks(const uint8_t *bytes, size_t count, uint8_t (*out)[CHAIN_SHA256_BYTES]);
void chain_verity_add(struct chain_verity *v, size_t count, const uint8_t (*digests)[CHAIN_SHA256_BYTES]);

#endif
