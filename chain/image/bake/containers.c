/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The forms of an image's file. One file can't be all of them: where several ways to start it are there, each loader
 * takes the one that it prefers. */
#include "bake_internal.h"

#include "chain/door.h"

#include <string.h>

extern const struct bake_container bake_container_multiboot, bake_container_pvh;

/* The first is what is baked where nobody says otherwise. */
static const struct bake_container *const containers[] = { &bake_container_multiboot, &bake_container_pvh, NULL };

const struct bake_container *bake_container_named(const char *name)
{
	const struct bake_container *const *at = containers;

	while (name && *at && strcmp((*at)->name, name) != 0)
		at++;
	return *at;
}

const char *chain_bake_format_name(size_t index)
{
	return index < sizeof(containers) / sizeof(containers[0]) - 1 ? containers[index]->name : NULL;
}

const char *chain_bake_format_about(size_t index)
{
	return containers[index]->about;
}

const char *chain_bake_format_soonest(const char *machine)
{
	for (const struct bake_container *const *at = containers; *at; at++)
		if ((*at)->soonest_on && !strcmp((*at)->soonest_on, machine))
			return (*at)->name;
	return NULL;
}

const char *chain_bake_format_of(const void *bytes, uint64_t bytes_count)
{
	const struct chain_door *door = chain_door_probe(bytes, bytes_count);
	const struct bake_container *const *at = containers;

	while (*at && (!door || strcmp((*at)->door, door->name) != 0))
		at++;
	return *at ? (*at)->name : NULL;
}
