/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "segments.h"

#include "entry_layout.h"
#include "map.h"
#include "stage/commit/commit_params.h"

#include <stdlib.h>
#include <string.h>

/* The trampoline's segment: the first page with the way into it, its parameters and its code; moves; bytes that these
 * take to where pages are shared; from the next page on, its page tables. */
struct layout {
	const struct chain_plan *plan;
	uint64_t least;   /* a move of so many whole pages' bytes becomes a segment */
	uint64_t carried; /* bytes that the trampoline moves */
	size_t moves, segments;
};

/* The whole pages of a move that become a segment; empty: it is carried. */
static struct chain_range whole_pages(const struct layout *layout, const struct chain_move *move)
{
	struct chain_range pages = { 0, chain_align_down(move->dest.end, NEXT_PAGE) };
	if (move->kind != CHAIN_MOVE_COPY || !chain_align_up(move->dest.base, NEXT_PAGE, &pages.base) ||
	    pages.base >= pages.end || chain_range_bytes(pages) < layout->least)
		return (struct chain_range){ move->dest.base, move->dest.base };
	return pages;
}

/* What of a move is before the pages, and what behind. */
static void rest_of(const struct chain_move *move, struct chain_range pages, struct chain_range out[2])
{
	bool none = pages.base == pages.end;
	out[0] = (struct chain_range){ move->dest.base, none ? move->dest.end : pages.base };
	out[1] = (struct chain_range){ none ? move->dest.end : pages.end, move->dest.end };
}

static void count(struct layout *layout)
{
	layout->carried = layout->moves = layout->segments = 0;
	for (size_t i = 0; i < layout->plan->move_count; i++) {
		const struct chain_move *move = &layout->plan->moves[i];
		struct chain_range pages = whole_pages(layout, move), rest[2];
		rest_of(move, pages, rest);
		layout->segments += pages.base != pages.end;
		for (size_t k = 0; k < 2; k++) {
			uint64_t bytes = chain_range_bytes(rest[k]);
			layout->moves += bytes != 0;
			layout->carried += move->kind == CHAIN_MOVE_COPY ? bytes : 0;
		}
	}
}

/* As few bytes are carried as there are segments for the others. */
static void lay_out(struct layout *layout, const struct chain_plan *plan)
{
	*layout = (struct layout){ .plan = plan, .least = 16 * NEXT_PAGE };
	for (count(layout); layout->segments > NEXT_SEGMENTS_MAX - 1; count(layout))
		layout->least *= 2;
}

/* Without the tables. */
static uint64_t own_bytes(const struct layout *layout)
{
	uint64_t bytes = NEXT_PAGE + layout->moves * sizeof(struct commit_move) + layout->carried;
	return (bytes + NEXT_PAGE - 1) / NEXT_PAGE * NEXT_PAGE; /* destinations of a checked plan: no overflow */
}

static void fill_code(const struct layout *layout, uint64_t phys, uint64_t root_phys, uint8_t *own)
{
	size_t way_bytes = (size_t)(next_entry_end - next_entry),
	       code_bytes = (size_t)(stage_commit_trampoline_end - stage_commit_trampoline);
	struct commit_params *params = (void *)(own + NEXT_ENTRY_PARAMS);
	static_assert(NEXT_ENTRY_PARAMS + COMMIT_BYTES < NEXT_PAGE, "the first page has room");
	memcpy(own, next_entry, way_bytes);
	memcpy(own + NEXT_ENTRY_ROOT, &root_phys, sizeof(root_phys));
	commit_params_fill(params, &layout->plan->entry, phys + NEXT_ENTRY_PARAMS, phys + NEXT_PAGE, layout->moves);
	memcpy(params + 1, stage_commit_trampoline, code_bytes);
}

static void fill(const struct layout *layout, uint64_t phys, struct next_segments *out)
{
	struct commit_move *moves = (void *)(out->own + NEXT_PAGE);
	uint64_t carried = NEXT_PAGE + layout->moves * sizeof(*moves);
	for (size_t i = 0; i < layout->plan->move_count; i++) {
		const struct chain_move *move = &layout->plan->moves[i];
		struct chain_range pages = whole_pages(layout, move), rest[2];
		rest_of(move, pages, rest);
		if (pages.base != pages.end)
			out->v[out->count++] =
				(struct next_segment){ move->bytes + (pages.base - move->dest.base),
						       chain_range_bytes(pages), pages.base, chain_range_bytes(pages) };
		for (size_t k = 0; k < 2; k++) {
			uint64_t bytes = chain_range_bytes(rest[k]);
			bool zero = move->kind == CHAIN_MOVE_ZERO;
			if (!bytes)
				continue;
			*moves++ = (struct commit_move){ rest[k].base, zero ? 0 : phys + carried, bytes, zero };
			if (zero)
				continue;
			memcpy(out->own + carried, move->bytes + (rest[k].base - move->dest.base), bytes);
			carried += bytes;
		}
	}
}

enum chain_status next_segments_make(const struct chain_plan *plan, const struct chain_bootinfo *info,
				     struct next_segments *out, struct chain_error *err)
{
	struct layout layout;
	uint64_t phys;
	*out = (struct next_segments){ .count = 0 };
	lay_out(&layout, plan);
	uint64_t tables_at = own_bytes(&layout), bytes = tables_at + next_map_bytes(plan, tables_at);
	enum chain_status status = chain_plan_find_trampoline(plan, info, NULL, bytes, &phys, err);
	if (status)
		return status;
	out->own = calloc(1, bytes);
	if (!out->own)
		return chain_fail_no_memory(err, "the code that starts it", bytes);
	fill_code(&layout, phys, phys + tables_at, out->own);
	next_map_build(plan, (struct chain_range){ phys, phys + bytes }, phys + tables_at, out->own + tables_at);
	fill(&layout, phys, out);
	out->v[out->count++] = (struct next_segment){ out->own, bytes, phys, bytes };
	out->entry = phys;
	for (size_t i = 0; i < out->count; i++)
		out->total_bytes += out->v[i].memory_bytes;
	return CHAIN_OK;
}

void next_segments_free(struct next_segments *segments)
{
	free(segments->own);
	*segments = (struct next_segments){ .count = 0 };
}
