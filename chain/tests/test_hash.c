/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Digests of both kinds: their text, pins, and sources that are pinned by one of them, by both or by none. */
#include "chain/hash.h"
#include "chain/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <string.h>

#define SHA  CHAIN_DIGEST_SHA256
#define TREE CHAIN_DIGEST_FSVERITY
enum { COUNT = 9000 };
static uint8_t bytes[COUNT];
static struct chain_digest right[CHAIN_DIGEST_KINDS], wrong[CHAIN_DIGEST_KINDS];

static void texts(void **state)
{
	char text[CHAIN_DIGEST_TEXT_BYTES];
	struct chain_digest digest;

	(void)state;
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++) {
		assert_true(chain_digest_parse(chain_digest_text(&right[kind], text), &digest));
		assert_true(chain_digest_same(&digest, &right[kind]));
		assert_false(chain_digest_same(&digest, &right[1 - kind]));
		text[strlen(text) - 1] = '\0';
		assert_false(chain_digest_parse(text, &digest));
	}
	assert_int_equal(strlen(chain_digest_text(&right[TREE], text)), sizeof(text) - 1);
	assert_memory_equal(text, "fsverity:", 9);
	static const char *const bad[] = { "", "sha256:", "fsverity", "fsverity:", "md5:00", ":" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(chain_digest_parse(bad[i], &digest));
}

static void pieces(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++) {
		struct chain_hash hash;
		struct chain_digest digest;

		chain_hash_init(&hash, (enum chain_digest_kind)kind);
		chain_hash_update(&hash, bytes, 5000);
		chain_hash_update(&hash, bytes + 5000, COUNT - 5000);
		chain_hash_final(&hash, &digest);
		assert_true(chain_digest_same(&digest, &right[kind]));
	}
}

/* What a pipeline may say: a digest of each kind, right, wrong or none; and by which the bytes are called. */
static const struct {
	const struct chain_digest *sha, *tree;
	bool good;
	enum chain_digest_kind called;
} cases[] = {
	{ NULL, NULL, true, TREE },
	{ &right[SHA], NULL, true, SHA },
	{ NULL, &right[TREE], true, TREE },
	{ &right[SHA], &right[TREE], true, TREE },
	{ &wrong[SHA], NULL, false, SHA },
	{ NULL, &wrong[TREE], false, TREE },
	{ &wrong[SHA], &right[TREE], false, SHA },
	{ &right[SHA], &wrong[TREE], false, TREE },
	/* the one in the place of the other */
	{ &right[TREE], NULL, false, SHA },
	{ NULL, &right[SHA], false, TREE },
};

static struct chain_pin pin_of(size_t i)
{
	return (struct chain_pin){ { cases[i].sha ? cases[i].sha->bytes : NULL,
				     cases[i].tree ? cases[i].tree->bytes : NULL } };
}

static void said(const struct chain_error *err, enum chain_digest_kind kind)
{
	char text[CHAIN_DIGEST_TEXT_BYTES];

	assert_int_equal(err->status, CHAIN_E_SOURCE_DIGEST);
	assert_string_equal(err->detail, chain_digest_text(&right[kind], text));
}

static enum chain_status read_bytes(void *ctx, uint64_t offset, uint64_t count, void *into, struct chain_error *err)
{
	(void)ctx;
	(void)err;
	memcpy(into, bytes + offset, count);
	return CHAIN_OK;
}

static void streams(void **state)
{
	const struct chain_stream stream = { .bytes = COUNT, .read = read_bytes };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct chain_stream_pin pin = { "block:data", pin_of(i) };
		struct chain_error err = { 0 };
		struct chain_digest digest;
		uint8_t into[COUNT];

		const enum chain_status status = chain_stream_take(&stream, &pin, into, &digest, &err);

		assert_int_equal(status == CHAIN_OK, cases[i].good);
		if (status == CHAIN_OK)
			assert_true(chain_digest_same(&digest, &right[cases[i].called]));
		else
			said(&err, cases[i].called);
		assert_memory_equal(into, bytes, COUNT);
	}
}

