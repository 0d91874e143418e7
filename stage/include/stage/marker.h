/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: finding a text that a step expects in what a kernel writes, which comes in pieces of any size.
 * Must not know: whose text it is, where it goes. */
#ifndef STAGE_MARKER_H
#define STAGE_MARKER_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing was written yet. */
struct stage_marker {
	uint32_t matched; /* bytes of the expected text that what was written ends with */
	bool seen;
};

/* Goes over the next piece. `wanted` is terminated and not empty; the same each time. */
void stage_marker_look(struct stage_marker *marker, const char *wanted, const char *bytes, uint64_t count);

#endif
