/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 against FIPS 180-4's examples, hexadecimal text, and docs/IMAGE.md against the header it describes. */
#include "chain/digest.h"
#include "abi/image_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void known_answers(void **state)
{
	(void)state;
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t digest[CHAIN_SHA256_BYTES];
		char hex[CHAIN_SHA256_HEX + 1];

		chain_sha256_of(cases[i].text, strlen(cases[i].text), digest);
		chain_sha256_to_hex(digest, hex);
		assert_string_equal(hex, cases[i].hex);
	}
}

static void pieces_are_the_whole(void **state)
{
	(void)state;
	uint8_t bytes[1000], whole[CHAIN_SHA256_BYTES], pieces[CHAIN_SHA256_BYTES];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i);
	chain_sha256_of(bytes, sizeof(bytes), whole);
	for (size_t step = 1; step < 200; step += 7) {
		struct chain_sha256 ctx;

		chain_sha256_init(&ctx);
		for (size_t at = 0; at < sizeof(bytes); at += step)
			chain_sha256_update(&ctx, bytes + at, sizeof(bytes) - at < step ? sizeof(bytes) - at : step);
		chain_sha256_update(&ctx, NULL, 0);
		chain_sha256_final(&ctx, pieces);
		assert_memory_equal(pieces, whole, sizeof(whole));
	}
}

static void hexadecimal(void **state)
{
	(void)state;
	uint8_t digest[CHAIN_SHA256_BYTES], again[CHAIN_SHA256_BYTES];
	char hex[CHAIN_SHA256_HEX + 1];

	chain_sha256_of("x", 1, digest);
	chain_sha256_to_hex(digest, hex);
	assert_true(chain_sha256_from_hex(hex, CHAIN_SHA256_HEX, again));
	assert_memory_equal(digest, again, sizeof(digest));
	for (size_t i = 0; i < CHAIN_SHA256_HEX; i++)
		if (hex[i] >= 'a')
			hex[i] = (char)(hex[i] - 'a' + 'A');
	assert_true(chain_sha256_from_hex(hex, CHAIN_SHA256_HEX, again));
	assert_memory_equal(digest, again, sizeof(digest));
	assert_false(chain_sha256_from_hex(hex, CHAIN_SHA256_HEX - 1, again));
	assert_false(chain_sha256_from_hex(hex, CHAIN_SHA256_HEX + 1, again));
	static const char wrong[] = "/:@G`g \n";

	for (size_t i = 0; i < sizeof(wrong); i++) {
		const char kept = hex[i * 7];

		hex[i * 7] = wrong[i];
		assert_false(chain_sha256_from_hex(hex, CHAIN_SHA256_HEX, again));
		hex[i * 7] = kept;
	}
}

#define FIELD(name)                                                                                                    \
	{                                                                                                              \
#name, offsetof(struct chain_image_header, name), sizeof(((struct chain_image_header *)0)->name)       \
	}

/* Each row of the table "| offset | bytes | `field` |" is true, and no field is missing. */
static void document_is_true(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t offset, bytes;
	} fields[] = {
		FIELD(magic),       FIELD(version),         FIELD(flags),          FIELD(id),
		FIELD(stage_bytes), FIELD(manifest_offset), FIELD(manifest_bytes), FIELD(fs_offset),
		FIELD(fs_bytes),    FIELD(fs_memory_bytes), FIELD(base),           FIELD(name),
		FIELD(file_base),   FIELD(file_manifest),   FIELD(file_fs),
	};
	const size_t count = sizeof(fields) / sizeof(fields[0]);
	FILE *doc = fopen("docs/IMAGE.md", "r");
	size_t rows = 0, offset, bytes, end = 0;
	char line[512], name[64];

	assert_non_null(doc);
	while (fgets(line, sizeof(line), doc)) {
		if (sscanf(line, "| %zu | %zu | `%63[a-z_]` |", &offset, &bytes, name) != 3)
			continue;
		assert_true(rows < count);
		assert_string_equal(name, fields[rows].name);
		assert_int_equal(offset, fields[rows].offset);
		assert_int_equal(bytes, fields[rows].bytes);
		assert_int_equal(offset, end);
		end = offset + bytes;
		rows++;
	}
	(void)fclose(doc);
	assert_int_equal(rows, count);
	assert_int_equal(end, sizeof(struct chain_image_header));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(pieces_are_the_whole),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(document_is_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
