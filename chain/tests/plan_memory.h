/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a target's memory of 64-bit addresses on which the moves of a plan are carried out: it knows of every byte
 * where it came from, so gigabytes cost nothing and two bytes are the same only if they are the same one.
 * Must not know: plans, worlds. */
#ifndef CHAIN_TESTS_PLAN_MEMORY_H
#define CHAIN_TESTS_PLAN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum memory_kind {
	MEMORY_AS_BEFORE, /* what lay at physical `from` before the first move */
	MEMORY_HOST,      /* the host's byte at address `from` */
	MEMORY_ZERO,
};

struct memory_piece {
	uint64_t base, end; /* [base, end) */
	enum memory_kind kind;
	uint64_t from; /* of the first byte; the others follow */
};

enum { MEMORY_PIECES_MAX = 256 };
struct memory {
	struct memory_piece v[MEMORY_PIECES_MAX]; /* by address, disjoint; what none covers was never written */
	size_t count;
	bool full;
};

static inline struct memory_piece memory_part(struct memory_piece piece, uint64_t base, uint64_t end)
{
	struct memory_piece part = { base > piece.base ? base : piece.base, end < piece.end ? end : piece.end,
				     piece.kind, 0 };
	if (piece.kind != MEMORY_ZERO)
		part.from = piece.from + (part.base - piece.base);
	return part;
}

/* What lies at `at`, up to `end` or the next change, whichever is first. */
static inline struct memory_piece memory_look(const struct memory *memory, uint64_t at, uint64_t end)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (memory->v[i].end <= at)
			continue;
		if (memory->v[i].base <= at)
			return memory_part(memory->v[i], at, end);
		if (memory->v[i].base < end)
			end = memory->v[i].base;
		break;
	}
	return (struct memory_piece){ at, end, MEMORY_AS_BEFORE, at };
}

static inline void memory_insert(struct memory *memory, size_t at, struct memory_piece piece)
{
	if (memory->count == MEMORY_PIECES_MAX) {
		memory->full = true;
		return;
	}
	memmove(&memory->v[at + 1], &memory->v[at], (memory->count - at) * sizeof(piece));
	memory->v[at] = piece;
	memory->count++;
}

/* Overwrites [piece.base, piece.end). */
static inline void memory_write(struct memory *memory, struct memory_piece piece)
{
	size_t i = 0;
	while (i < memory->count && memory->v[i].end <= piece.base)
		i++;
	while (i < memory->count && memory->v[i].base < piece.end) {
		struct memory_piece old = memory->v[i];
		memmove(&memory->v[i], &memory->v[i + 1], (memory->count - i - 1) * sizeof(old));
		memory->count--;
		if (old.base < piece.base)
			memory_insert(memory, i++, memory_part(old, old.base, piece.base));
		if (old.end > piece.end)
			memory_insert(memory, i, memory_part(old, piece.end, old.end));
	}
	memory_insert(memory, i, piece);
}

/* As memmove: the source is what it was before the first byte is written, which `before` keeps for a while. */
static inline void memory_copy(struct memory *memory, struct memory *before, uint64_t dest, uint64_t source,
			       uint64_t bytes)
{
	memcpy(before->v, memory->v, memory->count * sizeof(before->v[0]));
	before->count = memory->count;
	for (uint64_t done = 0; done < bytes;) {
		struct memory_piece piece = memory_look(before, source + done, source + bytes);
		uint64_t count = piece.end - piece.base;
		piece.base = dest + done;
		piece.end = dest + done + count;
		memory_write(memory, piece);
		done += count;
	}
}

/* Whether [at, at + bytes) holds these bytes, all from one place and in their order. */
static inline bool memory_holds(const struct memory *memory, uint64_t at, uint64_t bytes, enum memory_kind kind,
				uint64_t from)
{
	for (uint64_t done = 0; done < bytes;) {
		struct memory_piece piece = memory_look(memory, at + done, at + bytes);
		if (piece.kind != kind || (kind != MEMORY_ZERO && piece.from != from + done))
			return false;
		done += piece.end - piece.base;
	}
	return true;
}

/* Reads bytes that a plan made or zeroed. False where there are others. */
static inline bool memory_read(const struct memory *memory, uint64_t at, void *buf, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes;) {
		struct memory_piece piece = memory_look(memory, at + done, at + bytes);
		size_t count = (size_t)(piece.end - piece.base);
		if (piece.kind == MEMORY_AS_BEFORE)
			return false;
		if (piece.kind == MEMORY_ZERO)
			memset((uint8_t *)buf + done, 0, count);
		else
			memcpy((uint8_t *)buf + done, (const uint8_t *)(uintptr_t)piece.from, count);
		done += count;
	}
	return true;
}

#endif
