/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: machines as in plan_world.h, with kernels for the doors beside Multiboot 1 and modules that are streams, made
 * of any bytes; and the judgement on what is planned for them: an accepted plan is carried out and then read as the
 * kernel would. Must not know: where the bytes come from. */
#ifndef CHAIN_TESTS_PLAN_DOORS_H
#define CHAIN_TESTS_PLAN_DOORS_H

#include "plan_oracle.h"

#include "chain/initrd.h"
#include "chain/linux_format.h"
#include "chain/multiboot2_format.h"
#include "chain/pvh_format.h"

enum { DICE_BYTES = 2048, HEAD = 0x1000, ITEMS_MAX = WORLD_MODULES_MAX + 1 };
enum { MAP_MAX = 2 * (2 * WORLD_MEM_MAX + 1) + 1 };
#define FIRST_MIB ((uint64_t)0x100000)

/* A kernel of one segment, as it was made. */
struct made {
	const char *door;
	uint64_t load, offset, file_bytes, memory_bytes, entry;
	bool movable, clears_itself;
	uint64_t align, limit;
	struct chain_range within;
};

/* What a kernel reads of what it is told. */
struct received {
	char args[WORLD_STRING_MAX];
	struct chain_range modules[ITEMS_MAX];
	size_t module_count;
	struct chain_mem_entry map[MAP_MAX];
	size_t map_count;
};

struct bench {
	struct world world;
	struct oracle oracle;
	struct made made;
	struct chain_stream streams[WORLD_MODULES_MAX];
	uint8_t dice[DICE_BYTES];
	unsigned moved, above, refused, full;
};

static inline void put(struct bench *b, uint64_t at, uint64_t value, size_t bytes)
{
	world_put(b->world.arena + at, value, bytes);
}

/* --- kernels --- */

static inline void make_multiboot2(struct bench *b)
{
	struct made *m = &b->made;
	const uint32_t prefer[] = { 0, 1, 2 };
	uint64_t at = 0x100, bytes = 16 + 24 + 16 + (m->movable ? 24 : 0) + 8;
	m->offset = 0;
	m->limit = WORLD_4G - 1;
	m->entry = m->load + 0x200;
	put(b, at, CHAIN_MB2_HEADER_MAGIC, 4);
	put(b, at + 8, bytes, 4);
	put(b, at + 12, 0u - (CHAIN_MB2_HEADER_MAGIC + (uint32_t)bytes), 4);
	put(b, at + 16, CHAIN_MB2_HEADER_ADDRESS, 4);
	put(b, at + 20, 24, 4);
	put(b, at + 24, m->load + at, 4);
	put(b, at + 28, m->load, 4);
	put(b, at + 36, m->load + m->memory_bytes, 4);
	put(b, at + 40, CHAIN_MB2_HEADER_ENTRY, 4);
	put(b, at + 44, 12, 4);
	put(b, at + 48, m->entry, 4);
	at += 56;
	if (m->movable) {
		put(b, at, CHAIN_MB2_HEADER_RELOCATABLE, 4);
		put(b, at + 4, 24, 4);
		put(b, at + 8, m->within.base, 4);
		put(b, at + 12, m->within.end - 1, 4);
		put(b, at + 16, m->align, 4);
		put(b, at + 20, prefer[dice_roll(&b->world.dice, 3)], 4);
		at += 24;
	}
	put(b, at + 4, 8, 4);
}

static inline void make_pvh(struct bench *b)
{
	struct made *m = &b->made;
	m->movable = false;
	m->limit = WORLD_4G;
	m->entry = m->load + 16;
	m->offset = HEAD;
	m->file_bytes -= HEAD;
	b->world.kernel.form = WORLD_ELF64;
	b->world.kernel.entry = m->load;
	b->world.kernel.segments[0] =
		(struct world_segment){ m->load, m->load, HEAD, m->file_bytes, m->memory_bytes, true };
	b->world.kernel.segment_count = 1;
	world_elf_file(&b->world);
	put(b, 56, 2, 2);
	put(b, 120, CHAIN_ELF_PT_NOTE, 4);
	put(b, 128, 0x200, 8);
	put(b, 152, 24, 8);
	put(b, 168, 4, 8);
	put(b, 0x200, 4, 4);
	put(b, 0x204, 8, 4);
	put(b, 0x208, CHAIN_PVH_NOTE_ENTRY, 4);
	memcpy(b->world.arena + 0x20c, CHAIN_PVH_NOTE_NAME, sizeof(CHAIN_PVH_NOTE_NAME));
	put(b, 0x210, m->entry, 8);
}

