/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Linux, Documentation/filesystems/fsverity.rst, "Merkle tree" and "fs-verity descriptor". */
#include "chain/verity.h"

#include "chain/parallel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = CHAIN_VERITY_BLOCK_BYTES,
	LANES = CHAIN_SHA256_LANES,
	DIGEST = CHAIN_SHA256_BYTES,
	PER_BLOCK = BLOCK / DIGEST,
	VERSION = 1,
	HASH_SHA256 = 1,
	LOG_BLOCK = 12,
	RUN = PER_BLOCK * BLOCK, /* bytes whose digests fill a block of the next level */
};
static_assert(CHAIN_VERITY_PARALLEL_BYTES >= 2 * RUN, "work for two processors");
static const uint64_t prime = 0xfffffffb; /* the locator's: 2^32 - 5 */

/* Little-endian. What is left out here, a salt and a signature, is not there. */
struct descriptor {
	uint8_t version, hash_algorithm, log_block_bytes, salt_bytes;
	uint32_t reserved_first;
	uint64_t data_bytes;
	uint8_t root[64];
	uint8_t salt[32];
	uint8_t reserved[144];
};
static_assert(sizeof(struct descriptor) == 256, "struct fsverity_descriptor");

void chain_verity_init(struct chain_verity *v)
{
	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i <= CHAIN_VERITY_LEVELS; i++)
		chain_sha256_init(&v->blocks[i]);
}

static void pad(struct chain_sha256 *block, uint64_t count)
{
	static const uint8_t zeros[256];

	for (; count > sizeof(zeros); count -= sizeof(zeros))
		chain_sha256_update(block, zeros, sizeof(zeros));
	chain_sha256_update(block, zeros, count);
}

/* Ends the block that is being filled at a level, and begins the next one. */
static void block_end(struct chain_verity *v, size_t level, uint64_t missing, uint8_t out[DIGEST])
{
	pad(&v->blocks[level], missing);
	chain_sha256_final(&v->blocks[level], out);
	chain_sha256_init(&v->blocks[level]);
}

static uint32_t big_endian(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return __builtin_bswap32(value);
}

static void sums_add(uint64_t sums[2], const uint8_t *digest, uint64_t number)
{
	const uint64_t value = big_endian(digest);

	sums[0] = (sums[0] + value) % prime;
	sums[1] = (sums[1] + number % prime * value) % prime;
}

/* A level's digests fill blocks whose digests are the next level's. The only digest of the highest level that has any
 * is the root. */
static void digests_add(struct chain_verity *v, size_t level, const uint8_t *digests, size_t count)
{
	while (count > 0) {
		const size_t room = PER_BLOCK - v->digests[level] % PER_BLOCK, now = count < room ? count : room;
		uint8_t above[DIGEST];

		if (v->digests[level] == 0)
			memcpy(v->root, digests, DIGEST);
		chain_sha256_update(&v->blocks[level], digests, now * DIGEST);
		v->digests[level] += now;
		if (now == room && level < CHAIN_VERITY_LEVELS) {
			block_end(v, level, 0, above);
			digests_add(v, level + 1, above, 1);
		}
		digests += now * DIGEST;
		count -= now;
	}
}

void chain_verity_blocks(const uint8_t *bytes, size_t count, uint8_t (*out)[DIGEST])
{
	const uint8_t *pieces[LANES];

	for (size_t done = 0; done < count; done += LANES) {
		const size_t now = count - done < LANES ? count - done : LANES;

		for (size_t i = 0; i < now; i++)
			pieces[i] = bytes + (done + i) * BLOCK;
		chain_sha256_lanes(pieces, now, BLOCK, out + done);
	}
}

/* Digests of the file's own blocks. */
static void blocks_add(struct chain_verity *v, const uint8_t *digests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sums_add(v->sums, digests + i * DIGEST, v->digests[1] + i + 1);
	digests_add(v, 1, digests, count);
}

