/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what must come of a world (plan_world.h), worked out from how it was made and the specifications, without
 * the library's parsers, ranges or claims: which bytes belong where, the map the kernel should see, and the faults
 * for which it may be refused.
 * Must not know: what the planner did (plan_oracle.h). */
#ifndef CHAIN_TESTS_PLAN_EXPECT_H
#define CHAIN_TESTS_PLAN_EXPECT_H

#include "plan_world.h"

/* A kernel's segment as it should lie in memory. */
struct expect_segment {
	uint64_t base, end, virt, offset, file_bytes;
	const struct chain_blob *blob; /* that has those bytes */
	bool keep_rest;                /* what lies behind them stays as it is */
};

/* A module or the handoff, in the order the kernel should see. */
struct expect_item {
	const struct chain_blob *blob;
	const char *string;
	enum chain_owner owner;
	uint32_t tag;
	bool aligned; /* must lie at a page, wherever */
	bool stays;   /* must be left where it lies */
};

struct expect {
	const struct world *w;
	bool fault[CHAIN_STATUS_COUNT]; /* any of them is a true reason to refuse */
	bool faulty;
	struct expect_segment segments[WORLD_SEGMENTS_MAX];
	size_t segment_count;
	uint64_t entry;
	struct expect_item items[WORLD_MODULES_MAX + 1];
	size_t item_count;
};

static inline bool expect_fault(struct expect *e, bool is, enum chain_status status)
{
	e->fault[status] |= is;
	e->faulty |= is;
	return is;
}

static inline bool expect_meet(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < a_end && b < b_end && a < b_end && b < a_end;
}

/* --- the memory map --- */

static inline void expect_bound(uint64_t at, uint64_t bound, uint64_t *until)
{
	if (bound > at && bound < *until)
		*until = bound;
}

/* The type of memory at `at`, and up to where it is the same at least. What is not available wins, then the higher
 * type; 0 where nobody speaks of it. The kernel is told that a kept filesystem is reserved. */
static inline uint32_t expect_type(const struct world *w, uint64_t at, bool for_kernel, uint64_t *until)
{
	uint32_t type = 0;
	*until = UINT64_MAX;
	for (size_t i = 0; i < w->raw_count; i++) {
		const struct chain_mem_entry *raw = &w->raw[i];
		expect_bound(at, raw->range.base, until);
		expect_bound(at, raw->range.end, until);
		if (at >= raw->range.base && at < raw->range.end &&
		    (!type || type == CHAIN_MEM_AVAILABLE || (raw->type > type && raw->type != CHAIN_MEM_AVAILABLE)))
			type = raw->type;
	}
	if (!for_kernel || !w->request.fs_keep)
		return type;
	expect_bound(at, w->request.fs.base, until);
	expect_bound(at, w->request.fs.end, until);
	bool kept = at >= w->request.fs.base && at < w->request.fs.end;
	return kept && type == CHAIN_MEM_AVAILABLE ? (uint32_t)CHAIN_MEM_RESERVED : type;
}

static inline bool expect_available(const struct world *w, uint64_t base, uint64_t end, bool for_kernel)
{
	for (uint64_t at = base, until; at < end; at = until)
		if (expect_type(w, at, for_kernel, &until) != CHAIN_MEM_AVAILABLE)
			return false;
	return true;
}

/* --- the kernel, by Multiboot 0.6.96 sections 3.1.1 and 3.1.2 and the gABI --- */

static inline bool expect_header(struct expect *e)
{
	const struct world_kernel *k = &e->w->kernel;
	uint64_t area = k->file_bytes < 8192 ? k->file_bytes : 8192;
	bool seen = !k->no_header && k->header_offset % 4 == 0 && k->header_offset + 12 <= area;
	uint64_t need = k->flags & MULTIBOOT_VIDEO_MODE ? 48 : k->flags & MULTIBOOT_AOUT_KLUDGE ? 32 : 12;
	if (!seen)
		return !expect_fault(e, true, k->decoy ? CHAIN_E_MULTIBOOT_BAD_CHECKSUM : CHAIN_E_MULTIBOOT_NO_HEADER);
	if (k->bad_checksum)
		return !expect_fault(e, true, CHAIN_E_MULTIBOOT_BAD_CHECKSUM);
	bool unknown = expect_fault(e, k->flags & 0xfff8, CHAIN_E_MULTIBOOT_UNKNOWN_FLAG);
	bool cut = expect_fault(e, k->header_offset + need > area, CHAIN_E_MULTIBOOT_HEADER_CUT);
	const struct chain_framebuffer *screen = &e->w->info.framebuffer;
	uint32_t mode = 0;
	if (!cut)
		memcpy(&mode, e->w->request.kernel.bytes + k->header_offset + 32,
		       k->flags & MULTIBOOT_VIDEO_MODE ? sizeof(mode) : 0);
	bool other = !screen->phys || (screen->type == CHAIN_FRAMEBUFFER_TEXT) != (mode == 1);
	expect_fault(e, k->flags & MULTIBOOT_VIDEO_MODE && e->w->request.video_required && other,
		     CHAIN_E_PLAN_NO_VIDEO);
	return !unknown && !cut;
}