static inline void make_linux(struct bench *b)
{
	struct made *m = &b->made;
	m->offset = 2 * CHAIN_LINUX_SECTOR;
	m->file_bytes -= m->offset;
	m->clears_itself = true;
	bool above = dice_roll(&b->world.dice, 2); /* it may lie above 4 GiB, with all that it is told */
	if (above && dice_roll(&b->world.dice, 2))
		m->load = WORLD_4G + (dice_roll(&b->world.dice, 4096) << 20) + 0x1000 * dice_roll(&b->world.dice, 256);
	m->entry = m->load + CHAIN_LINUX_ENTRY_64;
	m->limit = dice_roll(&b->world.dice, 2) ? 0x80000000 : (m->load + m->memory_bytes + 16 * FIRST_MIB) % WORLD_4G;
	put(b, CHAIN_LINUX_INITRD_ADDR_MAX, m->limit - 1, 4);
	m->limit = above ? CHAIN_MEMORY_END : m->limit;
	m->within = (struct chain_range){ FIRST_MIB, above ? CHAIN_MEMORY_END : WORLD_4G };
	put(b, CHAIN_LINUX_SETUP_SECTS, 1, 1);
	put(b, CHAIN_LINUX_BOOT_FLAG, CHAIN_LINUX_BOOT_FLAG_VALUE, 2);
	put(b, CHAIN_LINUX_JUMP_BYTES, 0x6a, 1);
	put(b, CHAIN_LINUX_MAGIC, CHAIN_LINUX_MAGIC_VALUE, 4);
	put(b, CHAIN_LINUX_VERSION, 0x20f, 2);
	put(b, CHAIN_LINUX_LOADFLAGS, CHAIN_LINUX_LOADED_HIGH, 1);
	put(b, CHAIN_LINUX_ALIGNMENT, m->align, 4);
	put(b, CHAIN_LINUX_RELOCATABLE, m->movable, 1);
	put(b, CHAIN_LINUX_XLOADFLAGS, CHAIN_LINUX_KERNEL_64 | (above ? CHAIN_LINUX_ABOVE_4G : 0), 2);
	put(b, CHAIN_LINUX_CMDLINE_SIZE, 2047, 4);
	put(b, CHAIN_LINUX_PREF_ADDRESS, m->load, 8);
	put(b, CHAIN_LINUX_INIT_SIZE, m->memory_bytes, 4);
}

static inline enum chain_status read_nothing(void *ctx, uint64_t offset, uint64_t bytes, void *into,
					     struct chain_error *err)
{
	(void)ctx;
	(void)offset;
	(void)bytes;
	(void)into;
	(void)err;
	return CHAIN_OK; /* a plan is pure: it must not ask */
}

/* A world whose kernel is one of these; some of its modules are streams. `bytes`, of DICE_BYTES at most, decide. False:
 * no memory. */
