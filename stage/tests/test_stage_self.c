/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The running stage as a kernel that is started again (stage/link/self.c), with an array for the image: its pieces are
 * what was baked, the data as it was at the entry and not as it has become, and a byte that is not is noticed. */
#include "../../chain/tests/bake_fixture.h"
#include "stage/self.h"

#include "stage/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
	PHYS = 0x700000,
	TEXT_BYTES = 0x800,
	DATA_AT = 0x1000,
	DATA_BYTES = 0x321,
	DATA_END = 0x2100,
	BOOT_AT = 0x3000,
	ENTRY = 0x200
};

uint8_t fake_image[STAGE_MEMORY_BYTES], fake_copy[DATA_BYTES];
struct stage_boot stage_boot;

/* The linker's symbols, where the fixture's stage has its segments; the first one in two, as text and what is only
 * read. */
#define SYMBOL(name, place) __asm__(".globl " #name "\n\t.set " #name ", " place)
SYMBOL(stage_image_start, "fake_image");
SYMBOL(stage_entry32, "fake_image + 0x200");
SYMBOL(stage_text_end, "fake_image + 0x400");
SYMBOL(stage_rodata_start, "fake_image + 0x400");
SYMBOL(stage_rodata_file_end, "fake_image + 0x800");
SYMBOL(stage_data_start, "fake_image + 0x1000");
SYMBOL(stage_data_file_end, "fake_image + 0x1321");
SYMBOL(stage_data_end, "fake_image + 0x2100");
SYMBOL(stage_boot_start, "fake_image + 0x3000");
SYMBOL(stage_image_end, "fake_image + 0x5000");
SYMBOL(stage_data_copy, "fake_copy");

static struct sink sink;
static struct chain_image image;

static int load(void **state)
{
	struct chain_self baked;
	(void)state;
	if (image_make(&sink, &image) || chain_self_from_file(&baked, &image, PHYS, NULL))
		return -1;
	memcpy(fake_image, baked.pieces[0].blob.bytes, TEXT_BYTES);
	memcpy(fake_copy, baked.pieces[1].blob.bytes, DATA_BYTES);
	memset(fake_image + DATA_AT, 0x5a, DATA_END - DATA_AT); /* it has run for a while */
	memset(fake_image + BOOT_AT, 0xa5, sizeof(fake_image) - BOOT_AT);
	stage_boot.image_phys = PHYS;
	return 0;
}

static int unload(void **state)
{
	(void)state;
	free(sink.bytes);
	return 0;
}

static void pieces_are_where_they_were_loaded(void **state)
{
	static const struct {
		uint64_t at, end, bytes;
		bool in_place;
	} wanted[] = {
		{ 0, 0x400, 0x400, true },
		{ 0x400, TEXT_BYTES, 0x400, true },
		{ DATA_AT, DATA_END, DATA_BYTES, false },
		{ BOOT_AT, 0x5000, 0, true },
	};
	enum { COUNT = sizeof(wanted) / sizeof(wanted[0]) };
	struct chain_self self;
	(void)state;
	assert_int_equal(stage_self(&self, &image, NULL), CHAIN_OK);
	assert_int_equal(self.entry, PHYS + ENTRY);
	assert_int_equal(self.piece_count, COUNT + 2); /* manifest, filesystem */
	for (size_t i = 0; i < COUNT; i++) {
		const struct chain_plan_piece *p = &self.pieces[i];
		assert_int_equal(p->segment.phys.base, PHYS + wanted[i].at);
		assert_int_equal(p->segment.phys.end, PHYS + wanted[i].end);
		assert_int_equal(p->blob.bytes_count, wanted[i].bytes);
		assert_true(p->blob.phys == (wanted[i].in_place ? PHYS + wanted[i].at : CHAIN_PHYS_UNKNOWN));
	}
	assert_int_equal(chain_self_check(&self, &image, NULL), CHAIN_OK);
}

static void a_changed_byte_is_noticed(void **state)
{
	uint8_t *const all[] = { fake_image, fake_copy };
	const size_t counts[] = { TEXT_BYTES, DATA_BYTES };
	(void)state;
	for (size_t which = 0; which < 2; which++)
		for (size_t i = 0; i < counts[which]; i++) {
			struct chain_self self;
			all[which][i] ^= 0x10;
			enum chain_status status = stage_self(&self, &image, NULL);
			status = status ? status : chain_self_check(&self, &image, NULL);
			all[which][i] ^= 0x10;
			if (status != CHAIN_E_IMAGE_DIGEST && status != CHAIN_E_IMAGE_NO_HEADER)
				fail_msg("byte 0x%zx: %s", i, chain_status_slug(status));
		}
}

static void an_image_beyond_all_addresses_is_refused(void **state)
{
	struct chain_self self;
	struct chain_error err = { 0 };
	(void)state;
	stage_boot.image_phys = UINT64_MAX - 0x1800;
	assert_int_not_equal(stage_self(&self, &image, &err), CHAIN_OK);
	assert_string_equal(err.subject, CHAIN_SOURCE_SELF);
	stage_boot.image_phys = PHYS;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_where_they_were_loaded),
		cmocka_unit_test(a_changed_byte_is_noticed),
		cmocka_unit_test(an_image_beyond_all_addresses_is_refused),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
