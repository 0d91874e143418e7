/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "doors.h"

#include <assert.h>
#include <string.h>

/* A file may be a kernel of several kinds. Linux comes first: by its own protocol it is told the most. Then the
 * protocols with a header of their own, the older first, as QEMU has it (a step's "door" chooses otherwise); a note
 * last. */
extern const struct chain_door chain_door_linux, chain_door_multiboot1, chain_door_multiboot2, chain_door_pvh;
const struct chain_door *const chain_doors[] = {
	&chain_door_linux, &chain_door_multiboot1, &chain_door_multiboot2, &chain_door_pvh, NULL,
};
static_assert(sizeof(chain_doors) / sizeof(chain_doors[0]) <= CHAIN_DOORS_MAX + 1, "doors");

const struct chain_door *const chain_door_of_ours = &chain_door_multiboot1;

const struct chain_door *chain_door_probe(const uint8_t *file, uint64_t file_bytes)
{
	const struct chain_door *const *door = chain_doors;
	while (*door && !(*door)->probe(file, file_bytes))
		door++;
	return *door;
}

const struct chain_door *chain_door_named(const char *name)
{
	const struct chain_door *const *door = chain_doors;
	while (*door && strcmp((*door)->name, name) != 0)
		door++;
	return *door;
}
