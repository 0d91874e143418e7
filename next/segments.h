/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a plan as Linux's kexec_load takes it (kexec_load(2)): a few segments of whole pages that do not overlap, and
 * an address that is entered in 64-bit mode with memory mapped where it lies. What of a plan's moves does not fill
 * pages of its own, and what is to be zero, the stage's trampoline does, which is a segment of its own, with its page
 * tables, and is entered first. Must not know: how they are handed to Linux. Pure. */
#ifndef NEXT_SEGMENTS_H
#define NEXT_SEGMENTS_H

#include "chain/plan.h"

enum { NEXT_SEGMENTS_MAX = 16 /* KEXEC_SEGMENT_MAX */, NEXT_PAGE = 4096 };

/* As struct kexec_segment. */
struct next_segment {
	const void *bytes; /* borrowed */
	size_t bytes_count;
	uint64_t phys;
	size_t memory_bytes; /* what is beyond the bytes is zeroed */
};

struct next_segments {
	struct next_segment v[NEXT_SEGMENTS_MAX];
	size_t count;
	uint64_t entry;
	uint8_t *own;         /* owned: the trampoline's segment */
	uint64_t total_bytes; /* Linux holds so many until they are started */
};

/* Borrows the plan's bytes, none of which lie in target memory yet. CHAIN_E_NO_SPACE, CHAIN_E_NO_MEMORY. */
enum chain_status next_segments_make(const struct chain_plan *plan, const struct chain_bootinfo *info,
				     struct next_segments *out, struct chain_error *err) CHAIN_MUST_CHECK;
void next_segments_free(struct next_segments *segments);

#endif
