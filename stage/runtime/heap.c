/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Pages for the C library: a list of stretches of memory, each with a bitmap of its pages in front. musl asks for many
 * small pieces; taking each from the claims would fill their list. */

#include "stage/boot.h"
#include "stage/bulk.h"
#include "stage/pages.h"
#include "stage/runtime.h"

#include <string.h>

enum { STRETCH_BYTES = 1024 * 1024, WORD_BITS = 64 };

struct stretch {
	struct stretch *next;
	uint64_t bytes; /* header included */
	uint64_t pages; /* that can be handed out */
	uint8_t *first;
	uint64_t touched; /* pages from this one on are zero: nobody has had them yet */
	bool claimed;     /* goes back to the claims when empty */
	uint64_t used[];  /* one bit a page */
};

static struct stretch *stretches;

static uint64_t header_bytes(uint64_t bytes)
{
	uint64_t words = bytes / STAGE_PAGE / WORD_BITS + 1;
	return (sizeof(struct stretch) + words * sizeof(uint64_t) + STAGE_PAGE - 1) & ~(uint64_t)(STAGE_PAGE - 1);
}

static bool is_used(const struct stretch *s, uint64_t page)
{
	return s->used[page / WORD_BITS] >> (page % WORD_BITS) & 1;
}

static void mark(struct stretch *s, uint64_t page, uint64_t count, bool used)
{
	for (uint64_t i = page; i < page + count; i++) {
		uint64_t bit = (uint64_t)1 << (i % WORD_BITS);
		s->used[i / WORD_BITS] = used ? s->used[i / WORD_BITS] | bit : s->used[i / WORD_BITS] & ~bit;
	}
}

static struct stretch *add(void *virt, uint64_t bytes, bool zero, bool claimed)
{
	uint64_t header = header_bytes(bytes);
	if (bytes <= header)
		return NULL;
	struct stretch *s = virt;
	uint64_t pages = (bytes - header) / STAGE_PAGE;
	if (!zero)
		stage_zero(s, header);
	*s = (struct stretch){ .next = stretches,
			       .bytes = bytes,
			       .pages = pages,
			       .first = (uint8_t *)virt + header,
			       .touched = zero ? 0 : pages,
			       .claimed = claimed };
	stretches = s;
	return s;
}

void stage_heap_add(void *virt, uint64_t bytes, bool zero)
{
	add(virt, bytes, zero, false);
}

static void *zeroed(struct stretch *s, uint64_t first, uint64_t pages)
{
	uint8_t *got = s->first + first * STAGE_PAGE;
	if (first < s->touched)
		stage_zero(got, (first + pages < s->touched ? pages : s->touched - first) * STAGE_PAGE);
	if (first + pages > s->touched)
		s->touched = first + pages;
	return got;
}

/* The first run of free pages; whole words of used ones are passed over at once. */
static void *take(struct stretch *s, uint64_t pages)
{
	uint64_t run = 0;
	for (uint64_t i = 0; i < s->pages; i++) {
		if (i % WORD_BITS == 0 && s->used[i / WORD_BITS] == UINT64_MAX) {
			run = 0;
			i += WORD_BITS - 1;
			continue;
		}
		run = is_used(s, i) ? 0 : run + 1;
		if (run < pages)
			continue;
		uint64_t first = i + 1 - pages;
		mark(s, first, pages, true);
		return zeroed(s, first, pages);
	}
	return NULL;
}

static struct stretch *grow(uint64_t bytes)
{
	/* The header's own pages have bits in it as well. */
	uint64_t least = bytes + header_bytes(bytes + header_bytes(bytes)),
		 got = least > STRETCH_BYTES ? least : STRETCH_BYTES;
	void *virt = stage_boot.face->more_heap(least, &got);
	return virt ? add(virt, got, stage_boot.call->heap_is_zero, stage_boot.face->owns_machine) : NULL;
}

void *stage_heap_map(uint64_t bytes)
{
	uint64_t whole;
	if (!bytes || bytes > UINT64_MAX / 2 || !chain_align_up(bytes, STAGE_PAGE, &whole))
		return NULL;
	for (struct stretch *s = stretches; s; s = s->next) {
		void *got = take(s, whole / STAGE_PAGE);
		if (got)
			return got;
	}
	struct stretch *s = grow(whole);
	return s ? take(s, whole / STAGE_PAGE) : NULL;
}

static bool is_empty(const struct stretch *s)
{
	for (uint64_t i = 0; i < (s->pages + WORD_BITS - 1) / WORD_BITS; i++)
		if (s->used[i])
			return false;
	return true;
}

bool stage_heap_unmap(void *virt, uint64_t bytes)
{
	uint64_t v = (uint64_t)virt, pages = bytes / STAGE_PAGE + (bytes % STAGE_PAGE != 0);
	if (!pages || v % STAGE_PAGE)
		return false;
	for (struct stretch **link = &stretches; *link; link = &(*link)->next) {
		struct stretch *s = *link;
		uint64_t first = (uint64_t)s->first;
		if (v < first || (v - first) / STAGE_PAGE >= s->pages || pages > s->pages - (v - first) / STAGE_PAGE)
			continue;
		mark(s, (v - first) / STAGE_PAGE, pages, false);
		if (s->claimed && s->bytes > STRETCH_BYTES && is_empty(s)) {
			*link = s->next;
			stage_pages_free(stage_virt_to_phys(s), s->bytes);
		}
		return true;
	}
	return false;
}
