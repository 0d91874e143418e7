/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* An image that is to be started again from memory: its pieces, and that every byte of the stage which differs from
 * what was baked is found. */
#include "bake_fixture.h"

#include "chain/self.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { BASE = 0x700000 };

struct fixture {
	struct sink sink;
	struct chain_image image;
	struct chain_self self;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	assert_int_equal(image_make(&f->sink, &f->image), CHAIN_OK);
	assert_int_equal(chain_self_from_file(&f->self, &f->image, BASE, NULL), CHAIN_OK);
}

static void fixture_free(struct fixture *f)
{
	free(f->sink.bytes);
}

static void test_pieces(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	const struct chain_plan_piece *p = f.self.pieces;
	const struct chain_image_header *h = &f.image.header;
	assert_int_equal(f.self.piece_count, 5); /* text, data, what is only zeroed, manifest, filesystem */
	assert_int_equal(f.self.entry, BASE + 0x200);
	assert_int_equal(p[0].segment.phys.base, BASE);
	assert_int_equal(p[0].blob.phys, BASE);
	assert_int_equal(p[1].blob.bytes_count, 0x321);
	assert_true(p[1].blob.phys == CHAIN_PHYS_UNKNOWN); /* it is written to while the stage runs */
	assert_int_equal(p[1].segment.phys.end, BASE + 0x2100);
	assert_int_equal(p[2].blob.bytes_count, 0);
	assert_int_equal(chain_range_bytes(p[2].segment.phys), 0x2000);
	assert_false(p[0].keep_rest || p[1].keep_rest || p[2].keep_rest);
	assert_int_equal(p[3].blob.phys, BASE + h->manifest_offset);
	assert_int_equal(p[4].blob.phys, BASE + h->fs_offset);
	assert_int_equal(p[4].segment.phys.end, BASE + h->fs_offset + h->fs_memory_bytes);
	assert_true(p[3].keep_rest && p[4].keep_rest);
	assert_int_equal(chain_self_check(&f.self, &f.image, NULL), CHAIN_OK);
	fixture_free(&f);
}

/* Each byte of text and data in turn, the header's id among them. */
static void test_every_flip_is_found(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < 2; i++) {
		const struct chain_blob whole = f.self.pieces[i].blob;
		uint8_t *copy = malloc(whole.bytes_count);
		assert_non_null(copy);
		memcpy(copy, whole.bytes, whole.bytes_count);
		f.self.pieces[i].blob.bytes = copy;
		for (uint64_t at = 0; at < whole.bytes_count; at++) {
			struct chain_error err = { 0 };
			copy[at] ^= 0x20;
			enum chain_status status = chain_self_check(&f.self, &f.image, &err);
			assert_true(status == CHAIN_E_IMAGE_DIGEST || status == CHAIN_E_IMAGE_NO_HEADER);
			copy[at] ^= 0x20;
		}
		assert_int_equal(chain_self_check(&f.self, &f.image, NULL), CHAIN_OK);
		f.self.pieces[i].blob = whole;
		free(copy);
	}
	fixture_free(&f);
}

/* A piece that is left out, cut or longer than the file has bytes for. */
static void test_wrong_pieces(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	struct chain_self self = f.self;
	self.pieces[1].blob.bytes_count--;
	assert_int_equal(chain_self_check(&self, &f.image, NULL), CHAIN_E_IMAGE_DIGEST);
	self = f.self;
	self.piece_count = 1;
	assert_int_equal(chain_self_check(&self, &f.image, NULL), CHAIN_E_IMAGE_DIGEST);
	self.piece_count = 0;
	assert_int_equal(chain_self_check(&self, &f.image, NULL), CHAIN_E_MANIFEST_MALFORMED);
	self.piece_count = 1;
	self.pieces[0].blob.bytes_count = f.sink.count;
	assert_int_equal(chain_self_check(&self, &f.image, NULL), CHAIN_E_MANIFEST_MALFORMED);
	fixture_free(&f);
}

static void test_limits(void **state)
{
	struct chain_self self = { 0 };
	const struct chain_blob none = { NULL, 0, CHAIN_PHYS_UNKNOWN },
				two = { (const uint8_t *)"ab", 2, CHAIN_PHYS_UNKNOWN };
	(void)state;
	assert_int_equal(chain_self_add(&self, 4096, 1, &two, false, NULL), CHAIN_E_LIMIT);
	assert_int_not_equal(chain_self_add(&self, UINT64_MAX, 2, &none, false, NULL), CHAIN_OK);
	for (int i = 0; i < CHAIN_SELF_PIECES_MAX; i++)
		assert_int_equal(chain_self_add(&self, 4096, 2, &two, false, NULL), CHAIN_OK);
	assert_int_equal(chain_self_add(&self, 4096, 2, &two, false, NULL), CHAIN_E_LIMIT);
	assert_int_equal(self.piece_count, CHAIN_SELF_PIECES_MAX);
}

/* Started where it lies, an image keeps all its bytes but its data: only that is copied, and only its zeroed memory is
 * zeroed. */
static void test_plan(void **state)
{
	struct fixture f;
	struct chain_bootinfo info;
	struct chain_plan plan;
	(void)state;
	fixture_init(&f);
	assert_int_equal(chain_bootinfo_qemu("pc", 64 << 20, 1, &info, NULL), CHAIN_OK);
	assert_int_equal(chain_range_make(BASE, f.image.header.fs_offset + f.image.header.fs_memory_bytes, "image",
					  &info.image, NULL),
			 CHAIN_OK);
	const struct chain_plan_request request = {
		.subject = CHAIN_SOURCE_SELF,
		.door = chain_door_of_ours,
		.pieces = f.self.pieces,
		.piece_count = f.self.piece_count,
		.pieces_entry = f.self.entry,
		.args = "",
		.loader_name = "kchain",
		.bootinfo = &info,
		.handoff = { (const uint8_t *)"{}", 2, CHAIN_PHYS_UNKNOWN },
		.handoff_string = "kchain-handoff",
		.handoff_at = CHAIN_HANDOFF_LAST,
	};
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	assert_int_equal(plan.entry.address, BASE + 0x200);
	assert_int_equal(plan.bytes_copied, 0x321 + 2 + chain_range_bytes(plan.info));
	assert_int_equal(plan.bytes_zeroed, 0x1100 - 0x321 + 0x2000);
	for (size_t i = 0; i < plan.move_count; i++)
		for (size_t piece = 0; piece < f.self.piece_count; piece++)
			assert_true(piece == 1 || piece == 2 ||
				    !chain_range_overlaps(plan.moves[i].dest, f.self.pieces[piece].segment.phys));
	assert_false(chain_range_overlaps(plan.handoff, info.image));
	chain_plan_free(&plan);
	chain_bootinfo_free(&info);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),       cmocka_unit_test(test_every_flip_is_found),
		cmocka_unit_test(test_wrong_pieces), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
