/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/device_list.h"
#include "stage/virtio.h"

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

static enum chain_status open_net(struct opening *o, const struct stage_pci_function *f, struct chain_error *err)
{
	enum chain_status s = stage_virtio_net_open(o->env, f, o->net_end, err);

	if (!s)
		o->net_end = &(*o->net_end)->next;
	return s;
}

static enum chain_status open_block(struct opening *o, const struct stage_pci_function *f, struct chain_error *err)
{
	enum chain_status s = stage_virtio_blk_open(o->env, f, o->block_end, err);

	if (!s)
		o->block_end = &(*o->block_end)->next;
	return s;
}

/* Who takes what: the first row that matches. */
static const struct row {
	const char *driver;
	enum stage_device_class class;
	unsigned type;
	enum chain_status (*open)(struct opening *o, const struct stage_pci_function *f, struct chain_error *err);
} rows[] = {
	{ "virtio-net", STAGE_CLASS_NET, VIRTIO_TYPE_NET, open_net },
	{ "virtio-blk", STAGE_CLASS_BLOCK, VIRTIO_TYPE_BLOCK, open_block },
};

static const struct row *find_row(const struct stage_pci_function *f)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (stage_virtio_pci_is(f, rows[i].type))
			return &rows[i];
	}
	return NULL;
}

/* What no driver knows: network cards, and what disks may lie behind. IDE controllers are in every PC, whether or not
 * there is a disk. */
static unsigned class_of(const struct stage_pci_function *f)
{
	enum { STORAGE = 1, IDE = 0x0101, NETWORK = 2 };
	uint32_t base = f->class_code >> 16;

	if (base == NETWORK)
		return STAGE_CLASS_NET;
	return base == STORAGE && f->class_code >> 8 != IDE ? STAGE_CLASS_BLOCK : 0;
}

static bool visit(void *ctx, const struct stage_pci_function *f)
{
	struct opening *o = ctx;
	const struct row *row = find_row(f);
	unsigned class = row ? row->class : class_of(f);
	struct chain_error fault = { 0 };
	struct stage_dead_device *dead;

	if (!(class & o->classes))
		return true;
	if (!row)
		(void)!chain_fail(&fault, CHAIN_E_DEVICE_NO_DRIVER, f->name, NULL, f->vendor, f->device, 0, 0);
	else if (row->open(o, f, &fault) == CHAIN_OK)
		return true;
	/* Without memory to work with, nothing is said of the device. */
	dead = fault.status == CHAIN_E_NO_MEMORY ? NULL : calloc(1, sizeof *dead);
	if (!dead) {
		o->status = chain_fail(o->err, CHAIN_E_NO_MEMORY, f->name, NULL, sizeof *dead, 0, 0, 0);
		return false;
	}
	*dead = (struct stage_dead_device){ .class = class, .driver = row ? row->driver : NULL, .fault = fault };
	memcpy(dead->pci, f->name, sizeof dead->pci);
	*o->dead_end = dead;
	o->dead_end = &dead->next;
	return true;
}

typedef void scan_buses(const struct stage_device_env *env, struct stage_pci_buses *buses, stage_pci_visit *visit,
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
	scan(env, &list->buses, visit, &o);
	return o.status;
}

enum chain_status stage_device_list_open(const struct stage_device_env *env, unsigned classes,
					 struct stage_device_list *out, struct chain_error *err)
{
	*out = (struct stage_device_list){ .classes = classes, .complete = !classes };
	return classes ? open_all(env, stage_pci_scan, out, err) : CHAIN_OK;
}

enum chain_status stage_device_list_complete(const struct stage_device_env *env, struct stage_device_list *list,
					     struct chain_error *err)
{
	if (list->complete)
		return CHAIN_OK;
	list->complete = true;
	return open_all(env, stage_pci_scan_others, list, err);
}

const struct stage_dead_device *stage_device_list_dead(const struct stage_device_list *list,
						       enum stage_device_class class, const char *pci)
{
	const struct stage_dead_device *found = NULL;

	for (const struct stage_dead_device *d = list->dead; d && !(found && found->driver); d = d->next) {
		if (d->class == class && (!pci || !strcasecmp(pci, d->pci)) && (!found || d->driver))
			found = d;
	}
	return found;
}

void stage_device_list_explain(const struct stage_device_list *list, enum stage_device_class class, char *text,
			       size_t bytes)
{
	const struct stage_dead_device *d = stage_device_list_dead(list, class, NULL);
	size_t used = strlen(text);

	if (!list->buses.present)
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