/* Reads of more than there is fail, as of a device that has less than it says. */
struct cut {
	uint64_t ends, next;
	unsigned failures;
};

static enum chain_status read_cut(void *ctx, uint64_t offset, uint64_t count, void *into, struct chain_error *err)
{
	struct cut *cut = ctx;

	assert_true(offset == cut->next && count && !cut->failures);
	if (offset + count > cut->ends) {
		cut->failures++;
		return CHAIN_FAIL(err, BLOCK_PAST_END, .subject = "disk 3", .lba = offset, .count = count,
				  .total = cut->ends);
	}
	cut->next += count;
	memset(into, 1, count);
	return CHAIN_OK;
}

/* One that ends early, wherever that is: it is not read on, and nothing is believed of it. */
static void streams_that_end_early(void **state)
{
	enum { BYTES = 9000000, CHUNK = 4 * CHAIN_VERITY_PARALLEL_BYTES, STEP = 89991 };
	static uint8_t into[BYTES];

	(void)state;
	for (uint64_t ends = 0; ends < BYTES + STEP; ends += STEP) {
		struct cut cut = { .ends = ends };
		const struct chain_stream stream = { .bytes = BYTES, .read = read_cut, .ctx = &cut };
		const struct chain_stream_pin pin = { .source = "block:data/2" };
		struct chain_error err = { 0 };
		struct chain_digest digest = { 0 };
		char text[256], want[256];
		const uint64_t at = ends / CHUNK * CHUNK, asked = BYTES - at < CHUNK ? BYTES - at : CHUNK;

		const enum chain_status status = chain_stream_take(&stream, &pin, into, &digest, &err);

		assert_int_equal(status, ends >= BYTES ? CHAIN_OK : CHAIN_E_BLOCK_PAST_END);
		assert_int_equal(cut.failures, ends < BYTES);
		if (ends >= BYTES)
			continue;
		chain_error_format(&err, text, sizeof(text));
		snprintf(want, sizeof(want), "block:data/2: disk 3: %llu sectors at %llu wanted; it has %llu",
			 (unsigned long long)asked, (unsigned long long)at, (unsigned long long)ends);
		assert_string_equal(text, want);
	}
}

static const uint8_t *module_bytes(void *ctx, size_t index)
{
	(void)ctx;
	(void)index;
	return bytes;
}

static void modules(void **state)
{
	struct chain_boot_module module = { .range = { 0x1000, 0x1000 + COUNT }, .string = (char[]){ "data" } };
	struct chain_bootinfo info = { .modules = &module, .module_count = 1 };
	const struct chain_sources sources = { .bootinfo = &info, .module_bytes = module_bytes };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_source_pin pin = { pin_of(i), false };
		struct chain_source_bytes got;
		struct chain_error err = { 0 };

		if (!cases[i].sha && !cases[i].tree) {
			assert_int_equal(chain_source_open(&sources, "module:data", &pin, &got, &err),
					 CHAIN_E_SOURCE_UNPINNED);
			chain_error_clear(&err);
			pin.unverified = true;
		}
		const enum chain_status status = chain_source_open(&sources, "module:data", &pin, &got, &err);

		assert_int_equal(status == CHAIN_OK, cases[i].good);
		if (status == CHAIN_OK)
			assert_true(chain_digest_same(&got.digest, &right[cases[i].called]));
		else
			said(&err, cases[i].called);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),   cmocka_unit_test(pieces),
		cmocka_unit_test(streams), cmocka_unit_test(streams_that_end_early),
		cmocka_unit_test(modules),
	};

	for (size_t i = 0; i < COUNT; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++) {
		chain_digest_of((enum chain_digest_kind)kind, bytes, COUNT, &right[kind]);
		wrong[kind] = right[kind];
		wrong[kind].bytes[31] ^= 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
