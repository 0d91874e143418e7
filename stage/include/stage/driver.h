/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a driver is: a row of the table in stage/drivers/table.c, and which row fits a device.
 * Must not know: any driver. */
#ifndef STAGE_DRIVER_H
#define STAGE_DRIVER_H

#include "stage/block.h"
#include "stage/netdev.h"

/* A set where more than one is meant. */
enum stage_device_class { STAGE_CLASS_NET = 1, STAGE_CLASS_BLOCK = 2 };

struct stage_driver;

struct stage_device_id {
	enum stage_device_key key; /* STAGE_KEY_NONE ends the list */
	uint32_t value;
};

/* A device that is reset and kept off its bus, but not driven here. */
struct stage_held_device {
	const struct stage_device_env *env;
	const struct stage_driver *driver;
	struct stage_device device;
	volatile uint8_t *registers; /* those that its reset needs, mapped */
};

struct stage_driver {
	const char *name;                  /* "virtio-blk": what the handoff calls it */
	const struct stage_device_id *ids; /* the devices that it drives */
	/* Starts the device; of the two the one of its class. *out is the caller's to close (its ops->close), which
	 * resets the device. On failure the device does nothing any more. */
	union {
		enum chain_status (*net)(const struct stage_device_env *env, const struct stage_device *device,
					 struct stage_netdev **out, struct chain_error *err);
		enum chain_status (*block)(const struct stage_device_env *env, const struct stage_device *device,
					   struct stage_block **out, struct chain_error *err);
	} open;
	/* Finds held->registers of the device, which is on its bus from now on; the other members are filled in. */
	enum chain_status (*hold)(struct stage_held_device *held, struct chain_error *err);
	/* The device forgets all that it was told, and does nothing. False: not within the time that such a device may
	 * take. On any processor; no heap, no console. */
	bool (*reset)(struct stage_held_device *held);
};

/* The rows of each class, in the order in which they are asked; a null pointer ends them. Two tables, so that a native
 * kernel is linked with the drivers of the class that it uses. */
extern const struct stage_driver *const stage_net_drivers[];
extern const struct stage_driver *const stage_block_drivers[];

/* The first of these rows that fits; null: none does. */
const struct stage_driver *stage_driver_for(const struct stage_driver *const *drivers,
					    const struct stage_device *device);

/* Holds a device that no driver has; it is reset and off its bus when that is done. */
enum chain_status stage_device_hold(const struct stage_device_env *env, const struct stage_driver *driver,
				    const struct stage_device *device, struct stage_held_device *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;
/* Resets it, and takes it off its bus even if the reset never finishes: nothing of it reaches memory then. */
void stage_device_quiesce(struct stage_held_device *held);

#endif
