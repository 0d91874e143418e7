/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: machines and kernels made of any bytes, for test_plan_random.c and fuzz_plan.c: memory maps with holes and
 * overlaps, Multiboot kernels of every form (with faults now and then), modules, a filesystem, a handoff, each
 * anywhere.
 * Must not know: what a planner should make of them (plan_oracle.h). */
#ifndef CHAIN_TESTS_PLAN_WORLD_H
#define CHAIN_TESTS_PLAN_WORLD_H

#include "chain/multiboot.h"
#include "chain/plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	WORLD_MEM_MAX = 12,
	WORLD_MODULES_MAX = 6,
	WORLD_SEGMENTS_MAX = 6,
	WORLD_STRING_MAX = 80,
	WORLD_HEAD_BYTES = 16384
};
#define WORLD_4G         ((uint64_t)1 << 32)
#define WORLD_REACH      ((uint64_t)1 << 45) /* an executor sees memory up to there */
#define WORLD_BLOB_BYTES ((uint64_t)1 << 30) /* no blob is larger */
/* What part of the arena a blob has: the kernel, modules, handoff, pieces. */
enum {
	WORLD_KERNEL_PART,
	WORLD_MODULE_PART,
	WORLD_HANDOFF_PART = WORLD_MODULE_PART + WORLD_MODULES_MAX,
	WORLD_PIECE_PART,
	WORLD_PARTS = WORLD_PIECE_PART + WORLD_SEGMENTS_MAX
};

/* Decisions, made of bytes that are given; zero when they have run out. */
struct dice {
	const uint8_t *bytes;
	size_t count, at;
};

/* From 0 to below - 1; with 0, any. */
static inline uint64_t dice_roll(struct dice *dice, uint64_t below)
{
	size_t wide = !below ? 8 : below <= 0x100 ? 1 : below <= 0x10000 ? 2 : 8;
	uint64_t value = 0;
	for (size_t i = 0; i < wide && dice->at < dice->count; i++)
		value |= (uint64_t)dice->bytes[dice->at++] << 8 * i;
	return below ? value % below : value;
}

static inline bool dice_once_in(struct dice *dice, uint64_t sides)
{
	return dice_roll(dice, sides) == sides - 1; /* bytes that have run out say no */
}

struct world_segment {
	uint64_t phys, virt, offset, file_bytes, memory_bytes;
	bool load;
};

/* What was written into the kernel's file. */
struct world_kernel {
	enum { WORLD_BY_ADDRESS, WORLD_ELF32, WORLD_ELF64, WORLD_PIECES } form;
	uint64_t file_bytes;
	uint32_t header_offset, flags;
	bool no_header, bad_checksum, decoy; /* decoy: a magic whose sum is wrong, before the header */
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr, width, height,
		depth;  /* of the Multiboot header */
	uint64_t entry; /* of the ELF header, or where pieces are entered */
	struct world_segment segments[WORLD_SEGMENTS_MAX];
	size_t segment_count;
};

struct world {
	uint8_t *arena; /* host memory of all blobs, each in a part of WORLD_BLOB_BYTES; untouched pages cost nothing */
	struct dice dice;
	bool sound; /* no faults were put in on purpose; memory may be short all the same */
	struct chain_mem_entry raw[WORLD_MEM_MAX]; /* as the firmware said it, before it was put in order */
	size_t raw_count;
	struct world_kernel kernel;
	struct chain_bootinfo info;
	struct chain_plan_module modules[WORLD_MODULES_MAX];
	char strings[WORLD_MODULES_MAX][WORLD_STRING_MAX], args[WORLD_STRING_MAX];
	struct chain_plan_piece pieces[WORLD_SEGMENTS_MAX];
	struct chain_plan_request request;
	struct chain_claim in_use_storage[4];
	struct chain_claims in_use; /* what the executor's own memory must be clear of */
	uint64_t trampoline_bytes;
};

