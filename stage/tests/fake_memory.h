/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: physical memory on the host as firmware and loaders may have left it: one stretch, nothing beside it. Each view
 * is a copy of exactly what was asked for, so that the sanitizer sees a reader that looks at more. Must not know: who
 * reads it. One program includes it once. */
#ifndef STAGE_TESTS_FAKE_MEMORY_H
#define STAGE_TESTS_FAKE_MEMORY_H

#include "stage/pages.h"

#include <stdlib.h>
#include <string.h>

struct fake_view {
	struct fake_view *next;
	uint64_t phys, bytes;
	uint8_t data[];
};

static struct {
	const uint8_t *bytes;
	uint64_t base, count;
	struct fake_view *views;
	unsigned long calls;
} fake_memory;

static inline void fake_memory_forget(void)
{
	while (fake_memory.views) {
		struct fake_view *view = fake_memory.views;
		fake_memory.views = view->next;
		free(view);
	}
}

/* [base, base + count) is memory and holds `bytes` (borrowed). */
static inline void fake_memory_set(uint64_t base, const uint8_t *bytes, uint64_t count)
{
	fake_memory_forget();
	fake_memory.base = base;
	fake_memory.bytes = bytes;
	fake_memory.count = count;
	fake_memory.calls = 0;
}

const void *stage_phys_view(uint64_t phys, uint64_t bytes)
{
	struct fake_view *view;

	fake_memory.calls++;
	if (!bytes || bytes > fake_memory.count || phys < fake_memory.base ||
	    phys - fake_memory.base > fake_memory.count - bytes)
		return NULL;
	for (view = fake_memory.views; view; view = view->next)
		if (view->phys == phys && view->bytes == bytes)
			return view->data;
	view = malloc(sizeof *view + bytes);
	if (!view)
		abort();
	view->phys = phys;
	view->bytes = bytes;
	view->next = fake_memory.views;
	fake_memory.views = view;
	memcpy(view->data, fake_memory.bytes + (phys - fake_memory.base), bytes);
	return view->data;
}

#endif
