/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Plans, against an oracle that carries the moves out on a small machine of its own. */
#include "chain/multiboot.h"
#include "chain/plan.h"
#include "chain/plan_json.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	MEMORY = 0x180000, /* what the fake machine has: 1.5 MiB */
	KERNEL_MAX = 0x9000,
	ROUNDS = 1500, /* the slow part of it; test_plan_random.c has more worlds */
};

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* Builds an ELF32 Multiboot kernel with these segments; returns the size of the file. */
struct seg {
	uint32_t phys, file_bytes, memory_bytes;
};
static size_t make_kernel(uint8_t *out, size_t capacity, const struct seg *segs, uint16_t count, uint32_t flags)
{
	static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };
	size_t at = 52 + 32u * count, header = at;
	memset(out, 0, header + 48);
	memcpy(out, ident, sizeof(ident));
	out[16] = 2;
	out[18] = 3;
	out[20] = 1;
	put32(out + 24, segs[0].phys);
	put32(out + 28, 52);
	out[40] = 52;
	out[42] = 32;
	memcpy(out + 44, &count, 2);
	put32(out + header, MULTIBOOT_HEADER_MAGIC);
	put32(out + header + 4, flags);
	put32(out + header + 8, 0u - MULTIBOOT_HEADER_MAGIC - flags);
	at += 48;
	for (uint16_t i = 0; i < count; i++) {
		uint8_t *phdr = out + 52 + 32u * i;
		put32(phdr, CHAIN_ELF_PT_LOAD);
		put32(phdr + 4, (uint32_t)at);
		put32(phdr + 8, segs[i].phys);
		put32(phdr + 12, segs[i].phys);
		put32(phdr + 16, segs[i].file_bytes);
		put32(phdr + 20, segs[i].memory_bytes);
		assert_true(at + segs[i].file_bytes <= capacity);
		for (uint32_t b = 0; b < segs[i].file_bytes; b++)
			out[at++] = (uint8_t)rnd(256);
	}
	return at;
}

static struct chain_mem_entry plain_map[2] = {
	{ { 0, 0x9f000 }, CHAIN_MEM_AVAILABLE },
	{ { 0x100000, 0x4000000 }, CHAIN_MEM_AVAILABLE },
};

static struct chain_bootinfo plain_machine(void)
{
	return (struct chain_bootinfo){ .mem = plain_map, .mem_count = 2, .image = { 0x200000, 0x400000 }, .cpus = 1 };
}

static struct chain_plan_request plain_request(const uint8_t *kernel, size_t bytes, const struct chain_bootinfo *info)
{
	return (struct chain_plan_request){
		.subject = "k",
		.door = chain_door_of_ours,
		.kernel = { kernel, bytes, CHAIN_PHYS_UNKNOWN },
		.args = "a b",
		.loader_name = "kchain",
		.handoff_string = "kchain-handoff",
		.bootinfo = info,
	};
}

/* The executor of the contract in plan.h, on an array. Bytes without a place are read through `bytes`. */
static void carry_out(const struct chain_plan *plan, uint8_t *memory)
{
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		size_t bytes = (size_t)chain_range_bytes(move->dest);
		assert_true(move->dest.end <= MEMORY);
		if (move->kind == CHAIN_MOVE_ZERO)
			memset(memory + move->dest.base, 0, bytes);
		else if (move->source_phys == CHAIN_PHYS_UNKNOWN)
			memcpy(memory + move->dest.base, move->bytes, bytes);
		else
			memmove(memory + move->dest.base, memory + move->source_phys, bytes);
	}
}

/* A machine made at random: memory map, kernel, modules, some of them anywhere in memory, kernel's own place included.
 */
struct world {
	uint8_t before[MEMORY], after[MEMORY], kernel_file[KERNEL_MAX], handoff[64];
	size_t kernel_bytes;
	struct seg segs[4];
	uint16_t seg_count;
	struct chain_mem_entry mem[6];
	struct chain_plan_module modules[5];
	uint8_t *module_bytes[5];
	struct chain_bootinfo info;
	struct chain_plan_request request;
};