static inline bool world_begin(struct world *w)
{
	size_t bytes = (size_t)WORLD_PARTS * WORLD_BLOB_BYTES;
	memset(w, 0, sizeof(*w));
	w->arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return w->arena != MAP_FAILED;
}

static inline void world_end(struct world *w)
{
	chain_bootinfo_free(&w->info);
	munmap(w->arena, (size_t)WORLD_PARTS * WORLD_BLOB_BYTES);
}

static inline bool world_fault(struct world *w, uint64_t sides)
{
	return dice_once_in(&w->dice, sides) && !w->sound;
}

/* --- addresses and sizes --- */

static inline uint64_t world_size(struct dice *dice)
{
	uint64_t kind = dice_roll(dice, 16);
	if (kind < 3)
		return dice_roll(dice, 256);
	if (kind < 9)
		return dice_roll(dice, 0x10000);
	if (kind < 13)
		return 0x1000 * dice_roll(dice, 256);
	return dice_roll(dice, kind < 15 ? 16 << 20 : WORLD_BLOB_BYTES);
}

/* Mostly in memory, often at a bound of something, now and then anywhere. */
static inline uint64_t world_address(struct world *w)
{
	struct dice *dice = &w->dice;
	uint64_t kind = dice_roll(dice, 16);
	struct chain_range near = w->raw[dice_roll(dice, w->raw_count)].range;
	uint64_t pages = chain_range_bytes(near) / 0x1000;
	if (kind == 15)
		return dice_roll(dice, 0) >> dice_roll(dice, 64);
	if (kind == 14)
		near = w->info.image;
	else if (kind == 13 && w->kernel.segment_count)
		near.base = w->kernel.segments[dice_roll(dice, w->kernel.segment_count)].phys;
	else if (kind == 12)
		near = w->request.fs;
	if (kind >= 10)
		return (dice_roll(dice, 2) ? near.base : near.end) + dice_roll(dice, 0x4000) - 0x2000;
	return near.base + 0x1000 * dice_roll(dice, pages < 0x10000 ? pages + 1 : 0x10000) +
	       (kind < 4 ? dice_roll(dice, 0x1000) : 0);
}

/* Where a kernel may be linked to: most often low in available memory. */
static inline uint64_t world_kernel_address(struct world *w)
{
	struct dice *dice = &w->dice;
	for (int tries = 0; tries < 4; tries++) {
		const struct chain_mem_entry *raw = &w->raw[dice_roll(dice, w->raw_count)];
		if (raw->type == CHAIN_MEM_AVAILABLE && raw->range.base < WORLD_4G && dice_roll(dice, 16))
			return raw->range.base + 0x1000 * dice_roll(dice, 64) +
			       (dice_roll(dice, 4) ? 0 : dice_roll(dice, 0x1000));
	}
	return world_address(w);
}

static inline struct chain_range world_range(struct world *w)
{
	uint64_t base = world_address(w), bytes = world_size(&w->dice);
	return (struct chain_range){ base, bytes > UINT64_MAX - base ? UINT64_MAX : base + bytes };
}

/* --- the machine --- */

static inline void world_add_memory(struct world *w, uint64_t base, uint64_t bytes, uint32_t type)
{
	if (w->raw_count == WORLD_MEM_MAX || !bytes || bytes > UINT64_MAX - base)
		return;
	w->raw[w->raw_count++] = (struct chain_mem_entry){ { base, base + bytes }, type };
}

static inline uint32_t world_type(struct dice *dice)
{
	static const uint32_t types[] = { 1, 1, 1, 2, 2, 3, 4, 5, 7, 12, 77, 0xffffffff };
	return types[dice_roll(dice, sizeof(types) / sizeof(types[0]))];
}