static inline bool doors_make(struct bench *b, const uint8_t *bytes, size_t count)
{
	static const struct {
		const char *door;
		void (*make)(struct bench *b);
	} kinds[] = { { "multiboot2", make_multiboot2 }, { "pvh", make_pvh }, { "linux", make_linux } };
	struct world *w = &b->world;
	memset(b->dice, 0, sizeof(b->dice));
	memcpy(b->dice, bytes, count);
	b->dice[0] = 1; /* no faults */
	if (!world_make(w, b->dice, DICE_BYTES))
		return false;
	struct dice *dice = &w->dice;
	uint64_t kind = dice_roll(dice, 3);
	struct made *m = &b->made;
	*m = (struct made){ .door = kinds[kind].door, .load = world_kernel_address(w) & 0x3ffff000 };
	m->file_bytes = HEAD + 0x400 + dice_roll(dice, 0x10000);
	m->memory_bytes = m->file_bytes + dice_roll(dice, 0x100000);
	m->movable = dice_roll(dice, 2);
	m->align = FIRST_MIB >> dice_roll(dice, 9);
	m->within = (struct chain_range){ FIRST_MIB * dice_roll(dice, 8), FIRST_MIB * (8 + dice_roll(dice, 512)) };
	memset(w->arena, 0, WORLD_HEAD_BYTES);
	w->request.piece_count = 0;
	w->request.door = chain_door_named(m->door);
	w->request.kernel.bytes_count = m->file_bytes;
	w->request.video_required = false;
	w->request.in_use = dice_roll(dice, 2) ? &w->in_use : NULL;
	kinds[kind].make(b);
	bool streams = dice_roll(dice, 2);
	if (streams) /* what is copied lies in the image, in boot modules or in claimed memory, where no fill may be */
		w->request.kernel.phys = w->request.handoff.phys = CHAIN_PHYS_UNKNOWN;
	for (size_t i = 0; streams && i < w->request.module_count; i++) {
		struct chain_plan_module *module = &w->modules[i];
		b->streams[i] = (struct chain_stream){ .bytes = module->blob.bytes_count, .read = read_nothing };
		module->blob.phys = CHAIN_PHYS_UNKNOWN;
		if (module->blob.bytes_count && dice_roll(dice, 2))
			module->stream = &b->streams[i];
	}
	return true;
}

/* --- carrying out --- */

static inline bool clear_of(const struct bench *b, struct chain_range dest)
{
	const struct world *w = &b->world;
	bool clear = !chain_range_overlaps(dest, w->info.image);
	for (size_t i = 0; i < w->info.module_count; i++)
		clear &= !chain_range_overlaps(dest, w->info.modules[i].range);
	for (size_t i = 0; w->request.in_use && i < w->in_use.count; i++)
		clear &= !chain_range_overlaps(dest, w->in_use.v[i].range);
	return clear;
}

static inline bool carry_out(struct bench *b, const struct chain_plan *plan)
{
	struct oracle *o = &b->oracle;
	o->w = &b->world;
	o->plan = plan;
	o->reach = b->made.limit > WORLD_4G ? WORLD_REACH : WORLD_4G;
	o->why[0] = '\0';
	o->memory.count = 0;
	o->memory.full = false;
	for (size_t i = 0; i < plan->fill_count; i++) {
		const struct chain_fill *fill = &plan->fills[i];
		const struct chain_plan_module *module = &b->world.modules[fill->tag];
		if (fill->stream != module->stream || chain_range_bytes(fill->dest) != fill->stream->bytes ||
		    !clear_of(b, fill->dest) || !expect_available(o->w, fill->dest.base, fill->dest.end, true))
			return oracle_wrong(o, "fill %zu at 0x%llx", i, ORACLE_LL(fill->dest.base));
		memory_write(&o->memory, (struct memory_piece){ fill->dest.base, fill->dest.end, MEMORY_HOST,
								(uint64_t)(uintptr_t)module->blob.bytes });
	}
	for (size_t i = 0; i < plan->move_count; i++)
		if (!oracle_move(o, &plan->moves[i]))
			return false;
	return true;
}

/* Claims are apart, and whatever was written is claimed. */
static inline bool claims_hold(struct bench *b)
{
	struct oracle *o = &b->oracle;
	const struct chain_claims *claims = &o->plan->claims;
	for (size_t i = 1; i < claims->count; i++)
		if (claims->v[i].range.base < claims->v[i - 1].range.end)
			return oracle_wrong(o, "claim %zu overlaps", i);
	for (size_t i = 0; i < o->memory.count; i++) {
		uint64_t at = o->memory.v[i].base;
		for (size_t c = 0; c < claims->count; c++)
			if (at >= claims->v[c].range.base && at < claims->v[c].range.end)
				at = claims->v[c].range.end;
		if (at < o->memory.v[i].end)
			return oracle_wrong(o, "0x%llx was written but not claimed", ORACLE_LL(at));
	}
	return true;
}