static void random_map(struct world *w)
{
	uint64_t at = 0x100000;
	size_t n = 0;
	w->mem[n++] = (struct chain_mem_entry){ { 0, 0x9f000 }, CHAIN_MEM_AVAILABLE };
	while (at < MEMORY && n < 6) {
		uint64_t end = n == 5 ? MEMORY : at + 0x1000 * (1 + rnd(0x60));
		if (end > MEMORY)
			end = MEMORY;
		w->mem[n++] =
			(struct chain_mem_entry){ { at, end }, rnd(5) ? CHAIN_MEM_AVAILABLE : CHAIN_MEM_RESERVED };
		at = end;
	}
	w->info = (struct chain_bootinfo){ .mem = w->mem, .mem_count = n, .cpus = 1 };
	w->info.image.base = 0x100000 + 0x1000 * rnd(0x70);
	w->info.image.end = w->info.image.base + 0x1000 * rnd(0x10);
}

static uint32_t low_or_high(void)
{
	return (uint32_t)(rnd(8) ? 0x100000 + rnd(0x20000) : 0x1000 + rnd(0x90000));
}

static void random_world(struct world *w)
{
	for (size_t i = 0; i < MEMORY; i += 8) {
		uint64_t value = (i * 0x9e3779b97f4a7c15u) ^ seed;
		memcpy(w->before + i, &value, 8);
	}
	random_map(w);
	w->seg_count = (uint16_t)(1 + rnd(4));
	for (uint16_t i = 0; i < w->seg_count; i++) {
		w->segs[i].phys = low_or_high();
		w->segs[i].file_bytes = (uint32_t)rnd(0x2000);
		w->segs[i].memory_bytes = w->segs[i].file_bytes + 1 + (uint32_t)(rnd(2) ? rnd(0x4000) : 0);
	}
	w->kernel_bytes = make_kernel(w->kernel_file, sizeof(w->kernel_file), w->segs, w->seg_count, (uint32_t)rnd(2));
	w->request = plain_request(w->kernel_file, w->kernel_bytes, &w->info);
	if (rnd(4)) { /* the file lies in memory: anywhere, its own destination included */
		uint64_t phys = 0x100000 + rnd(0x30000);
		memcpy(w->before + phys, w->kernel_file, w->kernel_bytes);
		w->request.kernel = (struct chain_blob){ w->kernel_file, w->kernel_bytes, phys };
	}
	w->request.module_count = rnd(6);
	w->request.modules = w->modules;
	for (size_t i = 0; i < w->request.module_count; i++) {
		uint64_t bytes = rnd(0x6000), phys = 0x100000 + rnd(0x30000);
		if (rnd(2))
			phys &= ~(uint64_t)0xfff;
		w->modules[i] = (struct chain_plan_module){ .blob = { w->before + phys, bytes, phys },
							    .string = "mod",
							    .movable = rnd(2) };
		if (!rnd(5))
			w->modules[i].blob.phys = CHAIN_PHYS_UNKNOWN;
	}
	w->request.handoff = (struct chain_blob){ w->handoff, rnd(65), CHAIN_PHYS_UNKNOWN };
	w->request.handoff_at = (int)rnd(3);
	w->request.fs = (struct chain_range){ 0x150000, 0x150000 + 0x1000 * rnd(0x18) };
	w->request.fs_keep = rnd(2);
	memset(w->handoff, 'h', sizeof(w->handoff));
}

/* Bytes of `before` may have been overlaid by the kernel's file after a module's pointer was taken: both read `before`.
 */
static void expect_bytes(const struct world *w, uint64_t at, const uint8_t *want, uint64_t bytes)
{
	assert_true(at <= MEMORY && bytes <= MEMORY - at);
	assert_memory_equal(w->after + at, want, bytes);
}

static void check_kernel(const struct world *w)
{
	size_t offset = 52 + 32u * w->seg_count + 48;
	for (uint16_t i = 0; i < w->seg_count; i++) {
		const struct seg *seg = &w->segs[i];
		expect_bytes(w, seg->phys, w->kernel_file + offset, seg->file_bytes);
		for (uint32_t b = seg->file_bytes; b < seg->memory_bytes; b++)
			assert_int_equal(w->after[seg->phys + b], 0);
		offset += seg->file_bytes;
	}
}

static bool available(const struct world *w, uint64_t base, uint64_t end)
{
	uint64_t got = 0;
	for (size_t i = 0; i < w->info.mem_count; i++) {
		struct chain_range r = w->info.mem[i].range;
		uint64_t low = r.base > base ? r.base : base, high = r.end < end ? r.end : end;
		if (w->info.mem[i].type == CHAIN_MEM_AVAILABLE && low < high)
			got += high - low;
	}
	return got == end - base;
}