static inline void world_memory(struct world *w)
{
	struct dice *dice = &w->dice;
	w->raw_count = 0;
	if (!dice_once_in(dice, 6)) { /* like a PC */
		world_add_memory(w, 0, 0x9fc00, CHAIN_MEM_AVAILABLE);
		world_add_memory(w, 0x9fc00, 0x400, CHAIN_MEM_RESERVED);
		world_add_memory(w, 0xf0000, 0x10000, CHAIN_MEM_RESERVED);
		uint64_t mib = dice_roll(dice, 4) ? 1 + dice_roll(dice, 64) : 1 + dice_roll(dice, 4095);
		world_add_memory(w, 0x100000, mib << 20, CHAIN_MEM_AVAILABLE);
		if (dice_once_in(dice, 4))
			world_add_memory(w, WORLD_4G, dice_roll(dice, 4096) << 20, CHAIN_MEM_AVAILABLE);
	} else {
		world_add_memory(w, dice_roll(dice, 0x200000), 1 + world_size(dice), CHAIN_MEM_AVAILABLE);
	}
	if (dice_once_in(dice, 8)) /* across the border of what 32-bit code reaches */
		world_add_memory(w, WORLD_4G - 0x1000 * dice_roll(dice, 64), 0x1000 * dice_roll(dice, 128),
				 CHAIN_MEM_AVAILABLE);
	for (uint64_t more = dice_roll(dice, 6); more; more--) { /* holes, gaps, what contradicts the others */
		struct chain_range range = world_range(w);
		world_add_memory(w, range.base, chain_range_bytes(range), world_type(dice));
	}
}

static inline enum chain_status world_bootinfo(struct world *w)
{
	struct dice *dice = &w->dice;
	enum chain_status status = CHAIN_OK;
	chain_bootinfo_free(&w->info);
	chain_bootinfo_init(&w->info);
	for (size_t i = 0; !status && i < w->raw_count; i++)
		status = chain_bootinfo_add_mem(&w->info, w->raw[i].range.base, chain_range_bytes(w->raw[i].range),
						w->raw[i].type, NULL);
	if (!status)
		status = chain_bootinfo_normalise(&w->info, NULL);
	w->info.image = world_range(w);
	for (uint64_t more = dice_roll(dice, 4); !status && more; more--) {
		struct chain_range range = world_range(w);
		status = chain_bootinfo_add_module(&w->info, range.base, chain_range_bytes(range), "boot module", NULL);
	}
	return status;
}

/* --- the kernel --- */