static inline bool kernel_holds(struct bench *b)
{
	struct oracle *o = &b->oracle;
	const struct made *m = &b->made;
	const struct chain_entry *entry = &o->plan->entry;
	struct chain_range at = { 0, 0 };
	for (size_t i = 0; i < o->plan->claims.count; i++)
		if (o->plan->claims.v[i].owner == CHAIN_OWNER_KERNEL)
			at = o->plan->claims.v[i].range;
	if (chain_range_bytes(at) != m->memory_bytes || (at.base != m->load && !m->movable))
		return oracle_wrong(o, "the kernel lies at 0x%llx", ORACLE_LL(at.base));
	uint64_t least = m->align < 4096 ? 4096 : m->align;
	if (at.base != m->load && (at.base % least || !chain_range_contains(m->within, at)))
		return oracle_wrong(o, "the kernel was moved to 0x%llx", ORACLE_LL(at.base));
	b->moved += at.base != m->load;
	b->above += at.end > WORLD_4G;
	if (!oracle_blob_lies(o, &b->world.request.kernel, m->offset, m->file_bytes, at.base))
		return oracle_wrong(o, "the kernel lacks its bytes");
	uint64_t filled = at.base + m->file_bytes;
	if (!m->clears_itself && !memory_holds(&o->memory, filled, at.end - filled, MEMORY_ZERO, filled))
		return oracle_wrong(o, "the kernel is not zero behind its bytes");
	if (entry->address != m->entry + (at.base - m->load) ||
	    (entry->mode == CHAIN_ENTRY_LONG64) != (strcmp(m->door, "linux") == 0))
		return oracle_wrong(o, "entered at 0x%llx", ORACLE_LL(entry->address));
	return true;
}

/* --- what the kernel is told --- */

static inline bool reads(struct oracle *o, uint64_t at, void *buf, uint64_t bytes)
{
	return memory_read(&o->memory, at, buf, bytes) ||
	       oracle_wrong(o, "nothing to be read at 0x%llx", ORACLE_LL(at));
}

static inline bool reads_args(struct oracle *o, uint64_t at, struct received *received)
{
	return reads(o, at, received->args, strlen(o->w->request.args) + 1);
}

static inline bool reads_map(struct oracle *o, uint64_t at, size_t count, size_t each, struct received *received)
{
	if (count > MAP_MAX)
		return oracle_wrong(o, "%zu entries of the map", count);
	received->map_count = count;
	for (size_t i = 0; i < count; i++) {
		uint8_t entry[20];
		if (!reads(o, at + i * each, entry, sizeof(entry)))
			return false;
		uint64_t base = chain_le64(entry);
		received->map[i] =
			(struct chain_mem_entry){ { base, base + chain_le64(entry + 8) }, chain_le32(entry + 16) };
	}
	return true;
}

static inline bool read_multiboot2(struct oracle *o, struct received *received)
{
	uint64_t at = o->plan->entry.registers[CHAIN_RBX] + 8;
	if (o->plan->entry.registers[CHAIN_RAX] != CHAIN_MB2_ENTRY_MAGIC)
		return oracle_wrong(o, "no magic");
	for (uint32_t tag[4];;) {
		if (!reads(o, at, tag, 8) || tag[0] == CHAIN_MB2_END)
			return !o->why[0];
		if (tag[1] < 8)
			return oracle_wrong(o, "a tag of %u bytes", tag[1]);
		bool good = true;
		if (tag[0] == CHAIN_MB2_CMDLINE)
			good = reads_args(o, at + 8, received);
		if (tag[0] == CHAIN_MB2_MMAP)
			good = reads_map(o, at + 16, (tag[1] - 16) / 24, 24, received);
		if (tag[0] == CHAIN_MB2_MODULE) {
			good = received->module_count < ITEMS_MAX && reads(o, at, tag, 16);
			if (good)
				received->modules[received->module_count++] = (struct chain_range){ tag[2], tag[3] };
		}
		if (!good)
			return oracle_wrong(o, "tag %u", tag[0]);
		at += (tag[1] + 7) & ~7ull;
	}
}

static inline bool read_pvh(struct oracle *o, struct received *received)
{
	struct chain_pvh_info info;
	struct chain_pvh_module module;
	if (!reads(o, o->plan->entry.registers[CHAIN_RBX], &info, sizeof(info)) || info.magic != CHAIN_PVH_MAGIC ||
	    info.module_count > ITEMS_MAX)
		return oracle_wrong(o, "no start information");
	for (size_t i = 0; i < info.module_count; i++) {
		if (!reads(o, info.modules + i * sizeof(module), &module, sizeof(module)))
			return false;
		received->modules[received->module_count++] =
			(struct chain_range){ module.base, module.base + module.bytes };
	}
	return reads_args(o, info.cmdline, received) && reads_map(o, info.mmap, info.mmap_count, 24, received);
}

