/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: half-open intervals of 64-bit addresses, sets of them, and claims on
 * target memory. Every sum of an address and a length in the project is made
 * here or in reader.h.
 * Must not know: what the memory is for beyond the owner's tag. */
#ifndef CHAIN_RANGE_H
#define CHAIN_RANGE_H

#include "chain/error.h"

#include <stdbool.h>

struct chain_range {
	uint64_t base, end; /* [base, end); empty where base == end; never base > end */
};

/* base + bytes, CHAIN_E_OVERFLOW named after `subject` when the end would not fit 64 bits. */
enum chain_status chain_range_make(uint64_t base, uint64_t bytes, const char *subject, struct chain_range *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
bool chain_range_overlaps(struct chain_range a, struct chain_range b); /* empty ranges overlap nothing */
bool chain_range_contains(struct chain_range outer, struct chain_range inner);

/* Where the physical memory ends that a stage, and the code that carries out its plans, can see: 32 TiB, which is what
 * the stage's page tables have room for (stage/cpu/tables.c). Where a kernel's memory ends is for its door to say. */
#define CHAIN_MEMORY_END ((uint64_t)1 << 45)

static inline uint64_t chain_range_bytes(struct chain_range r)
{
	return r.end - r.base;
}

/* Rounds to a multiple of `align` (a power of two). False when rounding up overflows. */
bool chain_align_up(uint64_t value, uint64_t align, uint64_t *out);
uint64_t chain_align_down(uint64_t value, uint64_t align);

/* Who holds a piece of target memory. Printed in plans and in refusals. */
enum chain_owner {
	CHAIN_OWNER_FIRMWARE, /* the memory map does not call it available, or a BIOS area */
	CHAIN_OWNER_AP_PAGE,  /* the page below 1 MiB kept for starting processors */
	CHAIN_OWNER_STAGE,    /* the running stage's text and data */
	CHAIN_OWNER_FS,       /* the baked filesystem */
	CHAIN_OWNER_MANIFEST,
	CHAIN_OWNER_BOOT_MODULE, /* a module the stage was given */
	CHAIN_OWNER_HEAP,        /* the stage's heap and page tables */
	CHAIN_OWNER_WINDOW,      /* a called kernel's window */
	CHAIN_OWNER_KERNEL,      /* a segment of the kernel to be booted */
	CHAIN_OWNER_MODULE,      /* a module of the kernel to be booted */
	CHAIN_OWNER_BOOT_INFO,   /* the information structure with its strings and memory map */
	CHAIN_OWNER_HANDOFF,
	CHAIN_OWNER_ROOT, /* a file system that the kernel to be booted uses where it lies */
	CHAIN_OWNER_TRAMPOLINE,
	CHAIN_OWNER_COUNT
};
const char *chain_owner_name(enum chain_owner owner);

struct chain_claim {
	struct chain_range range;
	enum chain_owner owner;
	uint32_t tag; /* index within the owner (segment, module, window) */
};

/* Claims sorted by base, never overlapping. The array belongs to the caller and is never reallocated. */
struct chain_claims {
	struct chain_claim *v;
	size_t count, capacity;
};

void chain_claims_init(struct chain_claims *claims, struct chain_claim *storage, size_t capacity);

/* Adds one. CHAIN_E_CLAIM_OVERLAP names both owners and the addresses; CHAIN_E_LIMIT when the array is full.
 * Adding an empty range does nothing. */
enum chain_status chain_claims_add(struct chain_claims *claims, struct chain_range range, enum chain_owner owner,
				   uint32_t tag, struct chain_error *err) CHAIN_MUST_CHECK;
/* Removes exactly what was added; CHAIN_E_CLAIM_MISSING when no claim is equal to it. */
enum chain_status chain_claims_remove(struct chain_claims *claims, struct chain_range range,
				      struct chain_error *err) CHAIN_MUST_CHECK;
/* The first claim that overlaps `range`, or null. Borrowed until the next change. */
const struct chain_claim *chain_claims_overlap(const struct chain_claims *claims, struct chain_range range);

struct chain_mem_entry; /* bootinfo.h */

/* What to find. */
struct chain_find {
	uint64_t bytes;            /* > 0 */
	uint64_t align;            /* power of two */
	struct chain_range within; /* the result lies wholly inside */
	bool top_down;             /* highest fit, else lowest */
	bool tightest;             /* in the smallest hole that is large enough, rather than the first */
};

/* A free place: inside one available stretch of `mem` (adjacent available entries count as one), overlapping no
 * claim of `claims` and none of `also` (nullable). CHAIN_E_NO_SPACE gives the request, where it was looked, and the
 * largest hole there from an address on that has the alignment. Claims nothing. */
enum chain_status chain_claims_find(const struct chain_claims *claims, const struct chain_claims *also,
				    const struct chain_mem_entry *mem, size_t mem_count, const struct chain_find *want,
				    const char *subject, uint64_t *out_base, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
