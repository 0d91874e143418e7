/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The tree digest against `fsverity digest`, and digests side by side against one after the other. */
#include "chain/verity.h"
#include "chain/base/digest_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = CHAIN_VERITY_BLOCK_BYTES, FULL = 128, DIGEST = CHAIN_SHA256_BYTES };

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint8_t *random_bytes(size_t count)
{
	uint8_t *bytes = malloc(count + 8);

	assert_non_null(bytes);
	for (size_t at = 0; at < count; at += 8) {
		const uint64_t value = next();

		memcpy(bytes + at, &value, 8);
	}
	return bytes;
}

/* What `fsverity digest` says of a file; false: the tool is not there. */
static bool oracle(const uint8_t *bytes, size_t count, char out[CHAIN_SHA256_HEX + 1])
{
	char path[] = "/tmp/kchain-verity-XXXXXX", command[128];
	const int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t done = 0; done < count;) {
		const ssize_t put = write(fd, bytes + done, count - done);

		assert_true(put > 0);
		done += (size_t)put;
	}
	assert_int_equal(close(fd), 0);
	(void)snprintf(command, sizeof(command), "fsverity digest --compact %s 2>/dev/null", path);
	FILE *said = popen(command, "r");
	const bool there = said && fscanf(said, "%64[0-9a-f]", out) == 1;

	assert_true(said && pclose(said) >= 0);
	assert_int_equal(unlink(path), 0);
	return there;
}

static void as_fsverity(void **state)
{
	static const size_t sizes[] = {
		0,
		1,
		BLOCK - 1,
		BLOCK,
		BLOCK + 1,
		2 * BLOCK,
		3 * BLOCK - 1,
		8 * BLOCK + 5,
		FULL * BLOCK - 1,
		FULL * BLOCK,
		FULL * BLOCK + 1,
		2 * FULL * BLOCK,
		(FULL + 1) * BLOCK - 7,
		FULL * FULL * BLOCK - 1,
		FULL * FULL * BLOCK,
		FULL * FULL * BLOCK + 1,
		FULL * FULL * BLOCK + FULL * BLOCK + BLOCK + 1,
	};
	uint8_t *bytes = random_bytes(sizes[sizeof(sizes) / sizeof(sizes[0]) - 1]), digest[DIGEST];
	char hex[CHAIN_SHA256_HEX + 1], said[CHAIN_SHA256_HEX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) + 60; i++) {
		const size_t count =
			i < sizeof(sizes) / sizeof(sizes[0]) ? sizes[i] : (size_t)(next() % (3 * FULL * BLOCK));

		chain_verity_of(bytes, count, digest);
		chain_sha256_to_hex(digest, hex);
		if (!oracle(bytes, count, said))
			skip();
		assert_string_equal(hex, said);
	}
	free(bytes);
}