/* Half of it lies elsewhere. */
static inline uint64_t linux_value(const uint8_t *params, size_t low, size_t high)
{
	return chain_le32(params + low) | (uint64_t)chain_le32(params + high) << 32;
}

static inline bool read_linux(struct oracle *o, struct received *received)
{
	static uint8_t params[CHAIN_LINUX_PARAMS_BYTES];
	uint64_t at = o->plan->entry.registers[CHAIN_RSI];
	if (!reads(o, at, params, sizeof(params)))
		return false;
	uint64_t start = linux_value(params, CHAIN_LINUX_RAMDISK_IMAGE, CHAIN_LINUX_RAMDISK_IMAGE_HIGH);
	received->module_count = start != 0;
	received->modules[0] = (struct chain_range){ start, start + linux_value(params, CHAIN_LINUX_RAMDISK_SIZE,
										CHAIN_LINUX_RAMDISK_SIZE_HIGH) };
	return reads_args(o, linux_value(params, CHAIN_LINUX_CMD_LINE_PTR, CHAIN_LINUX_CMD_LINE_PTR_HIGH), received) &&
	       reads_map(o, at + CHAIN_LINUX_E820, params[CHAIN_LINUX_E820_COUNT], CHAIN_LINUX_E820_BYTES, received);
}

/* As child_reads_map (plan_child.h) has it. */
static inline bool map_holds(struct oracle *o, const struct received *received)
{
	for (uint64_t at = 0, until; at != UINT64_MAX; at = until) {
		uint32_t want = expect_type(o->w, at, true, &until), got = 0;
		for (size_t i = 0; i < received->map_count; i++) {
			struct chain_range range = received->map[i].range;
			got = at >= range.base && at < range.end ? received->map[i].type : got;
			expect_bound(at, range.base, &until);
			expect_bound(at, range.end, &until);
		}
		if (got != want)
			return oracle_wrong(o, "0x%llx has type %u, not %u", ORACLE_LL(at), got, want);
	}
	return true;
}

/* Modules in the order the kernel should see; the handoff's blob is null where it is an archive. */
static inline size_t list_items(const struct world *w, bool archive, const struct chain_blob *items[ITEMS_MAX])
{
	const struct chain_plan_request *r = &w->request;
	size_t count = 0;
	if (r->handoff.bytes_count && r->handoff_at == CHAIN_HANDOFF_FIRST)
		items[count++] = archive ? NULL : &r->handoff;
	for (size_t i = 0; i < r->module_count; i++)
		items[count++] = &r->modules[i].blob;
	if (r->handoff.bytes_count && r->handoff_at == CHAIN_HANDOFF_LAST)
		items[count++] = archive ? NULL : &r->handoff;
	return count;
}

static inline bool item_holds(struct oracle *o, const struct chain_blob *blob, uint64_t at, uint64_t bytes)
{
	uint8_t magic[6] = "";
	if (blob)
		return blob->bytes_count == bytes && oracle_blob_lies(o, blob, 0, bytes, at);
	return memory_read(&o->memory, at, magic, sizeof(magic)) && !memcmp(magic, "070701", sizeof(magic)) &&
	       o->plan->handoff.base == at + chain_initrd_text_at();
}

