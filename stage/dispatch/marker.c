/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/marker.h"

#include <string.h>

/* How much of `wanted` its first `matched` bytes end with, all of them left out. */
static uint32_t shorter(const char *wanted, uint32_t matched)
{
	uint32_t length = matched - 1;
	while (memcmp(wanted, wanted + matched - length, length))
		length--;
	return length;
}

void stage_marker_look(struct stage_marker *marker, const char *wanted, const char *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count && !marker->seen; i++) {
		while (marker->matched && wanted[marker->matched] != bytes[i])
			marker->matched = shorter(wanted, marker->matched);
		marker->matched += wanted[marker->matched] == bytes[i];
		marker->seen = !wanted[marker->matched];
	}
}