/* Reads the information structure as a kernel would. */
static void check_info(const struct world *w, const struct chain_plan *plan)
{
	struct multiboot_info info;
	memcpy(&info, w->after + plan->entry.registers[CHAIN_RBX], sizeof(info));
	assert_string_equal((const char *)w->after + info.cmdline, "a b");
	assert_string_equal((const char *)w->after + info.boot_loader_name, "kchain");
	bool handoff = w->request.handoff.bytes_count && w->request.handoff_at != CHAIN_HANDOFF_NONE;
	size_t count = w->request.module_count + handoff, next = 0;
	assert_int_equal(info.flags & MULTIBOOT_INFO_MODS ? info.mods_count : 0, count);
	for (size_t i = 0; i < count; i++) {
		struct multiboot_mod_list module;
		memcpy(&module, w->after + info.mods_addr + i * sizeof(module), sizeof(module));
		bool first = w->request.handoff_at == CHAIN_HANDOFF_FIRST;
		bool is_handoff = handoff && i == (first ? 0 : count - 1);
		const struct chain_blob *blob = is_handoff ? &w->request.handoff : &w->modules[next].blob;
		assert_int_equal(module.mod_end - module.mod_start, blob->bytes_count);
		expect_bytes(w, module.mod_start, blob->bytes, blob->bytes_count);
		assert_string_equal((const char *)w->after + module.cmdline, is_handoff ? "kchain-handoff" : "mod");
		assert_true(available(w, module.mod_start, module.mod_end));
		bool in_place = !is_handoff && !w->modules[next].movable && module.mod_start == blob->phys;
		if (w->kernel_file[52 + 32u * w->seg_count + 4] & 1 || !in_place)
			assert_int_equal(module.mod_start % 4096, blob->bytes_count ? 0 : module.mod_start % 4096);
		next += !is_handoff;
	}
}

/* What no claim covers is as it was. */
static void check_untouched(const struct world *w, const struct chain_plan *plan)
{
	uint64_t at = 0;
	for (size_t i = 0; i <= plan->claims.count; i++) {
		uint64_t end = i < plan->claims.count ? plan->claims.v[i].range.base : MEMORY;
		if (end > MEMORY)
			end = MEMORY;
		if (at < end)
			assert_memory_equal(w->after + at, w->before + at, end - at);
		at = i < plan->claims.count ? plan->claims.v[i].range.end : at;
		if (i < plan->claims.count && plan->claims.v[i].owner == CHAIN_OWNER_FS)
			assert_memory_equal(w->after + plan->claims.v[i].range.base,
					    w->before + plan->claims.v[i].range.base,
					    chain_range_bytes(plan->claims.v[i].range));
	}
}

/* Whether the kernel can be booted at all, decided without the planner. */
static bool kernel_fits(const struct world *w)
{
	for (uint16_t i = 0; i < w->seg_count; i++) {
		uint64_t base = w->segs[i].phys, end = base + w->segs[i].memory_bytes;
		if (!available(w, base, end) || base < 0x1000)
			return false;
		if (w->request.fs_keep && base < w->request.fs.end && w->request.fs.base < end)
			return false;
		for (uint16_t j = 0; j < i; j++)
			if (base < w->segs[j].phys + w->segs[j].memory_bytes && w->segs[j].phys < end)
				return false;
	}
	return true;
}

static void check_trampoline(const struct world *w, const struct chain_plan *plan)
{
	uint64_t phys = 0;
	if (chain_plan_find_trampoline(plan, &w->info, NULL, 0x3000, &phys, NULL))
		return;
	struct chain_range place = { phys, phys + 0x3000 };
	assert_true(available(w, place.base, place.end) && phys >= 0x100000);
	assert_false(chain_range_overlaps(place, w->info.image));
	assert_null(chain_claims_overlap(&plan->claims, place));
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		struct chain_range source = { move->source_phys, move->source_phys + chain_range_bytes(move->dest) };
		if (move->kind == CHAIN_MOVE_COPY && move->source_phys != CHAIN_PHYS_UNKNOWN)
			assert_false(chain_range_overlaps(place, source));
	}
}