static inline void world_put(uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static inline void world_header(struct world *w)
{
	struct world_kernel *k = &w->kernel;
	uint8_t *at = w->arena + k->header_offset;
	const uint32_t words[] = { MULTIBOOT_HEADER_MAGIC,
				   k->flags,
				   0u - MULTIBOOT_HEADER_MAGIC - k->flags + k->bad_checksum,
				   k->header_addr,
				   k->load_addr,
				   k->load_end_addr,
				   k->bss_end_addr,
				   k->entry_addr,
				   0,
				   k->width,
				   k->height,
				   k->depth };
	if (k->no_header)
		return;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		world_put(at + 4 * i, words[i], 4);
}

/* One segment by the address fields; the header lies anywhere in it, or the segment begins before the file does. */
static inline void world_by_address(struct world *w)
{
	struct dice *dice = &w->dice;
	struct world_kernel *k = &w->kernel;
	uint32_t load = (uint32_t)world_kernel_address(w), before = (uint32_t)dice_roll(dice, k->header_offset + 1u);
	if (world_fault(w, 10))
		before = (uint32_t)dice_roll(dice, 0x10000);
	uint64_t there =
		k->file_bytes - k->header_offset + before; /* from the segment's first byte to the file's end */
	k->load_addr = load;
	k->header_addr = load + before;
	k->load_end_addr = dice_roll(dice, 3) ? load + (uint32_t)dice_roll(dice, there + 1) : 0;
	uint32_t end = k->load_end_addr ? k->load_end_addr : load + (uint32_t)there;
	k->bss_end_addr = dice_roll(dice, 3) ? end + (uint32_t)world_size(dice) : 0;
	k->entry_addr = load + (uint32_t)dice_roll(dice, (uint64_t)(end - load) + !w->sound);
	uint32_t *const fields[] = { &k->header_addr, &k->load_addr, &k->load_end_addr, &k->bss_end_addr,
				     &k->entry_addr };
	if (world_fault(w, 6))
		*fields[dice_roll(dice, 5)] = (uint32_t)world_address(w);
}

static inline struct world_segment world_make_segment(struct world *w)
{
	struct dice *dice = &w->dice;
	const struct world_kernel *k = &w->kernel;
	struct world_segment s = { .phys = world_kernel_address(w), .load = !dice_once_in(dice, 12) };
	if (k->segment_count && (dice_roll(dice, 2) || w->sound)) { /* most often behind the one before */
		const struct world_segment *last = &k->segments[k->segment_count - 1];
		s.phys = last->phys + last->memory_bytes + (dice_roll(dice, 2) ? dice_roll(dice, 0x3000) : 0);
	}
	s.offset = dice_roll(dice, k->file_bytes + 1);
	s.file_bytes = world_size(dice);
	if (s.file_bytes > k->file_bytes - s.offset && !world_fault(w, 10))
		s.file_bytes = k->file_bytes - s.offset;
	s.memory_bytes = s.file_bytes + (dice_roll(dice, 2) ? world_size(dice) : 0);
	if (world_fault(w, 15))
		s.memory_bytes = world_size(dice);
	if (k->form == WORLD_ELF32)
		s = (struct world_segment){ (uint32_t)s.phys,         0,     (uint32_t)s.offset, (uint32_t)s.file_bytes,
					    (uint32_t)s.memory_bytes, s.load };
	static const uint64_t shifts[] = { 0, 0, 0, 0xc0000000, 0xffffffff80000000 };
	s.virt = s.phys + shifts[dice_roll(dice, 5)];
	if (dice_once_in(dice, 20))
		s.virt = world_address(w);
	if (k->form == WORLD_ELF32)
		s.virt = (uint32_t)s.virt;
	return s;
}

static inline void world_elf_file(struct world *w)
{
	struct world_kernel *k = &w->kernel;
	bool wide = k->form == WORLD_ELF64;
	size_t word = wide ? 8 : 4, header = wide ? 64 : 52, each = wide ? 56 : 32;
	uint8_t *at = w->arena;
	memcpy(at,
	       "\x7f"
	       "ELF\1\1\1",
	       7);
	at[4] = wide ? 2 : 1;
	at[16] = 2;
	at[18] = wide ? 62 : 3;
	at[20] = 1;
	world_put(at + 24, k->entry, word);
	world_put(at + 24 + word, header, word);
	world_put(at + header - 10, each, 2);
	world_put(at + header - 8, k->segment_count, 2);
	for (size_t i = 0; i < k->segment_count; i++) {
		const struct world_segment *s = &k->segments[i];
		const uint64_t in_32[] = {
			s->load, s->offset, s->virt, s->phys, s->file_bytes, s->memory_bytes, 7, 4096
		};
		const uint64_t in_64[] = { s->offset, s->virt, s->phys, s->file_bytes, s->memory_bytes, 4096 };
		uint8_t *phdr = at + header + each * i;
		for (size_t f = 0; !wide && f < 8; f++)
			world_put(phdr + 4 * f, in_32[f], 4);
		for (size_t f = 0; wide && f < 6; f++)
			world_put(phdr + 8 + 8 * f, in_64[f], 8);
		if (wide)
			world_put(phdr, s->load, 4);
	}
}

static inline void world_segments(struct world *w)
{
	struct dice *dice = &w->dice;
	struct world_kernel *k = &w->kernel;
	size_t wanted = world_fault(w, 20) ? 0 : 1 + (size_t)dice_roll(dice, WORLD_SEGMENTS_MAX);
	while (k->segment_count < wanted) {
		struct world_segment s = world_make_segment(w); /* looks at the ones before */
		k->segments[k->segment_count++] = s;
	}
	k->entry = world_address(w);
	if (k->segment_count && !world_fault(w, 10)) {
		const struct world_segment *s = &k->segments[dice_roll(dice, k->segment_count)];
		k->entry = (dice_roll(dice, 2) ? s->phys : s->virt) +
			   dice_roll(dice, s->memory_bytes < 0xffff ? s->memory_bytes + !w->sound : 0xffff);
	}
	if (k->form == WORLD_ELF32)
		k->entry = (uint32_t)k->entry;
}

/* A kernel that lies in memory in pieces, most often where they belong. */
static inline void world_make_pieces(struct world *w)
{
	struct dice *dice = &w->dice;
	struct world_kernel *k = &w->kernel;
	world_segments(w);
	for (size_t i = 0; i < k->segment_count; i++) {
		struct world_segment *s = &k->segments[i];
		if (s->file_bytes > s->memory_bytes)
			s->memory_bytes = s->file_bytes;
		if (s->memory_bytes > UINT64_MAX - s->phys)
			s->phys = 0;
		s->offset = 0;
		s->load = !dice_roll(dice, 3); /* zeroed behind its bytes */
		struct chain_range at = { s->phys, s->phys + s->memory_bytes };
		w->pieces[i] = (struct chain_plan_piece){
			.segment = { .phys = at, .virt = at, .file_bytes = s->file_bytes },
			.keep_rest = !s->load,
			.blob = { w->arena + (WORLD_PIECE_PART + i) * WORLD_BLOB_BYTES, s->file_bytes,
				  CHAIN_PHYS_UNKNOWN },
		};
		if (dice_roll(dice, 4))
			w->pieces[i].blob.phys = dice_roll(dice, 4) ? s->phys : world_address(w);
	}
	w->request.pieces = w->pieces;
	w->request.piece_count = k->segment_count;
	w->request.pieces_entry = k->entry;
}

static inline void world_make_kernel(struct world *w)
{
	struct dice *dice = &w->dice;
	struct world_kernel *k = &w->kernel;
	static const uint32_t flags[] = { 0, 0, 1, 2, 3, 3, 4, 7 };
	*k = (struct world_kernel){ .form = (int)dice_roll(dice, 4) };
	w->request.piece_count = 0;
	memset(w->arena, 0, WORLD_HEAD_BYTES);
	k->header_offset = 0x400 + 4 * (uint32_t)dice_roll(dice, 0x100);
	if (world_fault(w, 8))
		k->header_offset = 0x400 + (uint32_t)dice_roll(dice, 0x2000);
	k->file_bytes = k->header_offset + 12 + world_size(dice);
	if (k->file_bytes > WORLD_BLOB_BYTES)
		k->file_bytes = WORLD_BLOB_BYTES;
	k->flags = flags[dice_roll(dice, 8)] | (k->form == WORLD_BY_ADDRESS ? (uint32_t)MULTIBOOT_AOUT_KLUDGE : 0);
	if (world_fault(w, 20))
		k->flags ^= 1u << dice_roll(dice, 16);
	k->no_header = world_fault(w, 30);
	k->bad_checksum = world_fault(w, 30);
	k->width = 1024;
	if (k->form == WORLD_PIECES) {
		world_make_pieces(w);
		if (k->segment_count)
			return;
		k->form = WORLD_ELF64;
	}
	if (k->form == WORLD_BY_ADDRESS) {
		world_by_address(w);
	} else {
		world_segments(w);
		world_elf_file(w);
	}
	world_header(w);
	k->decoy = dice_once_in(dice, 8);
	if (k->decoy)
		world_put(w->arena + 0x200, MULTIBOOT_HEADER_MAGIC, 4);
}

/* --- the request --- */

static inline void world_text(struct dice *dice, char *out)
{
	size_t bytes = (size_t)dice_roll(dice, WORLD_STRING_MAX);
	for (size_t i = 0; i < bytes; i++)
		out[i] = (char)('a' + (i * 7 + bytes) % 26);
	out[bytes] = '\0';
}

/* Where something of `bytes` would just touch a segment, or overlap it by a byte, at either end. */
static inline uint64_t world_beside(struct world *w, uint64_t bytes)
{
	const struct world_segment *s = &w->kernel.segments[dice_roll(&w->dice, w->kernel.segment_count)];
	uint64_t edge = dice_roll(&w->dice, 2) ? s->phys - bytes : s->phys + s->memory_bytes;
	return edge + dice_roll(&w->dice, 3) - 1;
}

/* Part `index` of the arena as bytes to be placed, lying anywhere in the machine's memory, or in none of it. */
static inline struct chain_blob world_blob(struct world *w, size_t index, uint64_t bytes)
{
	struct chain_blob blob = { w->arena + index * WORLD_BLOB_BYTES, bytes, CHAIN_PHYS_UNKNOWN };
	if (dice_roll(&w->dice, 4))
		blob.phys = w->kernel.segment_count && dice_once_in(&w->dice, 4) ? world_beside(w, bytes) :
										   world_address(w);
	return blob;
}

static inline void world_make_request(struct world *w)
{
	static const char loader[] = "kchain";
	struct dice *dice = &w->dice;
	struct chain_plan_request *r = &w->request;
	world_text(dice, w->args);
	r->subject = "k";
	r->door = chain_door_of_ours;
	r->kernel = world_blob(w, WORLD_KERNEL_PART, w->kernel.file_bytes);
	r->args = world_fault(w, 50) ? NULL : w->args;
	r->loader_name = world_fault(w, 50) ? NULL : loader;
	r->modules = w->modules;
	r->module_count = (size_t)dice_roll(dice, WORLD_MODULES_MAX + 1);
	for (size_t i = 0; i < r->module_count; i++) {
		world_text(dice, w->strings[i]);
		w->modules[i] =
			(struct chain_plan_module){ .blob = world_blob(w, WORLD_MODULE_PART + i, world_size(dice)),
						    .string = w->strings[i],
						    .movable = dice_roll(dice, 2) };
	}
	r->handoff = world_blob(w, WORLD_HANDOFF_PART, dice_roll(dice, 4) ? dice_roll(dice, 0x4000) : 0);
	r->handoff_string = world_fault(w, 50) ? NULL : "kchain-handoff x";
	r->handoff_at = (int)dice_roll(dice, 3);
	r->bootinfo = &w->info;
	r->fs_keep = dice_once_in(dice, 3);
	r->video_required = !w->sound && dice_once_in(dice, 3);
	if (dice_once_in(dice, 3))
		w->info.framebuffer = (struct chain_framebuffer){
			0xfd000000, 4096, 1024, 768, dice_roll(dice, 2) ? 32 : 16, (uint8_t)dice_roll(dice, 3), { 0 }
		};
	for (size_t i = 0; w->info.framebuffer.type == CHAIN_FRAMEBUFFER_RGB && i < sizeof(w->info.framebuffer.colors);
	     i++)
		w->info.framebuffer.colors[i] = (uint8_t)dice_roll(dice, 256);
	if (world_fault(w, 50))
		r->fs = (struct chain_range){ r->fs.end + 1, r->fs.base };
}

/* The claims of whoever carries the plan out. */
static inline void world_in_use(struct world *w)
{
	chain_claims_init(&w->in_use, w->in_use_storage, 4);
	for (uint64_t more = dice_roll(&w->dice, 4); more; more--)
		(void)!chain_claims_add(&w->in_use, world_range(w), CHAIN_OWNER_HEAP, 0,
					NULL); /* one that overlaps is left out */
	w->trampoline_bytes = 1 + world_size(&w->dice);
}

/* A new world in `w`, which world_begin made; it stays as it is until the next. False: out of memory. */
static inline bool world_make(struct world *w, const uint8_t *bytes, size_t count)
{
	w->dice = (struct dice){ bytes, count, 0 };
	w->sound = dice_roll(&w->dice, 4);
	w->info.image = w->request.fs = (struct chain_range){ 0x100000, 0x200000 };
	w->kernel.segment_count = 0;
	world_memory(w);
	if (world_bootinfo(w))
		return false;
	w->request.fs = world_range(w);
	world_make_kernel(w);
	world_make_request(w);
	world_in_use(w);
	return true;
}

#endif
