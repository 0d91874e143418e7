/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/device_list.h"
#include "stage/virtio.h"

#include <stdlib.h>
#include <string.h>

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

static bool visit(void *ctx, const struct stage_pci_function *f)
{
	struct opening *o = ctx;
	const struct row *row = find_row(f);
	struct chain_error fault = { 0 };
	struct stage_dead_device *dead;

	if (!row || !(row->class & o->classes) || row->open(o, f, &fault) == CHAIN_OK)
		return true;
	/* Without memory to work with, nothing is said of the device. */
	dead = fault.status == CHAIN_E_NO_MEMORY ? NULL : calloc(1, sizeof *dead);
	if (!dead) {
		o->status = chain_fail(o->err, CHAIN_E_NO_MEMORY, f->name, NULL, sizeof *dead, 0, 0, 0);
		return false;
	}
	*dead = (struct stage_dead_device){ .class = row->class, .driver = row->driver, .fault = fault };
	memcpy(dead->pci, f->name, sizeof dead->pci);
	*o->dead_end = dead;
	o->dead_end = &dead->next;
	return true;
}

enum chain_status stage_device_list_open(const struct stage_device_env *env, unsigned classes, struct stage_device_list *out,
					 struct chain_error *err)
{
	struct opening o = { .env = env, .classes = classes, .net_end = &out->net, .block_end = &out->block,
			     .dead_end = &out->dead, .err = err };

	*out = (struct stage_device_list){ 0 };
	if (classes)
		stage_pci_scan(env, visit, &o);
	return o.status;
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
