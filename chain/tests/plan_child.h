/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the last part of the oracle: reading memory as the child finds it at its entry (Multiboot 0.6.96 section
 * 3.3), and the verdict on a whole world.
 * Must not know: how the planner decides. */
#ifndef CHAIN_TESTS_PLAN_CHILD_H
#define CHAIN_TESTS_PLAN_CHILD_H

#include "plan_oracle.h"

/* Whether the text at `phys`, inside the information structure's claim, is `want`. */
static inline bool child_reads_text(struct oracle *o, const char *what, uint64_t phys, const char *want)
{
	char text[2 * WORLD_STRING_MAX];
	size_t bytes = strlen(want) + 1;
	if (phys < o->plan->info.base || phys > o->plan->info.end || bytes > o->plan->info.end - phys ||
	    !memory_read(&o->memory, phys, text, bytes) || memcmp(text, want, bytes))
		return oracle_wrong(o, "the child does not find its %s", what);
	return true;
}

static inline bool child_reads_map(struct oracle *o, const struct multiboot_info *info)
{
	enum { ENTRIES_MAX = 2 * (2 * WORLD_MEM_MAX + 1) + 1 };
	struct multiboot_mmap_entry map[ENTRIES_MAX];
	size_t count = info->mmap_length / sizeof(map[0]);
	if (info->mmap_length % sizeof(map[0]) || count > ENTRIES_MAX ||
	    !memory_read(&o->memory, info->mmap_addr, map, info->mmap_length))
		return oracle_wrong(o, "a memory map of %u bytes", info->mmap_length);
	for (size_t i = 0; i < count; i++)
		if (map[i].size != 20 || map[i].len > UINT64_MAX - map[i].addr)
			return oracle_wrong(o, "entry %zu of the memory map", i);
	/* Walk through the address space, from one bound of either map to the next. */
	for (uint64_t at = 0, until; at != UINT64_MAX; at = until) {
		uint32_t want = expect_type(o->w, at, true, &until), got = 0;
		unsigned covered = 0;
		for (size_t i = 0; i < count; i++) {
			bool in = at >= map[i].addr && at - map[i].addr < map[i].len;
			covered += in;
			got = in ? map[i].type : got;
			expect_bound(at, map[i].addr, &until);
			expect_bound(at, map[i].addr + map[i].len, &until);
		}
		if (covered > 1 || got != want)
			return oracle_wrong(o, "0x%llx has type %u in the child's map, not %u", ORACLE_LL(at), got,
					    want);
	}
	return true;
}

/* KiB of available memory from `base` on without a hole, of `limit` at most. */
static inline uint32_t child_contiguous(const struct oracle *o, uint64_t base, uint64_t limit)
{
	uint64_t at = base, until;
	while (at < limit && expect_type(o->w, at, true, &until) == CHAIN_MEM_AVAILABLE)
		at = until;
	return (uint32_t)(((at < limit ? at : limit) - base) / 1024);
}

static inline bool child_finds_module(struct oracle *o, const struct expect_item *item,
				      const struct multiboot_mod_list *module, size_t index)
{
	const struct chain_blob *blob = item->blob;
	const struct chain_range *handoff = &o->plan->handoff;
	if (module->mod_end < module->mod_start || module->mod_end - module->mod_start != blob->bytes_count ||
	    module->pad)
		return oracle_wrong(o, "module %zu lies at 0x%x to 0x%x", index, module->mod_start, module->mod_end);
	if (item->stays ? module->mod_start != blob->phys : blob->bytes_count && module->mod_start < 0x100000)
		return oracle_wrong(o, "module %zu was %s", index, item->stays ? "moved" : "put below 1 MiB");
	if ((item->aligned || !item->stays) && module->mod_start % 4096)
		return oracle_wrong(o, "module %zu lies at no page: 0x%x", index, module->mod_start);
	if (!expect_available(o->w, module->mod_start, module->mod_end, true) ||
	    !oracle_blob_lies(o, blob, 0, blob->bytes_count, module->mod_start))
		return oracle_wrong(o, "module %zu lacks its bytes", index);
	if (!oracle_is_claimed(o, module->mod_start, module->mod_end, item->owner, item->tag))
		return oracle_wrong(o, "module %zu is not claimed", index);
	if (item->owner == CHAIN_OWNER_HANDOFF &&
	    (handoff->base != module->mod_start || handoff->end != module->mod_end))
		return oracle_wrong(o, "the handoff is said to lie at 0x%llx", ORACLE_LL(handoff->base));
	o->stayed += item->stays;
	return child_reads_text(o, "module's string", module->cmdline, item->string);
}

