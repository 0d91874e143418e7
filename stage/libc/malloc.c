/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Regions of pages, each cut into blocks without a gap. A block begins with its size and flags; when it is free, the
 * links of its bin follow, and its last word repeats the size, so that the block behind finds its start. (Knuth's
 * boundary tags; the bins as in TLSF, M. Masmano and others, 2004.) A region of its own goes back when it is free
 * again; small ones stay. Small blocks are cut one after another from what the last one left over, which is in no bin
 * meanwhile, and goes back to one before a large block is looked for.
 *
 *   region: | bytes | block | block | ... | 0 |        blocks are at 8 modulo 16, what they hold at 0 */

#include "stage/malloc.h"

#include "stage/cpu.h"
#include "stage/runtime.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum {
	UNIT = 16,
	HEAD = 8,
	LEAST = 32, /* bytes of a block */
	FREE = 1,
	PREVIOUS_FREE = 2,
	FIRST = 4,
	PART = 8, /* no block, but a part of a pool, which begins so many bytes before it as its size says */
	FLAGS = 15,
	SMALL = 1024,
	BINS = 192,
	WORD_BITS = 64,
	PAGE = 4096,
	REGION_BYTES = 8 * PAGE,
	RETURNED_BYTES = 32 * PAGE,
};
#define BYTES_MAX ((size_t)1 << 40)

struct block {
	size_t head;
	struct block *next, *previous;
};

static struct block *bins[BINS], *rest; /* null: there is none; its head is a used block's */
static uint64_t filled[BINS / WORD_BITS];

static size_t bytes_of(const struct block *b)
{
	return b->head & ~(size_t)FLAGS;
}
static struct block *at(const void *base, size_t offset)
{
	return (struct block *)((uintptr_t)base + offset);
}
static struct block *behind(const struct block *b)
{
	return at(b, bytes_of(b));
}
static size_t *last_word(const struct block *b)
{
	return (size_t *)((uintptr_t)behind(b) - sizeof(size_t));
}

/* One for each size below SMALL, then four for each power of two. */
static size_t bin_of(size_t bytes)
{
	if (bytes < SMALL)
		return bytes / UNIT;
	size_t power = (size_t)(63 - __builtin_clzll(bytes));
	return SMALL / UNIT + (power - 10) * 4 + (bytes >> (power - 2) & 3);
}

static void put(struct block *b)
{
	size_t bin = bin_of(bytes_of(b));
	b->head |= FREE;
	*last_word(b) = bytes_of(b);
	behind(b)->head |= PREVIOUS_FREE;
	b->previous = NULL;
	b->next = bins[bin];
	if (b->next)
		b->next->previous = b;
	bins[bin] = b;
	filled[bin / WORD_BITS] |= (uint64_t)1 << bin % WORD_BITS;
}

static void take(struct block *b)
{
	size_t bin = bin_of(bytes_of(b));
	if (b->next)
		b->next->previous = b->previous;
	if (b->previous)
		b->previous->next = b->next;
	else
		bins[bin] = b->next;
	if (!bins[bin])
		filled[bin / WORD_BITS] &= ~((uint64_t)1 << bin % WORD_BITS);
	b->head &= ~(size_t)FREE;
	behind(b)->head &= ~(size_t)PREVIOUS_FREE;
}

/* A used block becomes a free one, one with its free neighbours. */
static void release(struct block *b)
{
	struct block *next = behind(b);
	if (next == rest) {
		b->head += bytes_of(next);
		rest = b;
		return;
	}
	if (next->head & FREE) {
		take(next);
		b->head += bytes_of(next);
	}
	if (b->head & PREVIOUS_FREE) {
		struct block *previous = at(b, 0 - *(size_t *)((uintptr_t)b - sizeof(size_t)));
		take(previous);
		previous->head += bytes_of(b);
		b = previous;
	}
	size_t region = bytes_of(b) + UNIT;
	if (!(b->head & FIRST) || bytes_of(behind(b)) || region < RETURNED_BYTES ||
	    !stage_heap_unmap(at(b, 0 - (size_t)HEAD), region))
		put(b);
}