static void random_plans_do_what_they_say(void **state)
{
	struct world *w = malloc(sizeof(*w));
	unsigned planned = 0, detours = 0, refused = 0, full = 0;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct chain_plan plan;
		struct chain_error err = { 0 };
		random_world(w);
		enum chain_status status = chain_plan_build(&w->request, &plan, &err);
		if (!kernel_fits(w)) {
			assert_true(status == CHAIN_E_PLAN_OUTSIDE_MEMORY || status == CHAIN_E_PLAN_ON_FS ||
				    status == CHAIN_E_ELF_SEGMENTS_OVERLAP || status == CHAIN_E_ELF_BAD_ENTRY);
			refused++;
			continue;
		}
		if (status == CHAIN_E_NO_SPACE) {
			full++;
			continue;
		}
		if (status) {
			char line[512];
			chain_error_format(&err, line, sizeof(line));
			fail_msg("round %u: %s", round, line);
		}
		memcpy(w->after, w->before, MEMORY);
		carry_out(&plan, w->after);
		check_kernel(w);
		check_info(w, &plan);
		check_untouched(w, &plan);
		check_trampoline(w, &plan);
		for (size_t i = 0; i < plan.move_count; i++)
			detours += plan.moves[i].owner == CHAIN_OWNER_TRAMPOLINE;
		chain_plan_free(&plan);
		planned++;
	}
	print_message("%u planned, %u detours, %u refused, %u without room\n", planned, detours, refused, full);
	assert_true(planned > ROUNDS / 10 && detours > 0 && refused > 0);
	free(w);
}

/* One segment at `base`; what does the planner say? */
static void expect_refusal(struct seg seg, struct chain_plan_request *request, enum chain_status want)
{
	uint8_t file[4096];
	struct chain_plan plan;
	struct chain_error err = { 0 };
	request->kernel.bytes = file;
	request->kernel.bytes_count = make_kernel(file, sizeof(file), &seg, 1, 0);
	enum chain_status status = chain_plan_build(request, &plan, &err);
	assert_string_equal(chain_status_slug(status), chain_status_slug(want));
	assert_int_equal(err.status, want);
	if (!status)
		chain_plan_free(&plan);
}

static void refusals_are_exact(void **state)
{
	(void)state;
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(NULL, 0, &info);
	expect_refusal((struct seg){ 0x100000, 64, 64 }, &request, CHAIN_OK);
	expect_refusal((struct seg){ 0x1000, 64, 64 }, &request, CHAIN_OK);
	expect_refusal((struct seg){ 0x500, 64, 64 }, &request, CHAIN_E_PLAN_FIRST_PAGE);
	expect_refusal((struct seg){ 0x9eff0, 64, 64 }, &request, CHAIN_E_PLAN_OUTSIDE_MEMORY);
	expect_refusal((struct seg){ 0x3ffff00, 64, 0x1000 }, &request, CHAIN_E_PLAN_OUTSIDE_MEMORY);
	expect_refusal((struct seg){ 0x200000, 64, 64 }, &request, CHAIN_OK); /* on the running image: it gives way */
	request.fs = (struct chain_range){ 0x200000, 0x400000 };
	expect_refusal((struct seg){ 0x1ffff0, 64, 64 }, &request, CHAIN_OK);
	request.fs_keep = true;
	expect_refusal((struct seg){ 0x1ffff0, 64, 64 }, &request, CHAIN_E_PLAN_ON_FS);
	struct chain_plan_module huge = { .blob = { (const uint8_t *)"", 0x8000000, CHAIN_PHYS_UNKNOWN },
					  .string = "huge",
					  .movable = true };
	request.modules = &huge;
	request.module_count = 1;
	expect_refusal((struct seg){ 0x100000, 64, 64 }, &request, CHAIN_E_NO_SPACE);
	request.args = NULL;
	expect_refusal((struct seg){ 0x100000, 64, 64 }, &request, CHAIN_E_PLAN_BAD_REQUEST);
}

