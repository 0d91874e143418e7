/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the handoff says of a device that is there and can't be used. Must not know: drivers, or pipelines. */
#ifndef STAGE_DEVICE_JSON_H
#define STAGE_DEVICE_JSON_H

#include "stage/device_list.h"

#include <jansson.h>

/* Its entry: present, and why that is not enough. New reference; null: no memory. */
json_t *stage_device_dead_json(const struct stage_dead_device *dead);

#endif
