/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: names packed into one string, each with its zero byte: half the room of a table of pointers.
 * Must not know: what they name. */
#ifndef STAGE_PACKED_NAMES_H
#define STAGE_PACKED_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The name of `number`, counted from 0; null past the last. `names_bytes` is sizeof the string literal. */
static inline const char *stage_packed_name(const char *names, size_t names_bytes, uint64_t number)
{
	const char *name = names, *end = names + names_bytes - 1;
	for (; number && name < end; number--)
		name += strlen(name) + 1;
	return name < end ? name : NULL;
}

#endif