/* What a kernel asks for and what there is are reported in any case; refused is only what is required and not there. */
static void a_screen_is_reported_as_it_is(void **state)
{
	static const struct chain_framebuffer screens[] = {
		{ .phys = 0 },
		{ 0xb8000, 160, 80, 25, 16, CHAIN_FRAMEBUFFER_TEXT, { 0 } },
		{ 0xfd000000, 4096, 1024, 768, 32, CHAIN_FRAMEBUFFER_RGB, { 16, 8, 8, 8, 0, 8 } },
	};
	enum { NOTHING, LINEAR, TEXT, ASKS };
	static const bool fits[ASKS][3] = { { true, true, true }, { false, false, true }, { false, true, false } };
	(void)state;
	for (size_t i = 0; i < 2 * ASKS * 3; i++) {
		size_t asks = i / 6, screen = i / 2 % 3;
		uint8_t file[4096];
		struct seg seg = { 0x100000, 64, 64 };
		struct chain_bootinfo info = plain_machine();
		size_t bytes = make_kernel(file, sizeof(file), &seg, 1, asks ? MULTIBOOT_VIDEO_MODE : 0),
		       header = 52 + 32;
		struct chain_plan_request request = plain_request(file, bytes, &info);
		struct chain_plan plan;
		uint32_t mode = asks == TEXT;
		memcpy(file + header + offsetof(struct multiboot_header, mode_type), &mode, asks ? sizeof(mode) : 0);
		info.framebuffer = screens[screen];
		request.video_required = i % 2;
		enum chain_status status = chain_plan_build(&request, &plan, NULL);
		assert_int_equal(status, i % 2 && !fits[asks][screen] ? CHAIN_E_PLAN_NO_VIDEO : CHAIN_OK);
		if (status)
			continue;
		struct multiboot_info received;
		memcpy(&received, plan.made, sizeof(received));
		assert_int_equal(!!(received.flags & MULTIBOOT_INFO_FRAMEBUFFER_INFO), screen != 0);
		assert_true(received.framebuffer_addr == info.framebuffer.phys &&
			    received.framebuffer_type == info.framebuffer.type);
		assert_true(received.flags & MULTIBOOT_INFO_MODS); /* and that there are no modules */
		assert_int_equal(received.mods_count, 0);
		chain_plan_free(&plan);
	}
}

static void a_kept_filesystem_is_reserved(void **state)
{
	(void)state;
	uint8_t file[4096];
	struct seg seg = { 0x100000, 64, 64 };
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), &info);
	struct chain_plan plan;
	request.fs = (struct chain_range){ 0x200000, 0x400000 };
	request.fs_keep = true;
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	assert_int_equal(plan.mem_count, 4);
	assert_int_equal(plan.mem[2].type, CHAIN_MEM_RESERVED);
	assert_int_equal(plan.mem[2].range.base, 0x200000);
	assert_int_equal(plan.mem[2].range.end, 0x400000);
	assert_int_equal(plan.mem[3].range.end, 0x4000000);
	chain_plan_free(&plan);
}

/* How many bytes of `range` the kernel is told are of that type. */
static uint64_t reported_bytes(const struct chain_plan *plan, struct chain_range range, uint32_t type)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < plan->mem_count; i++) {
		struct chain_range in = plan->mem[i].range;
		in.base = in.base > range.base ? in.base : range.base;
		in.end = in.end < range.end ? in.end : range.end;
		if (plan->mem[i].type == type && in.base < in.end)
			bytes += chain_range_bytes(in);
	}
	return bytes;
}