static inline bool child_reads_modules(struct oracle *o, const struct multiboot_info *info)
{
	const struct expect *e = &o->expect;
	struct multiboot_mod_list modules[WORLD_MODULES_MAX + 1];
	size_t count = info->flags & MULTIBOOT_INFO_MODS ? info->mods_count : 0;
	if (count != e->item_count || !memory_read(&o->memory, info->mods_addr, modules, count * sizeof(modules[0])))
		return oracle_wrong(o, "%zu modules, not %zu", count, e->item_count);
	for (size_t i = 0; i < count; i++)
		if (!child_finds_module(o, &e->items[i], &modules[i], i))
			return false;
	return expect_has_handoff(o->w) || o->plan->handoff.base == o->plan->handoff.end ||
	       oracle_wrong(o, "a handoff of nothing");
}

static inline bool child_reads_framebuffer(struct oracle *o, const struct multiboot_info *info)
{
	const struct chain_framebuffer *fb = &o->w->info.framebuffer;
	bool has = info->flags & MULTIBOOT_INFO_FRAMEBUFFER_INFO;
	if (has != (fb->phys != 0) ||
	    (has && (info->framebuffer_addr != fb->phys || info->framebuffer_pitch != fb->pitch_bytes ||
		     info->framebuffer_width != fb->width || info->framebuffer_height != fb->height ||
		     info->framebuffer_bpp != fb->bpp || info->framebuffer_type != fb->type ||
		     memcmp((const uint8_t *)info + CHAIN_MB1_COLORS_AT, fb->colors, sizeof(fb->colors)) != 0)))
		return oracle_wrong(o, "another framebuffer");
	return true;
}

static inline bool child_reads_info(struct oracle *o)
{
	const struct chain_plan *plan = o->plan;
	uint64_t rbx = plan->entry.registers[CHAIN_RBX];
	struct multiboot_info info;
	if (rbx != plan->info.base || rbx % 4096 || rbx < 0x100000 ||
	    !oracle_is_claimed(o, plan->info.base, plan->info.end, CHAIN_OWNER_BOOT_INFO, 0) ||
	    !memory_read(&o->memory, rbx, &info, sizeof(info)))
		return oracle_wrong(o, "the information structure at 0x%llx", ORACLE_LL(rbx));
	uint32_t known = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MEM_MAP |
			 MULTIBOOT_INFO_BOOT_LOADER_NAME | MULTIBOOT_INFO_FRAMEBUFFER_INFO,
		 must = known & ~(uint32_t)(MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_FRAMEBUFFER_INFO);
	if (info.flags & ~known || (info.flags & must) != must)
		return oracle_wrong(o, "the information structure has flags 0x%x", info.flags);
	if (info.mem_lower != child_contiguous(o, 0, 640 * 1024) ||
	    info.mem_upper != child_contiguous(o, 1 << 20, WORLD_4G))
		return oracle_wrong(o, "%u KiB of lower and %u KiB of upper memory", info.mem_lower, info.mem_upper);
	return child_reads_text(o, "command line", info.cmdline, o->w->request.args) &&
	       child_reads_text(o, "loader's name", info.boot_loader_name, o->w->request.loader_name) &&
	       child_reads_map(o, &info) && child_reads_modules(o, &info) && child_reads_framebuffer(o, &info);
}

/* What must come to pass in all: the kernel's bytes, the modules', the information structure's are copied, or lie in
 * place. */
static inline bool oracle_check_totals(struct oracle *o)
{
	uint64_t bytes = o->plan->made_bytes;
	for (size_t i = 0; i < o->expect.segment_count; i++)
		bytes += o->expect.segments[i].file_bytes;
	for (size_t i = 0; i < o->expect.item_count; i++)
		bytes += o->expect.items[i].blob->bytes_count;
	return bytes == o->plan->bytes_copied + o->plan->bytes_in_place ||
	       oracle_wrong(o, "bytes in place are not as counted");
}

static inline bool oracle_judge_plan(struct oracle *o)
{
	for (size_t i = 0; i < CHAIN_STATUS_COUNT; i++)
		if (o->expect.fault[i])
			return oracle_wrong(o, "accepted in spite of %s", chain_status_slug((enum chain_status)i));
	return oracle_carry_out(o) && oracle_check_kernel(o) && oracle_check_claims(o) && child_reads_info(o) &&
	       oracle_check_totals(o) && oracle_check_trampoline(o);
}

/* The verdict on one world and what the planner said of it (`plan` counts only with CHAIN_OK). False: `why` says
 * what is wrong. */
static inline bool oracle_judge(struct oracle *o, const struct world *w, enum chain_status status,
				const struct chain_error *err, const struct chain_plan *plan)
{
	o->w = w;
	o->plan = plan;
	o->why[0] = '\0';
	expect_make(&o->expect, w);
	if (status)
		return oracle_judge_refusal(o, status, err);
	o->planned++;
	return oracle_judge_plan(o);
}

#endif