void chain_verity_add(struct chain_verity *v, size_t count, const uint8_t (*digests)[DIGEST])
{
	blocks_add(v, digests[0], count);
	v->bytes += (uint64_t)count * BLOCK;
}

/* The block that pieces of any size fill. */
static void fill(struct chain_verity *v, const uint8_t *bytes, uint64_t count)
{
	uint8_t digest[DIGEST];

	chain_sha256_update(&v->blocks[0], bytes, count);
	v->bytes += count;
	if (v->bytes % BLOCK != 0)
		return;
	block_end(v, 0, 0, digest);
	blocks_add(v, digest, 1);
}

/* Of several processors each hashes runs of blocks, up to the one digest that goes into the second level. */
struct runs {
	const uint8_t *bytes;
	struct run {
		uint8_t digest[DIGEST];
		uint64_t sums[2]; /* with the run's blocks counted from 1 */
	} of[CHAIN_PARALLEL_PIECES];
};

static void run_hash(void *ctx, size_t index)
{
	struct runs *runs = ctx;
	struct run run = { .sums = { 0, 0 } };
	struct chain_sha256 above;
	uint8_t digests[LANES][DIGEST];

	chain_sha256_init(&above);
	for (size_t block = 0; block < PER_BLOCK; block += LANES) {
		chain_verity_blocks(runs->bytes + index * RUN + block * BLOCK, LANES, digests);
		chain_sha256_update(&above, digests, sizeof(digests));
		for (size_t i = 0; i < LANES; i++)
			sums_add(run.sums, digests[i], block + i + 1);
	}
	chain_sha256_final(&above, run.digest);
	runs->of[index] = run;
}

/* Where whole runs were added so far. */
static void run_add(struct chain_verity *v, const struct run *run)
{
	const uint64_t before = v->digests[1] % prime;

	v->sums[1] = (v->sums[1] + before * run->sums[0] + run->sums[1]) % prime;
	v->sums[0] = (v->sums[0] + run->sums[0]) % prime;
	v->digests[1] += PER_BLOCK;
	v->bytes += RUN;
	digests_add(v, 2, run->digest, 1);
}

/* How many bytes were hashed with others' help; 0: nobody is there. What they write to is kept for good: one that is
 * lost may still do so. */
static uint64_t runs_add(struct chain_verity *v, const uint8_t *bytes, uint64_t count)
{
	static struct runs *runs;
	uint64_t done = 0;

	if (count < CHAIN_VERITY_PARALLEL_BYTES || v->bytes % RUN != 0 || !chain_parallel_gather(count))
		return 0;
	if (!runs)
		runs = malloc(sizeof(*runs));
	while (runs && count - done >= 2 * RUN) {
		const uint64_t whole = (count - done) / RUN;
		const size_t now = whole < CHAIN_PARALLEL_PIECES ? (size_t)whole : CHAIN_PARALLEL_PIECES;

		runs->bytes = bytes + done;
		const bool all = chain_parallel_run(run_hash, runs, now);

		for (size_t i = 0; i < now; i++)
			run_add(v, &runs->of[i]);
		done += now * RUN;
		if (!all)
			break;
	}
	return done;
}

void chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count)
{
	const uint64_t missing = -v->bytes % BLOCK, first = count < missing ? count : missing;
	const uint8_t *at = bytes;
	uint8_t digests[LANES][DIGEST];

	if (first > 0)
		fill(v, at, first);
	const uint64_t helped = runs_add(v, at + first, count - first);

	for (at += first + helped, count -= first + helped; count >= BLOCK;) {
		const size_t now = count / BLOCK < LANES ? (size_t)(count / BLOCK) : LANES;

		chain_verity_blocks(at, now, digests);
		chain_verity_add(v, now, (const uint8_t(*)[DIGEST])digests);
		at += now * BLOCK;
		count -= now * BLOCK;
	}
	if (count > 0)
		fill(v, at, count);
}