/* One size at one place; whether it stayed there. */
static bool root_is_planned(uint64_t phys, uint64_t bytes, bool keep, const struct chain_bootinfo *info)
{
	static uint8_t bytes_of_it[1];
	uint8_t file[4096];
	struct seg seg = { 0x1000000, 64, 0x100000 };
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), info);
	struct chain_range place;
	struct chain_plan plan;
	request.root = (struct chain_blob){ bytes_of_it, bytes, phys };
	request.fs = (struct chain_range){ 0x2000000, 0x3000000 };
	request.fs_keep = keep;
	assert_int_equal(chain_plan_place_root(&request, &place, NULL), CHAIN_OK);
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	assert_true(place.base % CHAIN_ROOT_ALIGN == 0 && place.end % CHAIN_ROOT_ALIGN == 0);
	assert_true(chain_range_bytes(place) >= bytes && chain_range_bytes(place) - bytes < CHAIN_ROOT_ALIGN);
	assert_int_equal(reported_bytes(&plan, place, CHAIN_MEM_PMEM_LEGACY), chain_range_bytes(place));
	assert_int_equal(reported_bytes(&plan, (struct chain_range){ 0, UINT64_MAX }, CHAIN_MEM_PMEM_LEGACY),
			 chain_range_bytes(place));
	const bool in_fs = keep && chain_range_contains(request.fs, place);
	assert_int_equal(reported_bytes(&plan, (struct chain_range){ 0, UINT64_MAX }, CHAIN_MEM_RESERVED),
			 0x10400 + (keep ? chain_range_bytes(request.fs) : 0) - (in_fs ? chain_range_bytes(place) : 0));
	const struct chain_claim *claim = chain_claims_overlap(&plan.claims, place);
	assert_true(claim && chain_range_contains(claim->range, place) &&
		    claim->owner == (in_fs ? CHAIN_OWNER_FS : CHAIN_OWNER_ROOT));
	assert_int_equal(plan.bytes_in_place + plan.bytes_copied, bytes + 64 + plan.made_bytes);
	assert_int_equal(plan.bytes_in_place, place.base == phys ? bytes : 0);
	chain_plan_free(&plan);
	return place.base == phys;
}

/* Wherever it was loaded, and however large it is: it stays where it may, and lies where nothing else does. */
static void a_root_is_persistent_memory(void **state)
{
	static const uint64_t sizes[] = { 1, 4096, 0x1ff000, 0x200000, 0x200001, 0xc00000 };
	struct chain_mem_entry mem[] = { { { 0, 0x9fc00 }, CHAIN_MEM_AVAILABLE },
					 { { 0x9fc00, 0xa0000 }, CHAIN_MEM_RESERVED },
					 { { 0xf0000, 0x100000 }, CHAIN_MEM_RESERVED },
					 { { 0x100000, 0x4000000 }, CHAIN_MEM_AVAILABLE },
					 { { 1ULL << 32, (1ULL << 32) + 0x800000 }, CHAIN_MEM_AVAILABLE } };
	struct chain_bootinfo info = plain_machine();
	unsigned stayed = 0, all = 0;
	(void)state;
	info.mem = mem;
	info.mem_count = sizeof(mem) / sizeof(mem[0]);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (uint64_t at = 0x200000; at < 0x3800000; at += 0x100000) {
			const uint64_t end = (at + sizes[i] + CHAIN_ROOT_ALIGN - 1) & -CHAIN_ROOT_ALIGN;
			const bool may =
				at % CHAIN_ROOT_ALIGN == 0 && end <= 0x4000000 && (end <= 0x1000000 || at >= 0x1100000);
			const bool did = root_is_planned(at, sizes[i], false, &info);
			assert_int_equal(did, may);
			stayed += did;
			all++;
		}
	assert_true(stayed > 100 && all - stayed > 150);
	assert_true(root_is_planned(0x2400000, 0x300000, true, &info));
	assert_false(root_is_planned(CHAIN_PHYS_UNKNOWN, 0x300000, true, &info));
}

/* Nothing of the machine is large enough: the request and where it was looked are reported. */
static void a_root_that_finds_no_place_is_refused(void **state)
{
	uint8_t file[4096];
	struct seg seg = { 0x100000, 64, 64 };
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), &info);
	struct chain_error err = { 0 };
	struct chain_range place;
	struct chain_plan plan;
	(void)state;
	request.root = (struct chain_blob){ file, 0x4000000, CHAIN_PHYS_UNKNOWN };
	assert_int_equal(chain_plan_place_root(&request, &place, &err), CHAIN_E_NO_SPACE);
	assert_int_equal(err.number[0], 0x4000000);
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_E_NO_SPACE);
	request.root.bytes_count = UINT64_MAX;
	assert_int_equal(chain_plan_place_root(&request, &place, NULL), CHAIN_E_LIMIT);
}