/* Gives back what a used block has more than `bytes`. */
static void shrink(struct block *b, size_t bytes)
{
	size_t more = bytes_of(b) - bytes;
	if (more < LEAST)
		return;
	b->head -= more;
	behind(b)->head = more;
	release(behind(b));
}

static void put_rest_back(void)
{
	struct block *b = rest;
	rest = NULL;
	if (b)
		release(b);
}

/* The first `bytes` of what is left over; some of it stays. */
static struct block *cut(size_t bytes)
{
	struct block *b = rest;
	rest = at(b, bytes);
	rest->head = bytes_of(b) - bytes;
	b->head = bytes | (b->head & FLAGS);
	return b;
}

static struct block *grow(size_t bytes)
{
	size_t whole = (bytes + UNIT + PAGE - 1) & ~(size_t)(PAGE - 1);
	size_t want = whole < REGION_BYTES ? REGION_BYTES : whole;
	size_t *region = stage_heap_map(want);
	if (!region && want > whole)
		region = stage_heap_map(want = whole);
	if (!region)
		return NULL;
	struct block *b = at(region, HEAD);
	*region = want;
	b->head = (want - UNIT) | FIRST;
	behind(b)->head = 0;
	put(b);
	return b;
}

/* A free block of at least that size: of the same bin, then of the next one that has any. */
static struct block *find(size_t bytes)
{
	size_t bin = bin_of(bytes);
	for (struct block *b = bins[bin]; b; b = b->next)
		if (bytes_of(b) >= bytes)
			return b;
	for (size_t from = bin + 1; from < BINS; from = (from / WORD_BITS + 1) * WORD_BITS) {
		uint64_t word = filled[from / WORD_BITS] >> from % WORD_BITS;
		if (word)
			return bins[from + (size_t)__builtin_ctzll(word)];
	}
	return grow(bytes);
}

/* Bytes of a block that holds `bytes`; 0: more than there can be. */
static size_t block_bytes(size_t bytes)
{
	if (bytes > BYTES_MAX)
		return 0;
	size_t whole = (bytes + HEAD + UNIT - 1) & ~(size_t)(UNIT - 1);
	return whole < LEAST ? LEAST : whole;
}

void *stage_malloc(size_t bytes)
{
	size_t whole = block_bytes(bytes);
	bool small = whole && whole < SMALL;
	if (small && !bins[bin_of(whole)] && rest && bytes_of(rest) >= whole + LEAST)
		return at(cut(whole), HEAD);
	if (!small || !bins[bin_of(whole)])
		put_rest_back();
	struct block *b = whole ? find(whole) : NULL;
	if (!b) {
		errno = ENOMEM;
		return NULL;
	}
	take(b);
	if (small && bytes_of(b) >= whole + LEAST) {
		rest = b;
		return at(cut(whole), HEAD);
	}
	shrink(b, whole);
	return at(b, HEAD);
}

static struct block *block_of(void *pointer)
{
	struct block *b = at(pointer, 0 - (size_t)HEAD);
	if ((uintptr_t)pointer % UNIT || b->head & (FREE | PART) || bytes_of(b) < LEAST)
		stage_panic("%p was not allocated, or was freed", pointer);
	return b;
}

/* --- pools --- */

struct stage_pool *stage_pool_make(size_t bytes)
{
	struct stage_pool *pool = stage_malloc(bytes);
	if (pool)
		*pool = (struct stage_pool){ .bytes = bytes - HEAD,
					     .used = (sizeof(*pool) + UNIT - 1) & ~(size_t)(UNIT - 1) };
	return pool;
}