static inline bool items_hold(struct bench *b, const struct received *received)
{
	struct oracle *o = &b->oracle;
	const struct chain_blob *items[ITEMS_MAX];
	bool joined = !strcmp(b->made.door, "linux");
	size_t count = list_items(&b->world, joined, items);
	uint64_t at = received->modules[0].base;
	if (!joined && received->module_count != count)
		return oracle_wrong(o, "%zu modules, not %zu", received->module_count, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes =
			items[i] ? items[i]->bytes_count : chain_initrd_bytes(b->world.request.handoff.bytes_count);
		if (!joined && chain_range_bytes(received->modules[i]) != bytes)
			return oracle_wrong(o, "module %zu has another size", i);
		if (!item_holds(o, items[i], joined ? at : received->modules[i].base, bytes))
			return oracle_wrong(o, "module %zu lacks its bytes", i);
		at += bytes;
		uint64_t pad = i + 1 < count ? -bytes % 4 : 0;
		if (joined && !memory_holds(&o->memory, at, pad, MEMORY_ZERO, at))
			return oracle_wrong(o, "what follows module %zu is not zero", i);
		at += pad;
	}
	for (size_t i = 0; i < received->module_count; i++)
		if (received->modules[i].end > b->made.limit ||
		    (chain_range_bytes(received->modules[i]) &&
		     !expect_available(o->w, received->modules[i].base, received->modules[i].end, true)))
			return oracle_wrong(o, "module %zu ends at 0x%llx", i, ORACLE_LL(received->modules[i].end));
	return !joined || received->modules[0].end == (count ? at : 0) || oracle_wrong(o, "an initrd of another size");
}

static inline bool doors_judge(struct bench *b, const struct chain_plan *plan)
{
	struct oracle *o = &b->oracle;
	struct received received = { .module_count = 0 };
	if (!carry_out(b, plan) || !claims_hold(b) || !kernel_holds(b))
		return false;
	bool read = !strcmp(b->made.door, "linux") ? read_linux(o, &received) :
		    !strcmp(b->made.door, "pvh")   ? read_pvh(o, &received) :
						     read_multiboot2(o, &received);
	if (!read || strcmp(received.args, b->world.request.args) != 0)
		return oracle_wrong(o, "other arguments");
	return map_holds(o, &received) && items_hold(b, &received);
}

/* --- refusals --- */

/* Whether there is a hole that takes everything, clear of all that lies anywhere. */
static inline bool has_ample_room(struct bench *b)
{
	struct oracle *o = &b->oracle;
	const struct world *w = &b->world;
	const struct made *m = &b->made;
	struct chain_range hole;
	uint64_t bytes = 3 * (m->memory_bytes + m->align) + FIRST_MIB;
	o->w = w;
	o->busy_count = 0;
	oracle_busy(o, w->info.image.base, w->info.image.end);
	oracle_busy(o, w->request.fs.base, w->request.fs.end);
	oracle_busy(o, m->load, m->load + m->memory_bytes);
	oracle_busy_blob(o, &w->request.kernel);
	oracle_busy_blob(o, &w->request.handoff);
	for (size_t i = 0; i < w->info.module_count; i++)
		oracle_busy(o, w->info.modules[i].range.base, w->info.modules[i].range.end);
	for (size_t i = 0; i < w->in_use.count; i++)
		oracle_busy(o, w->in_use.v[i].range.base, w->in_use.v[i].range.end);
	for (size_t i = 0; i < w->request.module_count; i++) {
		oracle_busy_blob(o, &w->modules[i].blob);
		bytes += 3 * (w->modules[i].blob.bytes_count + 4096);
	}
	uint64_t low = m->movable && m->within.base > FIRST_MIB ? m->within.base : FIRST_MIB,
		 end = m->movable && m->within.end < m->limit ? m->within.end : m->limit;
	for (uint64_t at = low; oracle_next_hole(o, at, end, &hole); at = hole.end)
		if (chain_range_bytes(hole) >= bytes)
			return true;
	return false;
}

/* False: there was no reason to refuse it so. */
static inline bool doors_refused(struct bench *b, enum chain_status status)
{
	const struct made *m = &b->made;
	const struct chain_range fs = b->world.request.fs;
	uint64_t end = m->load + m->memory_bytes;
	bool lies = m->load >= 0x1000 && expect_available(&b->world, m->load, end, false) &&
		    !(b->world.request.fs_keep && expect_meet(m->load, end, fs.base, fs.end));
	b->refused++;
	b->oracle.why[0] = '\0';
	if (status == CHAIN_E_NO_SPACE) {
		b->full++;
		if ((lies || m->movable) && has_ample_room(b))
			return oracle_wrong(&b->oracle, "no space, but there is ample");
	} else if (lies || m->movable) {
		return oracle_wrong(&b->oracle, "%s", chain_status_slug(status));
	}
	return true;
}

#endif
