/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* qsort by a heap (Knuth 5.2.3, algorithm H): no recursion, no memory, never quadratic, an eighth of musl's room. Every
 * kernel has it, because the memory map is sorted. */

#include <stdint.h>
#include <stdlib.h>

typedef int compare(const void *a, const void *b);

static void swap(uint8_t *a, uint8_t *b, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t kept = a[i];
		a[i] = b[i];
		b[i] = kept;
	}
}

/* Lets the element at `at` sink below its larger children. */
static void sink(uint8_t *base, size_t at, size_t count, size_t bytes, compare *order)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && order(base + child * bytes, base + (child + 1) * bytes) < 0)
			child++;
		if (order(base + at * bytes, base + child * bytes) >= 0)
			return;
		swap(base + at * bytes, base + child * bytes, bytes);
	}
}

void qsort(void *base, size_t count, size_t bytes, compare *order)
{
	for (size_t i = count / 2; i-- > 0;)
		sink(base, i, count, bytes, order);
	for (size_t left = count; left-- > 1;) {
		swap(base, (uint8_t *)base + left * bytes, bytes);
		sink(base, 0, left, bytes, order);
	}
}
