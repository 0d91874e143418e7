/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the devices that drivers have taken.
 * Must not know: pipelines. */
#ifndef STAGE_DEVICE_LIST_H
#define STAGE_DEVICE_LIST_H

#include "stage/driver.h"

/* A device that can't be used: a driver knows it and could not start it, or none does. */
struct stage_dead_device {
	struct stage_dead_device *next;
	enum stage_device_class class;
	const char *driver; /* null: none */
	const struct stage_bus *bus;
	char place[STAGE_PLACE_BYTES]; /* on its bus */
	struct chain_error fault;
};

struct stage_device_list {
	struct stage_netdev *net; /* in bus order, as all three */
	struct stage_block *block;
	struct stage_dead_device *dead;
	unsigned classes;
	struct stage_bus_scan scan;
	bool complete; /* all root buses have been looked at */
};

/* Starts every device of the wanted classes (a set of enum stage_device_class) that a driver knows and that are found
 * at little cost (stage_bus_scan). Others are not touched. A device that fails, or that no driver knows, is listed as
 * dead. CHAIN_E_NO_MEMORY: what was started so far is in *out. */
enum chain_status stage_device_list_open(const struct stage_device_env *env, unsigned classes,
					 struct stage_device_list *out, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same on all further root buses, behind what is in the lists; when asked again, nothing. */
enum chain_status stage_device_list_complete(const struct stage_device_env *env, struct stage_device_list *list,
					     struct chain_error *err) CHAIN_MUST_CHECK;

/* The first of that class that can't be used, at that place where `place` is not null, and rather one that a driver
 * knows; null: there is none. */
const struct stage_dead_device *stage_device_list_dead(const struct stage_device_list *list,
						       enum stage_device_class class, const char *place);
/* Puts behind a text that says what is missing whatever else is known of it: that there is no PCI, or which device
 * can't be used, and why. */
void stage_device_list_explain(const struct stage_device_list *list, enum stage_device_class class, char *text,
			       size_t bytes);

/* Stops all of them and forgets them. */
void stage_device_list_close(struct stage_device_list *list);

#endif
