/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "plan_internal.h"

#include <stdio.h>

/* Whether all of `range` is available in the map the kernel will be given. */
static bool is_available(const struct chain_plan *plan, struct chain_range range)
{
	uint64_t at = range.base;
	for (size_t i = 0; i < plan->mem_count && at < range.end; i++) {
		const struct chain_mem_entry *entry = &plan->mem[i];
		if (entry->type == CHAIN_MEM_AVAILABLE && entry->range.base <= at && at < entry->range.end)
			at = entry->range.end;
	}
	return at >= range.end;
}

static enum chain_status check_segment(const struct plan_build *build, uint32_t index)
{
	const struct chain_plan_request *request = build->request;
	struct chain_range range = build->kernel.segments[index].phys;
	const char *what = chain_owner_name(CHAIN_OWNER_KERNEL);
	if (range.base < PLAN_PAGE)
		return CHAIN_FAIL(build->err, PLAN_FIRST_PAGE, .subject = request->subject, .detail = what,
				  .index = index, .base = range.base, .end = range.end, .limit = PLAN_PAGE);
	if (request->fs_keep && chain_range_overlaps(range, request->fs))
		return CHAIN_FAIL(build->err, PLAN_ON_FS, .subject = request->subject, .detail = what, .index = index,
				  .base = range.base, .end = range.end);
	if (!is_available(build->plan, range))
		return CHAIN_FAIL(build->err, PLAN_OUTSIDE_MEMORY, .subject = request->subject, .detail = what,
				  .index = index, .base = range.base, .end = range.end);
	return CHAIN_OK;
}

static struct chain_range extent_of(const struct chain_kernel *kernel)
{
	struct chain_range all = kernel->segments[0].phys;
	for (size_t i = 1; i < kernel->segment_count; i++) {
		struct chain_range range = kernel->segments[i].phys;
		all.base = range.base < all.base ? range.base : all.base;
		all.end = range.end > all.end ? range.end : all.end;
	}
	return all;
}

/* Whether the kernel can lie where it was linked or prefers to lie. */
static bool fits_as_it_is(const struct plan_build *build)
{
	const struct chain_kernel *kernel = &build->kernel;
	for (size_t i = 0; i < kernel->segment_count; i++)
		if (kernel->segments[i].phys.base < PLAN_LOW_END ||
		    !is_available(build->plan, kernel->segments[i].phys) ||
		    (build->request->fs_keep && chain_range_overlaps(kernel->segments[i].phys, build->request->fs)))
			return false;
	return chain_range_contains(kernel->move_within, extent_of(kernel));
}

/* Moves all segments by one distance, up or down, to a place that the kernel allows. */
static enum chain_status move_kernel(struct plan_build *build)
{
	struct chain_kernel *kernel = &build->kernel;
	const struct chain_claim kept = { build->request->fs, CHAIN_OWNER_FS, 0 };
	const struct chain_claims fs = { (struct chain_claim *)(uintptr_t)&kept, build->request->fs_keep, 1 };
	struct chain_range extent = extent_of(kernel);
	struct chain_find want = { .bytes = chain_range_bytes(extent),
				   .align = kernel->move_align,
				   .within = kernel->move_within,
				   .top_down = kernel->move_high };
	uint64_t base = 0;
	if (!kernel->movable || fits_as_it_is(build))
		return CHAIN_OK;
	if (want.within.base < PLAN_LOW_END)
		want.within.base = PLAN_LOW_END;
	enum chain_status status = chain_claims_find(&fs, &build->avoid, build->plan->mem, build->plan->mem_count,
						     &want, NULL, &base, NULL);
	if (status)
		status = chain_claims_find(&fs, NULL, build->plan->mem, build->plan->mem_count, &want,
					   build->request->subject, &base, build->err);
	if (status)
		return status;
	uint64_t by = base - extent.base;
	for (size_t i = 0; i < kernel->segment_count; i++) {
		kernel->segments[i].phys.base += by;
		kernel->segments[i].phys.end += by;
	}
	kernel->entry += by;
	return CHAIN_OK;
}

enum chain_status plan_place_kernel(struct plan_build *build)
{
	enum chain_status moved = move_kernel(build);
	if (moved)
		return moved;
	for (uint32_t i = 0; i < build->kernel.segment_count; i++) {
		struct chain_range range = build->kernel.segments[i].phys;
		enum chain_status status = check_segment(build, i);
		if (!status)
			status = chain_claims_add(&build->plan->claims, range, CHAIN_OWNER_KERNEL, i, build->err);
		if (status)
			return status;
		if (range.end > build->kernel_end)
			build->kernel_end = range.end;
	}
	return CHAIN_OK;
}

/* Whether any of an item and those that join it is read to its place before anything is moved. */
static bool is_filled(const struct plan_build *build, const struct plan_item *first)
{
	bool filled = first->stream;
	for (const struct plan_item *item = first + 1; item <= build->items + build->item_count && item->joined; item++)
		filled |= item->stream != NULL;
	return filled;
}

