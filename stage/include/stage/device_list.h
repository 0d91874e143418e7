/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which drivers there are, and the devices they have taken.
 * Must not know: pipelines. */
#ifndef STAGE_DEVICE_LIST_H
#define STAGE_DEVICE_LIST_H

#include "stage/block.h"
#include "stage/netdev.h"

enum stage_device_class { STAGE_CLASS_NET = 1, STAGE_CLASS_BLOCK = 2 };

/* A device that a driver knows and could not start. */
struct stage_dead_device {
	struct stage_dead_device *next;
	enum stage_device_class class;
	const char *driver;
	char pci[STAGE_PCI_NAME_BYTES];
	struct chain_error fault;
};

struct stage_device_list {
	struct stage_netdev *net;  /* in bus order, as all three */
	struct stage_block *block;
	struct stage_dead_device *dead;
};

/* Starts every device of the wanted classes (a set of enum stage_device_class) that a driver knows. Others are not touched.
 * A device that fails is listed as dead. CHAIN_E_NO_MEMORY: what was started so far is in *out. */
enum chain_status stage_device_list_open(const struct stage_device_env *env, unsigned classes, struct stage_device_list *out,
					 struct chain_error *err) CHAIN_MUST_CHECK;

/* Stops all of them and forgets them. */
void stage_device_list_close(struct stage_device_list *list);

#endif
