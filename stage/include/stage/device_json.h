/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the handoff says of where a device is, and of one that is there and can't be used. Must not know: drivers,
 * or pipelines. */
#ifndef STAGE_DEVICE_JSON_H
#define STAGE_DEVICE_JSON_H

#include "stage/device_list.h"

#include <jansson.h>

/* Its entry: present, and why that is not enough. New reference; null: no memory. */
json_t *stage_device_dead_json(const struct stage_dead_device *dead);
/* The place that an entry of the handoff (nullable) names, on whichever bus; borrowed; null: none. */
const char *stage_device_place(const json_t *entry);

#endif