/* A page-aligned place for an item, or CHAIN_E_NO_SPACE in `last`. Addresses end where the kernel can reach. */
static uint64_t find_place(const struct plan_build *build, uint64_t bytes, bool filled, bool tightest,
			   struct chain_error *last)
{
	/* Above the kernel if at all possible, since kernels take what follows them for the first free memory; and
	 * clear of what the stage still reads, which costs no detours then. */
	uint64_t above = build->kernel_end > PLAN_LOW_END ? build->kernel_end : PLAN_LOW_END, base = 0;
	const struct chain_range within[2] = { { above, build->kernel.limit }, { PLAN_LOW_END, build->kernel.limit } };
	const struct chain_claims *avoid[2] = { filled ? &build->busy : &build->avoid, filled ? &build->busy : NULL };
	const struct chain_plan *plan = build->plan;
	for (size_t i = tightest ? 3 : 0; i < 4; i++) {
		struct chain_find want = {
			.bytes = bytes, .align = PLAN_PAGE, .within = within[i / 2], .tightest = tightest
		};
		chain_error_clear(last);
		if (!chain_claims_find(&plan->claims, avoid[i % 2], plan->mem, plan->mem_count, &want, NULL, &base,
				       last))
			break;
	}
	return base;
}

/* Behind the last item comes the information structure, which joins nobody. */
static uint64_t group_bytes(const struct plan_build *build, const struct plan_item *first)
{
	uint64_t bytes = first->bytes;
	for (const struct plan_item *item = first + 1; item <= build->items + build->item_count && item->joined; item++)
		bytes += item->bytes;
	return bytes;
}

/* Gives an item and those that join it the place that begins at `base`: inside a range, so nothing overflows. */
static enum chain_status put_group(struct plan_build *build, struct plan_item *first, uint64_t base,
				   struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	struct plan_item *item = first;
	do {
		item->range = (struct chain_range){ base, base + item->bytes };
		item->placed = true;
		base = item->range.end;
		status = chain_claims_add(&build->plan->claims, item->range, item->owner, item->tag, err);
		item++;
	} while (!status && item <= build->items + build->item_count && item->joined);
	return status;
}

static enum chain_status place(struct plan_build *build, struct plan_item *item, bool tightest, struct chain_error *err)
{
	struct chain_error last = { 0 };
	uint64_t base = find_place(build, group_bytes(build, item), is_filled(build, item), tightest, &last);
	if (!last.status)
		return put_group(build, item, base, err);
	char what[CHAIN_SUBJECT_BYTES];
	snprintf(what, sizeof(what), "%.200s: %s %u", build->request->subject, chain_owner_name(item->owner),
		 item->tag);
	return chain_fail_again(err, &last, what);
}

/* Whether an item may be used where it lies. */
static bool stays(const struct plan_build *build, const struct plan_item *item)
{
	const struct chain_blob *blob = &item->blob;
	bool aligned = blob->phys % PLAN_PAGE == 0;
	bool must_align = item->movable || build->kernel.align_modules;
	struct chain_range range;
	if (is_filled(build, item) || blob->phys == CHAIN_PHYS_UNKNOWN || (!aligned && must_align) ||
	    blob->phys < PLAN_PAGE || chain_range_make(blob->phys, group_bytes(build, item), NULL, &range, NULL))
		return false;
	return range.end <= build->kernel.limit && is_available(build->plan, range) &&
	       !chain_claims_overlap(&build->plan->claims, range);
}

/* Claims what may be used where it lies. */
static enum chain_status leave_in_place(struct plan_build *build)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < build->item_count; i++) {
		struct plan_item *item = &build->items[i];
		if (item->joined || !item->bytes || !stays(build, item))
			continue;
		status = put_group(build, item, item->blob.phys, build->err);
		for (size_t j = i; j <= build->item_count && (j == i || build->items[j].joined); j++)
			build->items[j].stays = true;
	}
	return status;
}

/* Null when all have a place. The first of equal ones. */
static struct plan_item *largest_unplaced(const struct plan_build *build)
{
	struct plan_item *largest = NULL;
	uint64_t most = 0;
	for (size_t i = 0; i <= build->item_count; i++) {
		struct plan_item *item = &build->items[i];
		uint64_t bytes = item->placed || item->joined ? 0 : group_bytes(build, item);
		if (bytes > most) {
			largest = item;
			most = bytes;
		}
	}
	return largest;
}

/* The largest first: small ones find room in what is left over, while the other way round a large one may find none. */
static enum chain_status place_the_rest(struct plan_build *build, bool tightest, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (struct plan_item *item; !status && (item = largest_unplaced(build)) != NULL;)
		status = place(build, item, tightest, err);
	return status;
}

static enum chain_status take_back(struct plan_build *build)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i <= build->item_count; i++) {
		struct plan_item *item = &build->items[i];
		if (!item->placed || item->stays)
			continue;
		status = chain_claims_remove(&build->plan->claims, item->range, build->err);
		item->placed = false;
	}
	return status;
}

enum chain_status plan_place_items(struct plan_build *build)
{
	struct chain_error why = { 0 };
	enum chain_status status = leave_in_place(build);
	if (status || !place_the_rest(build, false, &why))
		return status;
	status = take_back(build); /* memory is short: once more, without preferences and with nothing wasted */
	return status ? status : place_the_rest(build, true, build->err);
}