static void text_forms_are_deterministic(void **state)
{
	(void)state;
	uint8_t file[4096];
	struct seg seg = { 0x100000, 64, 128 };
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), &info);
	char *text[2], *table[2];
	for (int i = 0; i < 2; i++) {
		struct chain_plan plan;
		json_t *doc;
		assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
		assert_int_equal(chain_plan_to_json(&plan, &doc, NULL), CHAIN_OK);
		assert_string_equal(json_string_value(json_object_get(doc, "entry")), "0x100000");
		assert_int_equal(json_array_size(json_object_get(doc, "moves")), plan.move_count);
		assert_int_equal(json_array_size(json_object_get(doc, "claims")), plan.claims.count);
		text[i] = json_dumps(doc, 0);
		assert_int_equal(chain_plan_format(&plan, &table[i], NULL), CHAIN_OK);
		json_decref(doc);
		chain_plan_free(&plan);
	}
	assert_string_equal(text[0], text[1]);
	assert_string_equal(table[0], table[1]);
	for (int i = 0; i < 2; i++) {
		free(text[i]);
		free(table[i]);
	}
}

/* Each segment lies where the other one belongs: one of them takes a detour, the smaller. */
static void a_cycle_takes_one_detour(void **state)
{
	(void)state;
	uint8_t *file = calloc(1, KERNEL_MAX);
	struct seg segs[2] = { { 0x100000, 0x2000, 0x2000 }, { 0x110000, 0x1000, 0x1000 } };
	struct chain_bootinfo info = plain_machine();
	size_t bytes = make_kernel(file, KERNEL_MAX, segs, 2, 0), data = 52 + 64 + 48;
	uint32_t distance = segs[0].file_bytes; /* the second's bytes follow the first's in the file */
	struct chain_plan_request request = plain_request(file, bytes, &info);
	struct chain_plan plan;
	request.kernel.phys = 0x110000 - data;
	segs[1].phys = 0x110000 + 0x800;
	segs[0].phys = 0x110000 + distance;
	bytes = make_kernel(file, KERNEL_MAX, segs, 2, 0);
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	size_t detours = 0;
	for (size_t i = 0; i < plan.move_count; i++)
		if (plan.moves[i].owner == CHAIN_OWNER_TRAMPOLINE) {
			detours++;
			assert_int_equal(chain_range_bytes(plan.moves[i].dest), 0x1000);
		}
	assert_int_equal(detours, 1);
	assert_int_equal(plan.bytes_copied, 0x3000 + plan.made_bytes);
	chain_plan_free(&plan);
	free(file);
}

static uint8_t *read_kernel(const char *command, size_t *count)
{
	enum { MAX = 4 << 20 };
	FILE *pipe = popen(command, "r");
	uint8_t *bytes = pipe ? malloc(MAX) : NULL;
	*count = bytes ? fread(bytes, 1, MAX, pipe) : 0;
	if (pipe)
		pclose(pipe);
	if (*count)
		return bytes;
	free(bytes);
	return NULL;
}

/* A kernel of others', with a module that stays, one that moves, and a handoff. */
static void plan_real(const char *command, uint64_t entry, size_t segments)
{
	size_t count = 0;
	uint8_t *file = read_kernel(command, &count);
	if (!file)
		skip();
	static const uint8_t text[] = "x";
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_module modules[2] = {
		{ .blob = { text, 1, 0x2000000 }, .string = "stays" },
		{ .blob = { text, 1, 0x2001001 }, .string = "moves", .movable = true }
	};
	struct chain_plan_request request = plain_request(file, count, &info);
	struct chain_plan plan;
	request.kernel.phys = 0x250000;
	request.modules = modules;
	request.module_count = 2;
	request.handoff = (struct chain_blob){ text, 1, CHAIN_PHYS_UNKNOWN };
	request.handoff_at = CHAIN_HANDOFF_LAST;
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	assert_int_equal(plan.entry.address, entry);
	size_t kernel_claims = 0;
	uint64_t kernel_end = 0;
	for (size_t i = 0; i < plan.claims.count; i++)
		if (plan.claims.v[i].owner == CHAIN_OWNER_KERNEL) {
			kernel_claims++;
			kernel_end = plan.claims.v[i].range.end;
		}
	assert_int_equal(kernel_claims, segments);
	assert_true(plan.info.base >= kernel_end && plan.info.base % 4096 == 0);
	assert_true(plan.handoff.base >= kernel_end && plan.handoff.base % 4096 == 0);
	assert_int_equal(plan.bytes_in_place, 1);
	chain_plan_free(&plan);
	free(file);
}

static void grub_invaders_is_planned(void **state)
{
	(void)state;
	plan_real("cat /boot/invaders.exec 2>/dev/null", 0x100024, 1);
}

