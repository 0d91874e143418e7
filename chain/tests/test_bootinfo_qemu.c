/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* QEMU's memory maps as they were seen. */
#include "json_cases.h"

#include "chain/bootinfo.h"

struct seen_map {
	const char *machine;
	uint64_t mib;
	size_t count;
	struct {
		uint64_t base, bytes;
		uint32_t type;
	} v[10];
};

/* As a Multiboot kernel got them from QEMU 7.2 with -accel tcg and the default processor. */
static const struct seen_map seen_maps[] = {
	{ "pc",
	  128,
	  7,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0x7ee0000, 1 },
	    { 0x7fe0000, 0x20000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "pc",
	  3328,
	  7,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0xcfee0000, 1 },
	    { 0xcffe0000, 0x20000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "pc",
	  3584,
	  8,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0xbfee0000, 1 },
	    { 0xbffe0000, 0x20000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0x100000000, 0x20000000, 1 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "q35",
	  128,
	  9,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0x7ee0000, 1 },
	    { 0x7fe0000, 0x20000, 2 },
	    { 0xb0000000, 0x10000000, 2 },
	    { 0xfed1c000, 0x4000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "q35",
	  2560,
	  9,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0x9fee0000, 1 },
	    { 0x9ffe0000, 0x20000, 2 },
	    { 0xb0000000, 0x10000000, 2 },
	    { 0xfed1c000, 0x4000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "q35",
	  2816,
	  10,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0x7fee0000, 1 },
	    { 0x7ffe0000, 0x20000, 2 },
	    { 0xb0000000, 0x10000000, 2 },
	    { 0xfed1c000, 0x4000, 2 },
	    { 0xfffc0000, 0x40000, 2 },
	    { 0x100000000, 0x30000000, 1 },
	    { 0xfd00000000, 0x300000000, 2 } } },
	{ "microvm",
	  128,
	  5,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xd0000, 0x20000, 4 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0x7f00000, 1 } } },
	{ "microvm",
	  3584,
	  6,
	  { { 0, 0x9fc00, 1 },
	    { 0x9fc00, 0x400, 2 },
	    { 0xd0000, 0x20000, 4 },
	    { 0xf0000, 0x10000, 2 },
	    { 0x100000, 0xbff00000, 1 },
	    { 0x100000000, 0x20000000, 1 } } },
};

static void test_qemu_maps(void **state)
{
	size_t wrong = 0;
	(void)state;
	for (size_t m = 0; m < sizeof(seen_maps) / sizeof(seen_maps[0]); m++) {
		const struct seen_map *seen = &seen_maps[m];
		struct chain_bootinfo info;
		struct chain_error err = { 0 };
		assert_ok(chain_bootinfo_qemu(seen->machine, seen->mib << 20, 1, &info, &err), &err);
		bool same = info.mem_count == seen->count;
		for (size_t i = 0; same && i < seen->count; i++)
			same = info.mem[i].range.base == seen->v[i].base && info.mem[i].type == seen->v[i].type &&
			       chain_range_bytes(info.mem[i].range) == seen->v[i].bytes;
		if (!same) {
			print_error("%s with %d MiB: not the map that was seen\n", seen->machine, (int)seen->mib);
			wrong++;
		}
		chain_bootinfo_free(&info);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_qemu_maps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