/* Known without the tool: an empty file's, and "abc"'s, as fsverity 1.5 prints them. */
static void known_answers(void **state)
{
	uint8_t digest[DIGEST];
	char hex[CHAIN_SHA256_HEX + 1];

	(void)state;
	chain_verity_of(NULL, 0, digest);
	chain_sha256_to_hex(digest, hex);
	assert_string_equal(hex, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95");
	chain_verity_of("abc", 3, digest);
	chain_sha256_to_hex(digest, hex);
	assert_string_equal(hex, "700b6bd8510f0b4f9bac8b9cf0459151a1c4a99f467892bb4bd289a67df8e19c");
}

static void pieces_are_the_whole(void **state)
{
	const size_t count = 3 * FULL * BLOCK + 1234;
	uint8_t *bytes = random_bytes(count), whole[DIGEST], pieces[DIGEST];

	(void)state;
	chain_verity_of(bytes, count, whole);
	for (unsigned round = 0; round < 12; round++) {
		const uint64_t most = (uint64_t)1 << (4 + round * 3 / 2);
		struct chain_verity v;

		chain_verity_init(&v);
		for (size_t at = 0; at < count;) {
			const uint64_t piece = next() % (most + 1), left = count - at;

			chain_verity_update(&v, bytes + at, piece < left ? piece : left);
			at += (size_t)(piece < left ? piece : left);
		}
		chain_verity_final(&v, pieces);
		assert_memory_equal(pieces, whole, DIGEST);
	}
	free(bytes);
}

/* Blocks hashed elsewhere, in any order, and added. */
static void blocks_are_the_whole(void **state)
{
	enum { BLOCKS = 2 * FULL + 11, REST = 77 };
	uint8_t *bytes = random_bytes(BLOCKS * BLOCK + REST), whole[DIGEST], added[DIGEST];
	static uint8_t digests[BLOCKS][DIGEST];
	struct chain_verity v;

	(void)state;
	chain_verity_of(bytes, BLOCKS * BLOCK + REST, whole);
	for (size_t done = BLOCKS; done > 0;) {
		const size_t now = next() % 20 + 1 < done ? next() % 20 + 1 : done;

		done -= now < done ? now : done;
		chain_verity_blocks(bytes + done * BLOCK, now, digests + done);
	}
	chain_verity_init(&v);
	chain_verity_add(&v, 3, (const uint8_t(*)[DIGEST])digests);
	chain_verity_update(&v, bytes + 3 * BLOCK, BLOCK);
	chain_verity_add(&v, BLOCKS - 4, (const uint8_t(*)[DIGEST])(digests + 4));
	chain_verity_update(&v, bytes + BLOCKS * BLOCK, REST);
	chain_verity_final(&v, added);
	assert_memory_equal(added, whole, DIGEST);
	free(bytes);
}

/* Each number of lanes that there can be and that are used, pieces of each length in use and at any address, in any
 * order, one twice. */
static void side_by_side_is_one_by_one(void **state)
{
	static const uint32_t lengths[] = { 0, 64, 128, 256, 4032, BLOCK };
	static const size_t lanes[] = { 1, 4, 8 };
	const bool avx2 = digest_processor() & DIGEST_CPU_AVX2;
	uint8_t *bytes = random_bytes(64 * BLOCK);

	(void)state;
	if (!avx2)
		print_message("without AVX2: eight lanes are not tried\n");
	for (unsigned round = 0; round < 900; round++) {
		const size_t count = round % (CHAIN_SHA256_LANES + 1);
		const uint32_t length = lengths[next() % (sizeof(lengths) / sizeof(lengths[0]))];
		const uint8_t *pieces[CHAIN_SHA256_LANES];
		uint8_t digests[CHAIN_SHA256_LANES + 1][DIGEST], one[DIGEST];

		memset(digests, 0xa5, sizeof(digests));
		for (size_t i = 0; i < count; i++)
			pieces[i] = i == 3 ? pieces[0] : bytes + next() % (63 * BLOCK);
		const size_t width = lanes[next() % (avx2 ? 3 : 2)];

		if (round % 4 == 0)
			chain_sha256_lanes(pieces, count, length, digests);
		else
			digest_of_lanes(width, pieces, count, length, digests);
		for (size_t i = 0; i < count; i++) {
			chain_sha256_of(pieces[i], length, one);
			assert_memory_equal(digests[i], one, DIGEST);
		}
		for (size_t i = 0; i < DIGEST; i++)
			assert_int_equal(digests[count][i], 0xa5);
	}
	free(bytes);
}

/* Files of every number of blocks, whole and not, in any order, until the group takes no more. */
static void a_group_is_its_files(void **state)
{
	enum { MOST = CHAIN_VERITY_GROUP_FILE_BLOCKS * BLOCK };
	static struct chain_verity_group group;
	uint8_t *bytes = random_bytes(MOST + BLOCK);
	size_t files = 0, fullest = 0, most_blocks = 0;

	(void)state;
	assert_false(chain_verity_group_add(&group, bytes, MOST + 1));
	for (unsigned round = 0; round < 150; round++) {
		struct chain_verity_group_file added[CHAIN_VERITY_GROUP_FILES + 1];
		const uint64_t most = round % 3 == 0 ? MOST : round % 3 == 1 ? 3 * BLOCK : BLOCK;
		size_t count = 0;

		do {
			const uint64_t size = next() % 4 ? next() % (most + 1) : next() % (most / BLOCK + 1) * BLOCK;

			added[count] = (struct chain_verity_group_file){ bytes + next() % BLOCK, size };
		} while (chain_verity_group_add(&group, added[count].bytes, added[count].count) && ++count > 0 &&
			 next() % 40 > 0);
		assert_int_equal(group.count, count);
		most_blocks = group.blocks > most_blocks ? group.blocks : most_blocks;
		fullest = count > fullest ? count : fullest;
		chain_verity_group_hash(&group);
		assert_int_equal(group.count | group.blocks, 0);
		for (size_t i = 0; i < count; i++, files++) {
			uint8_t one[DIGEST];

			chain_verity_of(added[i].bytes, added[i].count, one);
			assert_memory_equal(group.digests[i], one, DIGEST);
		}
	}
	assert_true(files > 1000 && fullest == CHAIN_VERITY_GROUP_FILES);
	assert_true(most_blocks > CHAIN_VERITY_GROUP_BLOCKS - CHAIN_VERITY_GROUP_FILE_BLOCKS);
	free(bytes);
}

/* A locator by its definition, block by block. */
static void locator_by_hand(const uint8_t *bytes, size_t count, uint8_t out[CHAIN_LOCATOR_BYTES])
{
	const uint64_t prime = 4294967291u;
	uint64_t sums[2] = { 0, 0 };

	for (size_t at = 0; at < count; at += BLOCK) {
		uint8_t block[BLOCK] = { 0 }, digest[DIGEST];
		uint64_t value = 0;

		memcpy(block, bytes + at, count - at < BLOCK ? count - at : BLOCK);
		chain_sha256_of(block, BLOCK, digest);
		for (size_t i = 0; i < 4; i++)
			value = value << 8 | digest[i];
		sums[0] = (sums[0] + value) % prime;
		sums[1] = (sums[1] + value * (at / BLOCK + 1)) % prime;
	}
	for (size_t i = 0; i < CHAIN_LOCATOR_BYTES; i++)
		out[i] = (uint8_t)(sums[i / 4] >> (24 - i % 4 * 8));
}

/* Each block of files of each size, by a bit of its first, last or any byte; and two blocks at once. */
static void a_locator_finds_the_block(void **state)
{
	static const size_t sizes[] = { BLOCK + 1,          2 * BLOCK,    3 * BLOCK - 1,    8 * BLOCK,  8 * BLOCK + 1,
					FULL * BLOCK - 100, FULL * BLOCK, FULL * BLOCK + 1, 300 * BLOCK };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t count = sizes[i], blocks = (count + BLOCK - 1) / BLOCK;
		uint8_t *bytes = random_bytes(count), whole[CHAIN_LOCATED_BYTES], digest[DIGEST],
			other[CHAIN_LOCATED_BYTES];
		const uint8_t *locator = whole + DIGEST;

		chain_verity_of_located(bytes, count, whole);
		chain_verity_of(bytes, count, digest);
		assert_memory_equal(whole, digest, DIGEST);
		locator_by_hand(bytes, count, other);
		assert_memory_equal(locator, other, CHAIN_LOCATOR_BYTES);
		assert_int_equal(chain_locator_find(locator, locator, blocks), 0);
		for (size_t block = 0; block < blocks; block++) {
			const size_t start = block * BLOCK, end = start + BLOCK < count ? start + BLOCK : count;
			const size_t places[] = { start, end - 1, start + next() % (end - start) };
			const size_t at = places[block % 3], more = start > 0 ? next() % start : count - 1;

			bytes[at] ^= (uint8_t)(1u << next() % 8);
			chain_verity_of_located(bytes, count, other);
			assert_int_equal(chain_locator_find(locator, other + DIGEST, blocks), block + 1);
			bytes[more] ^= 1;
			chain_verity_of_located(bytes, count, other);
			assert_int_equal(chain_locator_find(locator, other + DIGEST, blocks), 0);
			memcpy(whole, other, sizeof(whole)); /* the next one starts from here */
		}
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(as_fsverity),
		cmocka_unit_test(pieces_are_the_whole),
		cmocka_unit_test(blocks_are_the_whole),
		cmocka_unit_test(side_by_side_is_one_by_one),
		cmocka_unit_test(a_group_is_its_files),
		cmocka_unit_test(a_locator_finds_the_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