static inline bool expect_by_address(struct expect *e)
{
	const struct world_kernel *k = &e->w->kernel;
	if (expect_fault(e, k->header_addr < k->load_addr, CHAIN_E_MULTIBOOT_HEADER_ADDR))
		return false;
	uint64_t before = k->header_addr - k->load_addr;
	if (expect_fault(e, before > k->header_offset, CHAIN_E_MULTIBOOT_LOAD_ADDR))
		return false;
	uint64_t offset = k->header_offset - before, bytes = k->file_bytes - offset;
	if (expect_fault(e, k->load_end_addr && k->load_end_addr <= k->load_addr, CHAIN_E_MULTIBOOT_LOAD_END))
		return false;
	if (expect_fault(e, k->load_end_addr && k->load_end_addr - k->load_addr > bytes, CHAIN_E_MULTIBOOT_LOAD_FILE))
		return false;
	if (k->load_end_addr)
		bytes = k->load_end_addr - k->load_addr;
	uint64_t load_end = k->load_addr + bytes, end = k->bss_end_addr ? k->bss_end_addr : load_end;
	if (expect_fault(e, end < load_end, CHAIN_E_MULTIBOOT_BSS_END))
		return false;
	expect_fault(e, k->entry_addr < k->load_addr || k->entry_addr >= end, CHAIN_E_MULTIBOOT_BAD_ENTRY);
	e->entry = k->entry_addr;
	e->segments[e->segment_count++] =
		(struct expect_segment){ k->load_addr, end, k->load_addr, offset, bytes, &e->w->request.kernel, false };
	return true;
}

/* The end of [base, base + bytes) in 128 bits against what addresses of the class can say. */
static inline bool expect_wraps(const struct world_kernel *k, uint64_t base, uint64_t bytes)
{
	unsigned __int128 end = (unsigned __int128)base + bytes;
	return end > (k->form == WORLD_ELF32 ? (unsigned __int128)WORLD_4G : (unsigned __int128)UINT64_MAX);
}

static inline bool expect_elf_segment(struct expect *e, const struct world_segment *s)
{
	const struct world_kernel *k = &e->w->kernel;
	bool bad = expect_fault(e, s->file_bytes > s->memory_bytes, CHAIN_E_ELF_SEGMENT_SIZE);
	bad |= expect_fault(e,
			    s->file_bytes && (s->offset > k->file_bytes || s->file_bytes > k->file_bytes - s->offset),
			    CHAIN_E_ELF_SEGMENT_FILE);
	bad |= expect_fault(e, expect_wraps(k, s->phys, s->memory_bytes), CHAIN_E_ELF_SEGMENT_PHYS_WRAP);
	bad |= expect_fault(e, expect_wraps(k, s->virt, s->memory_bytes), CHAIN_E_ELF_SEGMENT_VIRT_WRAP);
	if (bad)
		return false;
	for (size_t i = 0; i < e->segment_count; i++) {
		const struct expect_segment *other = &e->segments[i];
		bad |= expect_fault(e, expect_meet(s->phys, s->phys + s->memory_bytes, other->base, other->end),
				    CHAIN_E_ELF_SEGMENTS_OVERLAP);
	}
	e->segments[e->segment_count++] =
		(struct expect_segment){ s->phys,       s->phys + s->memory_bytes, s->virt, s->offset,
					 s->file_bytes, &e->w->request.kernel,     false };
	return !bad;
}

/* e_entry is physical where a segment has it physically; else virtual, and in one segment only. */
static inline void expect_elf_entry(struct expect *e)
{
	uint64_t entry = e->w->kernel.entry;
	size_t virtually = 0;
	e->entry = UINT64_MAX;
	for (size_t i = 0; i < e->segment_count; i++)
		if (entry >= e->segments[i].base && entry < e->segments[i].end)
			e->entry = entry;
	for (size_t i = 0; e->entry != entry && i < e->segment_count; i++) {
		const struct expect_segment *s = &e->segments[i];
		if (entry < s->virt || entry - s->virt >= s->end - s->base)
			continue;
		e->entry = s->base + (entry - s->virt);
		virtually++;
	}
	expect_fault(e, e->entry == UINT64_MAX, CHAIN_E_ELF_BAD_ENTRY);
	expect_fault(e, virtually > 1, CHAIN_E_ELF_ENTRY_AMBIGUOUS);
}

static inline bool expect_elf(struct expect *e)
{
	const struct world_kernel *k = &e->w->kernel;
	bool good = true;
	for (size_t i = 0; i < k->segment_count; i++)
		if (k->segments[i].load && (k->segments[i].memory_bytes || k->segments[i].file_bytes))
			good &= expect_elf_segment(e, &k->segments[i]);
	if (!good || expect_fault(e, !e->segment_count, CHAIN_E_ELF_NO_SEGMENTS))
		return false;
	expect_elf_entry(e);
	return true;
}

