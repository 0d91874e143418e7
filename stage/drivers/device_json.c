/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/device_json.h"

#include "chain/json_write.h"

json_t *stage_device_dead_json(const struct stage_dead_device *dead)
{
	char reason[2 * CHAIN_SUBJECT_BYTES];
	json_t *entry;

	chain_error_format(&dead->fault, reason, sizeof reason);
	entry = chain_json_object(CHAIN_TEXT("status", "present"), CHAIN_TEXT(dead->bus->name, dead->place),
				  CHAIN_TEXT("reason", reason));
	if (!entry || !dead->driver || !json_object_set_new(entry, "driver", json_string(dead->driver)))
		return entry;
	json_decref(entry);
	return NULL;
}

const char *stage_device_place(const json_t *entry)
{
	const char *place = NULL;

	for (const struct stage_bus *const *bus = stage_buses; *bus && !place; bus++)
		place = json_string_value(json_object_get(entry, (*bus)->name));
	return place;
}
