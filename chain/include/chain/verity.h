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
	CHAIN_LOCATOR_BYTES = 8,
	CHAIN_LOCATED_BYTES = CHAIN_SHA256_BYTES + CHAIN_LOCATOR_BYTES,
};

/* Bytes as they come. About 1.3 KB; no other memory is needed. */
struct chain_verity {
	uint64_t bytes;
	uint64_t digests[CHAIN_VERITY_LEVELS + 1];           /* from 1: how many each level has so far */
	struct chain_sha256 blocks[CHAIN_VERITY_LEVELS + 1]; /* of each the block that is not full; 0: the file's own */
	uint8_t root[CHAIN_SHA256_BYTES];                    /* the first digest of the highest level */
	uint64_t sums[2];                                    /* what the locator is made of */
};
void chain_verity_init(struct chain_verity *v);
/* Pieces of whole blocks, many at a time, are the quickest; those of CHAIN_VERITY_PARALLEL_BYTES and more that
 * begin behind whole runs of 512 KiB are hashed on all processors (chain/parallel.h). */
enum { CHAIN_VERITY_PARALLEL_BYTES = 1 << 20 };
void chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count);
/* Nothing may be added behind. */
void chain_verity_final(struct chain_verity *v, uint8_t out[CHAIN_SHA256_BYTES]);
void chain_verity_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES]);

/* A digest says that a file was changed, a locator where, if no more than one block was. With v(i) for the first 4
 * bytes of block i's digest, read as a big-endian number, and i counted from 1, it is the sum of all v(i) and that of
 * all i * v(i), each modulo the prime 2^32 - 5, 4 bytes each, big-endian. Blocks are those of the tree, the last one
 * filled up with zeros. One block's change alters the first sum by some d, and the second by i * d. A locator proves
 * nothing; it is read when the digest has failed. */
void chain_verity_locator(const struct chain_verity *v, uint8_t out[CHAIN_LOCATOR_BYTES]);
/* Which of `blocks` blocks was changed, from 1; 0: more than one, or none. When several were, it names one of them or
 * another one with a probability of blocks / 2^32. */
uint64_t chain_locator_find(const uint8_t wanted[CHAIN_LOCATOR_BYTES], const uint8_t found[CHAIN_LOCATOR_BYTES],
			    uint64_t blocks);
/* A digest and the locator behind it. */
void chain_verity_final_located(struct chain_verity *v, uint8_t out[CHAIN_LOCATED_BYTES]);
void chain_verity_of_located(const void *bytes, uint64_t count, uint8_t out[CHAIN_LOCATED_BYTES]);

/* Small files side by side, whatever their sizes: their blocks share the lanes, then those of the level above, then
 * the records. About 70 KB. */
enum { CHAIN_VERITY_GROUP_FILES = 16, CHAIN_VERITY_GROUP_BLOCKS = 128, CHAIN_VERITY_GROUP_FILE_BLOCKS = 32 };
struct chain_verity_group {
	size_t count, blocks; /* so far: files, and their blocks */
	struct chain_verity_group_file {
		const uint8_t *bytes; /* borrowed until the group is hashed */
		uint64_t count;
	} files[CHAIN_VERITY_GROUP_FILES];
	uint8_t digests[CHAIN_VERITY_GROUP_FILES][CHAIN_SHA256_BYTES]; /* of the files, once they are hashed */
	uint8_t of_blocks[CHAIN_VERITY_GROUP_BLOCKS][CHAIN_SHA256_BYTES];
	uint8_t scratch[CHAIN_VERITY_GROUP_FILES][CHAIN_VERITY_BLOCK_BYTES];
};
/* False: the file is none of a group (more than CHAIN_VERITY_GROUP_FILE_BLOCKS blocks), or the group is full. */
bool chain_verity_group_add(struct chain_verity_group *group, const uint8_t *bytes, uint64_t count);
/* Finds the digests of its files, and leaves it to be emptied: count and blocks are 0 in an empty one. */
void chain_verity_group_hash(struct chain_verity_group *group);

/* For work in several places: the digests of `count` blocks, and adding such digests, in the blocks' order, where whole
 * blocks were added so far. */
void chain_verity_blocks(const uint8_t *bytes, size_t count, uint8_t (*out)[CHAIN_SHA256_BYTES]);
void chain_verity_add(struct chain_verity *v, size_t count, const uint8_t (*digests)[CHAIN_SHA256_BYTES]);

#endif
