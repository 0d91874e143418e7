/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/device_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct opening {
	const struct stage_device_env *env;
	unsigned classes;
	struct stage_netdev **net_end;
	struct stage_block **block_end;
	struct stage_dead_device **dead_end;
	struct chain_error *err;
	enum chain_status status;
};

static const struct stage_driver *const *drivers_of(unsigned class)
{
	return class == STAGE_CLASS_NET ? stage_net_drivers : stage_block_drivers;
}

/* The driver that takes the device, and its class; null: none does. */
static const struct stage_driver *find_driver(const struct stage_device *device, unsigned *out_class)
{
	for (unsigned class = STAGE_CLASS_NET; class <= STAGE_CLASS_BLOCK; class ++) {
		const struct stage_driver *driver = stage_driver_for(drivers_of(class), device);
		if (!driver)
			continue;
		*out_class = class;
		return driver;
	}
	return NULL;
}

static enum chain_status open_device(struct opening *o, const struct stage_driver *driver, unsigned class,
				     const struct stage_device *device, struct chain_error *err)
{
	enum chain_status s;

	if (class == STAGE_CLASS_NET) {
		s = driver->open.net(o->env, device, o->net_end, err);
		if (!s)
			o->net_end = &(*o->net_end)->next;
	} else {
		s = driver->open.block(o->env, device, o->block_end, err);
		if (!s)
			o->block_end = &(*o->block_end)->next;
	}
	return s;
}

/* What no driver knows: network cards, and what disks may lie behind. IDE controllers are in every PC, whether or not
 * there is a disk. */
static unsigned class_of(const struct stage_device *device)
{
	enum { STORAGE = 1, IDE = 0x0101, NETWORK = 2 };
	uint32_t code = device->keys[STAGE_KEY_PCI_CLASS], base = code >> 16;

	if (base == NETWORK)
		return STAGE_CLASS_NET;
	return base == STORAGE && code >> 8 != IDE ? STAGE_CLASS_BLOCK : 0;
}

static bool visit(void *ctx, const struct stage_device *device)
{
	struct opening *o = ctx;
	unsigned class = class_of(device);
	const struct stage_driver *driver = find_driver(device, &class);
	uint32_t id = device->keys[STAGE_KEY_PCI_ID];
	struct chain_error fault = { 0 };
	struct stage_dead_device *dead;

	if (!(class & o->classes))
		return true;
	if (!driver)
		(void)!CHAIN_FAIL(&fault, DEVICE_NO_DRIVER, .subject = device->place, .vendor = id >> 16,
				  .device = id & 0xffff);
	else if (!open_device(o, driver, class, device, &fault))
		return true;
	/* Without memory to work with, nothing is said of the device. */
	dead = fault.status == CHAIN_E_NO_MEMORY ? NULL : calloc(1, sizeof *dead);
	if (!dead) {
		o->status = chain_fail_no_memory(o->err, device->place, sizeof *dead);
		return false;
	}
	*dead = (struct stage_dead_device){
		.class = class, .driver = driver ? driver->name : NULL, .bus = device->bus, .fault = fault
	};
	memcpy(dead->place, device->place, sizeof dead->place);
	*o->dead_end = dead;
	o->dead_end = &dead->next;
	return true;
}

typedef void scan_buses(const struct stage_device_env *env, struct stage_bus_scan *scan, stage_device_visit *visit,
			void *ctx);

/* Behind what is in the lists. */
static enum chain_status open_all(const struct stage_device_env *env, scan_buses *scan, struct stage_device_list *list,
				  struct chain_error *err)
{
	struct opening o = { .env = env,
			     .classes = list->classes,
			     .net_end = &list->net,
			     .block_end = &list->block,
			     .dead_end = &list->dead,
			     .err = err };

	while (*o.net_end)
		o.net_end = &(*o.net_end)->next;
	while (*o.block_end)
		o.block_end = &(*o.block_end)->next;
	while (*o.dead_end)
		o.dead_end = &(*o.dead_end)->next;
	scan(env, &list->scan, visit, &o);
	return o.status;
}

enum chain_status stage_device_list_open(const struct stage_device_env *env, unsigned classes,
					 struct stage_device_list *out, struct chain_error *err)
{
	*out = (struct stage_device_list){ .classes = classes, .complete = !classes };
	return classes ? open_all(env, stage_bus_scan, out, err) : CHAIN_OK;
}

enum chain_status stage_device_list_complete(const struct stage_device_env *env, struct stage_device_list *list,
					     struct chain_error *err)
{
	if (list->complete)
		return CHAIN_OK;
	list->complete = true;
	return open_all(env, stage_bus_scan_others, list, err);
}

const struct stage_dead_device *stage_device_list_dead(const struct stage_device_list *list,
						       enum stage_device_class class, const char *place)
{
	const struct stage_dead_device *found = NULL;

	for (const struct stage_dead_device *d = list->dead; d && !(found && found->driver); d = d->next) {
		if (d->class == class && (!place || !strcasecmp(place, d->place)) && (!found || d->driver))
			found = d;
	}
	return found;
}

void stage_device_list_explain(const struct stage_device_list *list, enum stage_device_class class, char *text,
			       size_t bytes)
{
	const struct stage_dead_device *d = stage_device_list_dead(list, class, NULL);
	size_t used = strlen(text);

	if (!list->scan.present)
		snprintf(text + used, bytes - used, ": this machine has no PCI");
	else if (d && used + 2 < bytes)
		chain_error_format(&d->fault, strcpy(text + used, "; ") + 2, bytes - used - 2);
}

void stage_device_list_close(struct stage_device_list *list)
{
	while (list->net) {
		struct stage_netdev *dev = list->net;
		list->net = dev->next;
		dev->ops->close(dev);
	}
	while (list->block) {
		struct stage_block *dev = list->block;
		list->block = dev->next;
		dev->ops->close(dev);
	}
	while (list->dead) {
		struct stage_dead_device *dead = list->dead;
		list->dead = dead->next;
		free(dead);
	}
}