static inline bool expect_pieces(struct expect *e)
{
	const struct world *w = e->w;
	bool entered = false;
	for (size_t i = 0; i < w->kernel.segment_count; i++) {
		const struct world_segment *s = &w->kernel.segments[i];
		uint64_t end = s->phys + s->memory_bytes;
		for (size_t j = 0; j < i; j++)
			expect_fault(e, expect_meet(s->phys, end, e->segments[j].base, e->segments[j].end),
				     CHAIN_E_CLAIM_OVERLAP);
		entered |= w->kernel.entry >= s->phys && w->kernel.entry < end;
		e->segments[e->segment_count++] = (struct expect_segment){
			s->phys, end, s->phys, 0, s->file_bytes, &w->pieces[i].blob, w->pieces[i].keep_rest
		};
	}
	expect_fault(e, !entered, CHAIN_E_ELF_BAD_ENTRY);
	e->entry = w->kernel.entry;
	return true;
}

static inline bool expect_file(struct expect *e)
{
	return expect_header(e) && (e->w->kernel.form == WORLD_BY_ADDRESS ? expect_by_address(e) : expect_elf(e));
}

static inline void expect_kernel(struct expect *e)
{
	const struct chain_plan_request *r = &e->w->request;
	if (!(r->piece_count ? expect_pieces(e) : expect_file(e)))
		return;
	for (size_t i = 0; i < e->segment_count; i++) {
		const struct expect_segment *s = &e->segments[i];
		if (expect_fault(e, s->end > WORLD_4G, CHAIN_E_KERNEL_ABOVE_4G))
			continue;
		expect_fault(e, s->base < 0x1000, CHAIN_E_PLAN_FIRST_PAGE);
		expect_fault(e, r->fs_keep && expect_meet(s->base, s->end, r->fs.base, r->fs.end), CHAIN_E_PLAN_ON_FS);
		expect_fault(e, !expect_available(e->w, s->base, s->end, false), CHAIN_E_PLAN_OUTSIDE_MEMORY);
	}
}

/* --- modules and handoff --- */

static inline bool expect_has_handoff(const struct world *w)
{
	return w->request.handoff.bytes_count && w->request.handoff_at != CHAIN_HANDOFF_NONE;
}

/* plan.h: what lies at a page boundary (or anywhere, if it need not be moved and the kernel doesn't ask for pages),
 * in available memory below 4 GiB and clear of the kernel and of what stays already, is left there. */
static inline bool expect_stays(const struct expect *e, const struct expect_item *item)
{
	const struct chain_blob *blob = item->blob;
	const struct chain_range fs = e->w->request.fs;
	uint64_t base = blob->phys, end = base + blob->bytes_count;
	if (base == CHAIN_PHYS_UNKNOWN || !blob->bytes_count || end < base || end >= WORLD_4G || base < 0x1000 ||
	    (item->aligned && base % 4096) || !expect_available(e->w, base, end, true))
		return false;
	if (e->w->request.fs_keep && expect_meet(base, end, fs.base, fs.end))
		return false;
	for (size_t i = 0; i < e->segment_count; i++)
		if (expect_meet(base, end, e->segments[i].base, e->segments[i].end))
			return false;
	for (size_t i = 0; i < e->item_count; i++) {
		const struct chain_blob *other = e->items[i].blob;
		if (e->items[i].stays && expect_meet(base, end, other->phys, other->phys + other->bytes_count))
			return false;
	}
	return true;
}

static inline void expect_item(struct expect *e, struct expect_item item, bool movable)
{
	item.aligned = movable || e->w->request.piece_count || e->w->kernel.flags & MULTIBOOT_PAGE_ALIGN;
	item.stays = expect_stays(e, &item);
	e->items[e->item_count++] = item;
}

static inline void expect_handoff(struct expect *e, int at)
{
	const struct chain_plan_request *r = &e->w->request;
	if (r->handoff.bytes_count && (int)r->handoff_at == at)
		expect_item(e,
			    (struct expect_item){
				    .blob = &r->handoff, .string = r->handoff_string, .owner = CHAIN_OWNER_HANDOFF },
			    true);
}

static inline void expect_make(struct expect *e, const struct world *w)
{
	const struct chain_plan_request *r = &w->request;
	*e = (struct expect){ .w = w };
	expect_fault(e,
		     !r->args || !r->loader_name || r->fs.base > r->fs.end ||
			     (expect_has_handoff(w) && !r->handoff_string),
		     CHAIN_E_PLAN_BAD_REQUEST);
	expect_kernel(e);
	expect_handoff(e, CHAIN_HANDOFF_FIRST);
	for (uint32_t i = 0; i < r->module_count; i++)
		expect_item(e,
			    (struct expect_item){ .blob = &r->modules[i].blob,
						  .string = r->modules[i].string,
						  .owner = CHAIN_OWNER_MODULE,
						  .tag = i },
			    r->modules[i].movable);
	expect_handoff(e, CHAIN_HANDOFF_LAST);
}

#endif