/* What a file of so many bytes is called whose tree has this root; of an empty one the root is zero. */
static struct descriptor describe(uint64_t bytes, const uint8_t root[DIGEST])
{
	struct descriptor descriptor = {
		.version = VERSION, .hash_algorithm = HASH_SHA256, .log_block_bytes = LOG_BLOCK, .data_bytes = bytes
	};

	memcpy(descriptor.root, root, DIGEST);
	return descriptor;
}

/* All blocks of `bytes` bytes are added. */
static void tree_end(struct chain_verity *v, uint64_t bytes, uint8_t out[DIGEST])
{
	uint8_t digest[DIGEST];

	for (size_t level = 1; level < CHAIN_VERITY_LEVELS && v->digests[level] > 1; level++) {
		const uint64_t last = v->digests[level] % PER_BLOCK;

		if (last == 0)
			continue;
		block_end(v, level, (PER_BLOCK - last) * DIGEST, digest);
		digests_add(v, level + 1, digest, 1);
	}
	const struct descriptor descriptor = describe(bytes, v->root);

	chain_sha256_of(&descriptor, sizeof(descriptor), out);
}

static size_t blocks_of(uint64_t bytes)
{
	return (size_t)((bytes + BLOCK - 1) / BLOCK);
}

bool chain_verity_group_add(struct chain_verity_group *group, const uint8_t *bytes, uint64_t count)
{
	if (count > (uint64_t)CHAIN_VERITY_GROUP_FILE_BLOCKS * BLOCK || group->count == CHAIN_VERITY_GROUP_FILES ||
	    blocks_of(count) > CHAIN_VERITY_GROUP_BLOCKS - group->blocks)
		return false;
	group->files[group->count++] = (struct chain_verity_group_file){ bytes, count };
	group->blocks += blocks_of(count);
	return true;
}

/* Of any number of pieces. */
static void hash_pieces(const uint8_t *const *pieces, size_t count, uint32_t bytes, uint8_t (*out)[DIGEST])
{
	for (size_t done = 0; done < count; done += LANES)
		chain_sha256_lanes(pieces + done, count - done < LANES ? count - done : LANES, bytes, out + done);
}

/* The files' own blocks, file behind file. */
static void group_blocks(struct chain_verity_group *g)
{
	const uint8_t *pieces[CHAIN_VERITY_GROUP_BLOCKS];
	size_t used = 0;

	for (size_t i = 0; i < g->count; i++) {
		const struct chain_verity_group_file *file = &g->files[i];
		const size_t whole = (size_t)(file->count / BLOCK), part = file->count % BLOCK;

		for (size_t block = 0; block < whole; block++)
			pieces[used++] = file->bytes + block * BLOCK;
		if (part == 0)
			continue;
		memcpy(g->scratch[i], file->bytes + whole * BLOCK, part);
		memset(g->scratch[i] + part, 0, BLOCK - part);
		pieces[used++] = g->scratch[i];
	}
	hash_pieces(pieces, used, BLOCK, g->of_blocks);
}

/* The roots, to `digests`: the only block's digest, or that of the block that the digests of several fill; of an empty
 * file it is zero. */
static void group_roots(struct chain_verity_group *g)
{
	const uint8_t *pieces[CHAIN_VERITY_GROUP_FILES];
	uint8_t roots[CHAIN_VERITY_GROUP_FILES][DIGEST];
	size_t used = 0, at = 0;

	for (size_t i = 0; i < g->count; i++) {
		const size_t blocks = blocks_of(g->files[i].count);

		memset(g->digests[i], 0, DIGEST);
		if (blocks == 1)
			memcpy(g->digests[i], g->of_blocks[at], DIGEST);
		if (blocks > 1) {
			memset(g->scratch[i], 0, BLOCK);
			memcpy(g->scratch[i], g->of_blocks[at], blocks * DIGEST);
			pieces[used++] = g->scratch[i];
		}
		at += blocks;
	}
	hash_pieces(pieces, used, BLOCK, roots);
	for (size_t i = 0; i < used; i++)
		memcpy(g->digests[(size_t)(pieces[i] - g->scratch[0]) / BLOCK], roots[i], DIGEST);
}