static void gnu_mach_is_planned(void **state)
{
	(void)state;
	plan_real("zcat /boot/gnumach-1.8-486.gz /boot/gnumach-1.8-amd64-up.gz 2>/dev/null", 0x1000000, 3);
}

/* Damages a good plan in one way each and hears what the check says. */
static void the_check_finds_damage(void **state)
{
	(void)state;
	uint8_t file[4096];
	struct seg seg = { 0x100000, 64, 128 };
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), &info);
	struct chain_plan plan;
	struct chain_error err = { 0 };
	char text[256];
	request.kernel.phys = 0x300000;
	assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_OK);
	plan.entry.address += 0x1000;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_ENTRY);
	plan.entry.address -= 0x1000;
	plan.moves[0].dest.base++;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_TOTALS);
	plan.moves[0].dest.base -= 2;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_DEST);
	plan.moves[0].dest.base++;
	uint64_t source = plan.moves[plan.move_count - 1].source_phys;
	plan.moves[plan.move_count - 1].source_phys = plan.moves[0].dest.base;
	plan.moves[plan.move_count - 1].kind = CHAIN_MOVE_COPY;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_SOURCE);
	plan.moves[plan.move_count - 1].source_phys = source;
	plan.claims.v[0].range.end += 0x100000000;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_CLAIMS);
	plan.claims.v[0].range.end -= 0x100000000;
	struct chain_claim *info_claim = &plan.claims.v[plan.claims.count - 1];
	info_claim->range.end = 0x100001000; /* where 32-bit code can't reach */
	assert_int_equal(chain_plan_check(&plan, &info, &err), CHAIN_E_PLAN_CHECK_REACH);
	chain_error_format(&err, text, sizeof(text));
	assert_string_equal(text, "plan: boot information 0 at 0x101000 to 0x100001000 lies above 0x100000000, which "
				  "the kernel can't reach");
	info_claim->range.end = plan.info.end;
	plan.mem[0].range.end = plan.mem[1].range.end;
	assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_MAP);
	chain_plan_free(&plan);
}

/* A module that lies above 4 GiB is copied from there, to where a 32-bit kernel can reach it; one that lies where no
 * executor sees it is read through its bytes. */
static void sources_lie_anywhere(void **state)
{
	static const uint64_t places[] = { 0x123456000, CHAIN_MEMORY_END - 64, CHAIN_MEMORY_END - 63 };
	uint8_t file[4096];
	struct seg seg = { 0x100000, 64, 64 };
	struct chain_bootinfo info = plain_machine();
	struct chain_plan_request request = plain_request(file, make_kernel(file, sizeof(file), &seg, 1, 0), &info);
	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct chain_plan_module module = { .blob = { file, 64, places[i] }, .string = "m" };
		struct chain_plan plan;
		size_t found = 0;
		request.modules = &module;
		request.module_count = 1;
		assert_int_equal(chain_plan_build(&request, &plan, NULL), CHAIN_OK);
		for (size_t m = 0; m < plan.move_count; m++) {
			const struct chain_move *move = &plan.moves[m];
			if (move->owner != CHAIN_OWNER_MODULE)
				continue;
			found++;
			assert_true(move->dest.end <= 0x4000000 && move->bytes == file);
			assert_int_equal(move->source_phys, i < 2 ? places[i] : CHAIN_PHYS_UNKNOWN);
			plan.moves[m].source_phys = CHAIN_MEMORY_END - 63;
		}
		assert_int_equal(found, 1);
		assert_int_equal(chain_plan_check(&plan, &info, NULL), CHAIN_E_PLAN_CHECK_SOURCE);
		chain_plan_free(&plan);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_are_exact),
		cmocka_unit_test(a_screen_is_reported_as_it_is),
		cmocka_unit_test(a_kept_filesystem_is_reserved),
		cmocka_unit_test(a_root_is_persistent_memory),
		cmocka_unit_test(a_root_that_finds_no_place_is_refused),
		cmocka_unit_test(text_forms_are_deterministic),
		cmocka_unit_test(a_cycle_takes_one_detour),
		cmocka_unit_test(grub_invaders_is_planned),
		cmocka_unit_test(gnu_mach_is_planned),
		cmocka_unit_test(the_check_finds_damage),
		cmocka_unit_test(sources_lie_anywhere),
		cmocka_unit_test(random_plans_do_what_they_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
