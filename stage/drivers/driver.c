/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/driver.h"

const struct stage_driver *stage_driver_for(const struct stage_driver *const *drivers,
					    const struct stage_device *device)
{
	for (; *drivers; drivers++)
		for (const struct stage_device_id *id = (*drivers)->ids; id->key; id++)
			if (device->keys[id->key] == id->value)
				return *drivers;
	return NULL;
}

enum chain_status stage_device_hold(const struct stage_device_env *env, const struct stage_driver *driver,
				    const struct stage_device *device, struct stage_held_device *out,
				    struct chain_error *err)
{
	*out = (struct stage_held_device){ .env = env, .driver = driver, .device = *device };
	enum chain_status status = driver->hold(out, err);
	if (!status)
		stage_device_quiesce(out);
	return status;
}

void stage_device_quiesce(struct stage_held_device *held)
{
	(void)held->driver->reset(held);
	held->device.bus->detach(held->env, &held->device);
}