void chain_verity_group_hash(struct chain_verity_group *group)
{
	const uint8_t *pieces[CHAIN_VERITY_GROUP_FILES];

	group_blocks(group);
	group_roots(group);
	for (size_t i = 0; i < group->count; i++) {
		const struct descriptor descriptor = describe(group->files[i].count, group->digests[i]);

		memcpy(group->scratch[i], &descriptor, sizeof(descriptor));
		pieces[i] = group->scratch[i];
	}
	hash_pieces(pieces, group->count, sizeof(struct descriptor), group->digests);
	group->count = group->blocks = 0;
}

void chain_verity_final(struct chain_verity *v, uint8_t out[DIGEST])
{
	uint8_t digest[DIGEST];

	if (v->bytes % BLOCK != 0) {
		block_end(v, 0, -v->bytes % BLOCK, digest);
		blocks_add(v, digest, 1);
	}
	tree_end(v, v->bytes, out);
}

/* The last blocks, of which one may not be whole, side by side. */
static void rest_add(struct chain_verity *v, const uint8_t *bytes, size_t count)
{
	const size_t whole = count / BLOCK, part = count % BLOCK, blocks = whole + (part > 0);
	uint8_t last[BLOCK] = { 0 }, digests[LANES][DIGEST];
	const uint8_t *pieces[LANES];

	for (size_t i = 0; i < whole; i++)
		pieces[i] = bytes + i * BLOCK;
	if (part > 0) {
		memcpy(last, bytes + whole * BLOCK, part);
		pieces[whole] = last;
	}
	chain_sha256_lanes(pieces, blocks, BLOCK, digests);
	chain_verity_add(v, blocks, (const uint8_t(*)[DIGEST])digests);
}

static void all_add(struct chain_verity *v, const void *bytes, uint64_t count, uint8_t out[DIGEST])
{
	const uint64_t rest = count % (LANES * BLOCK);

	chain_verity_init(v);
	chain_verity_update(v, bytes, count - rest);
	if (rest > 0)
		rest_add(v, (const uint8_t *)bytes + (count - rest), (size_t)rest);
	tree_end(v, count, out);
}

void chain_verity_of(const void *bytes, uint64_t count, uint8_t out[DIGEST])
{
	struct chain_verity v;

	all_add(&v, bytes, count, out);
}

void chain_verity_of_located(const void *bytes, uint64_t count, uint8_t out[CHAIN_LOCATED_BYTES])
{
	struct chain_verity v;

	all_add(&v, bytes, count, out);
	chain_verity_locator(&v, out + DIGEST);
}

void chain_verity_final_located(struct chain_verity *v, uint8_t out[CHAIN_LOCATED_BYTES])
{
	chain_verity_final(v, out);
	chain_verity_locator(v, out + DIGEST);
}

void chain_verity_locator(const struct chain_verity *v, uint8_t out[CHAIN_LOCATOR_BYTES])
{
	for (size_t i = 0; i < 2; i++) {
		const uint32_t value = __builtin_bswap32((uint32_t)v->sums[i]);

		memcpy(out + i * sizeof(value), &value, sizeof(value));
	}
}

/* By which number one locator's sum exceeds another's, modulo the prime. */
static uint64_t difference(const uint8_t *more, const uint8_t *less)
{
	return (prime + big_endian(more) % prime - big_endian(less) % prime) % prime;
}

uint64_t chain_locator_find(const uint8_t wanted[CHAIN_LOCATOR_BYTES], const uint8_t found[CHAIN_LOCATOR_BYTES],
			    uint64_t blocks)
{
	uint64_t power = difference(found, wanted), number = difference(found + 4, wanted + 4);

	/* x^(p - 2) is 1 / x, by Fermat's little theorem; and 0 where x is, which no block's number is */
	for (uint64_t exponent = prime - 2; exponent > 0; exponent /= 2) {
		if (exponent % 2 == 1)
			number = number * power % prime;
		power = power * power % prime;
	}
	return number <= blocks ? number : 0;
}