void *stage_pool_take(struct stage_pool *pool, size_t bytes)
{
	const size_t whole = block_bytes(bytes);
	pool->lacking = pool->lacking || !whole || whole > pool->bytes - pool->used;
	if (pool->lacking)
		return NULL;
	struct block *part = at(pool, pool->used + UNIT - HEAD);
	part->head = (pool->used + UNIT) | PART;
	pool->used += whole;
	pool->taken++;
	return at(part, HEAD);
}

static void end_if_free(struct stage_pool *pool)
{
	if (pool->closed && atomic_load_explicit(&pool->freed, memory_order_relaxed) == pool->taken)
		release(block_of(pool));
}

void stage_pool_close(struct stage_pool *pool)
{
	if (!pool)
		return;
	pool->closed = true;
	end_if_free(pool);
}

/* Of a pool that is not closed only the count is touched: its taker may be at work in it. */
static void free_part(void *part, size_t offset)
{
	struct stage_pool *pool = (struct stage_pool *)((uintptr_t)part - offset);
	atomic_fetch_add_explicit(&pool->freed, 1, memory_order_relaxed);
	end_if_free(pool);
}

void stage_free(void *pointer)
{
	if (!pointer)
		return;
	const struct block *b = at(pointer, 0 - (size_t)HEAD);
	if ((uintptr_t)pointer % UNIT == 0 && b->head & PART)
		free_part(pointer, bytes_of(b));
	else
		release(block_of(pointer));
}

void *stage_calloc(size_t count, size_t bytes)
{
	size_t whole;
	if (__builtin_mul_overflow(count, bytes, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	void *got = stage_malloc(whole);
	return got ? memset(got, 0, whole) : NULL;
}

void *stage_realloc(void *pointer, size_t bytes)
{
	if (!pointer)
		return stage_malloc(bytes);
	struct block *b = block_of(pointer), *next = behind(b);
	size_t whole = block_bytes(bytes), had = bytes_of(b);
	if (whole && whole > had && next->head & FREE && bytes_of(next) >= whole - had) {
		take(next);
		b->head += bytes_of(next);
	}
	if (whole && whole <= bytes_of(b)) {
		shrink(b, whole);
		return pointer;
	}
	void *got = stage_malloc(bytes);
	if (!got)
		return NULL;
	memcpy(got, pointer, had - HEAD);
	release(b);
	return got;
}

void *stage_aligned_alloc(size_t align, size_t bytes)
{
	if (align <= UNIT || bytes > BYTES_MAX || align > BYTES_MAX)
		return align > BYTES_MAX ? NULL : stage_malloc(bytes);
	uint8_t *got = stage_malloc(bytes + align + LEAST);
	if (!got)
		return NULL;
	size_t gap = (0 - (uintptr_t)got) & (align - 1);
	if (gap && gap < LEAST)
		gap += align;
	struct block *b = at(got, 0 - (size_t)HEAD), *aligned = at(b, gap);
	if (gap) {
		size_t whole = bytes_of(b);
		b->head -= whole - gap;
		aligned->head = whole - gap;
		release(b);
	}
	shrink(aligned, block_bytes(bytes));
	return at(aligned, HEAD);
}

size_t stage_malloc_usable_size(void *pointer)
{
	return pointer ? bytes_of(block_of(pointer)) - HEAD : 0;
}

/* Weak: a kernel with several processors has others (parallel.c). */
#if KCHAIN_STAGE
void *malloc(size_t) __attribute__((weak, alias("stage_malloc")));
void free(void *) __attribute__((weak, alias("stage_free")));
void *calloc(size_t, size_t) __attribute__((weak, alias("stage_calloc")));
void *realloc(void *, size_t) __attribute__((weak, alias("stage_realloc")));
void *aligned_alloc(size_t, size_t) __attribute__((weak, alias("stage_aligned_alloc")));
void *memalign(size_t, size_t) __attribute__((weak, alias("stage_aligned_alloc")));
size_t malloc_usable_size(void *) __attribute__((weak, alias("stage_malloc_usable_size")));
#endif
