/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where a root lies that the kernel uses in place. */
#include "plan_internal.h"

enum { CLAIMS = CHAIN_SEGMENTS_MAX + 2 };

static bool is_available(const struct chain_bootinfo *info, struct chain_range range)
{
	uint64_t at = range.base;
	for (size_t i = 0; i < info->mem_count && at < range.end; i++) {
		const struct chain_mem_entry *entry = &info->mem[i];
		if (entry->type == CHAIN_MEM_AVAILABLE && entry->range.base <= at && at < entry->range.end)
			at = entry->range.end;
	}
	return at >= range.end;
}

/* Whether it can stay where it is. */
static bool stays(const struct chain_plan_request *request, const struct chain_claims *kernel,
		  struct chain_range *range)
{
	uint64_t phys = request->root.phys;
	return phys != CHAIN_PHYS_UNKNOWN && phys % CHAIN_ROOT_ALIGN == 0 &&
	       !chain_range_make(phys, chain_range_bytes(*range), NULL, range, NULL) &&
	       range->end <= CHAIN_MEMORY_END && is_available(request->bootinfo, *range) &&
	       !chain_claims_overlap(kernel, *range);
}

/* Without what the running side still reads where there is a choice: that costs no detours. */
static enum chain_status find(const struct chain_plan_request *request, const struct chain_claims *kernel,
			      struct chain_range *io, struct chain_error *err)
{
	const struct chain_bootinfo *info = request->bootinfo;
	const struct chain_claim image = { info->image, CHAIN_OWNER_STAGE, 0 };
	const struct chain_claims busy = { (struct chain_claim *)(uintptr_t)&image, 1, 1 };
	const struct chain_find want = { .bytes = chain_range_bytes(*io),
					 .align = CHAIN_ROOT_ALIGN,
					 .within = { CHAIN_ROOT_ALIGN, CHAIN_MEMORY_END },
					 .top_down = true };
	enum chain_status status =
		chain_claims_find(kernel, &busy, info->mem, info->mem_count, &want, NULL, &io->base, NULL);
	if (status)
		status = chain_claims_find(kernel, NULL, info->mem, info->mem_count, &want, request->subject, &io->base,
					   err);
	io->end = io->base + want.bytes;
	return status;
}

enum chain_status chain_plan_place_root(const struct chain_plan_request *request, struct chain_range *out,
					struct chain_error *err)
{
	struct chain_kernel kernel = { 0 };
	struct chain_claim storage[CLAIMS];
	struct chain_claims claims;
	chain_claims_init(&claims, storage, CLAIMS);
	enum chain_status status = request->piece_count ?
					   CHAIN_OK :
					   request->door->read(request->kernel.bytes, request->kernel.bytes_count,
							       request->subject, &kernel, err);
	for (uint32_t i = 0; !status && !kernel.movable && i < kernel.segment_count; i++)
		status = chain_claims_add(&claims, kernel.segments[i].phys, CHAIN_OWNER_KERNEL, i, err);
	*out = (struct chain_range){ 0, 0 };
	if (!status && !chain_align_up(request->root.bytes_count, CHAIN_ROOT_ALIGN, &out->end))
		status = CHAIN_FAIL(err, LIMIT, .subject = request->subject, .detail = "bytes of root",
				    .value = request->root.bytes_count, .limit = CHAIN_MEMORY_END);
	if (status || stays(request, &claims, out))
		return status;
	*out = (struct chain_range){ 0, chain_range_bytes(*out) };
	return find(request, &claims, out, err);
}
