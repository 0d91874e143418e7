/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/virtio.h"

#include <string.h>

/* --- PCI --- */

static void from_pci(const struct stage_pci_function *f, struct stage_device *out)
{
	*out = (struct stage_device){ .bus = &stage_bus_pci, .pci = *f };
	out->keys[STAGE_KEY_PCI_ID] = (uint32_t)f->vendor << 16 | f->device;
	out->keys[STAGE_KEY_PCI_CLASS] = f->class_code;
	memcpy(out->place, f->name, sizeof(out->place));
}

static bool find_pci(const struct stage_device_env *env, const char *place, struct stage_device *out)
{
	struct stage_pci_function function;
	if (!stage_pci_find(env, place, &function))
		return false;
	from_pci(&function, out);
	return true;
}

static void attach_pci(const struct stage_device_env *env, const struct stage_device *device)
{
	stage_pci_command(env, device->pci.bdf, STAGE_PCI_COMMAND_MEMORY | STAGE_PCI_COMMAND_MASTER, 0);
}

static void detach_pci(const struct stage_device_env *env, const struct stage_device *device)
{
	stage_pci_command(env, device->pci.bdf, 0, STAGE_PCI_COMMAND_MASTER);
}

static void hide_pci(const struct stage_device_env *env, const struct stage_device *device)
{
	stage_pci_command(env, device->pci.bdf, 0, STAGE_PCI_COMMAND_MEMORY);
}

const struct stage_bus stage_bus_pci = { "pci", find_pci, attach_pci, detach_pci, hide_pci };

struct visitor {
	stage_device_visit *visit;
	void *ctx;
};

static bool visit_pci(void *ctx, const struct stage_pci_function *function)
{
	const struct visitor *visitor = ctx;
	struct stage_device device;
	from_pci(function, &device);
	return visitor->visit(visitor->ctx, &device);
}

/* --- all of them --- */

const struct stage_bus *const stage_buses[] = { &stage_bus_pci, &stage_bus_mmio, NULL };

void stage_bus_scan(const struct stage_device_env *env, struct stage_bus_scan *scan, stage_device_visit *visit,
		    void *ctx)
{
	struct visitor visitor = { visit, ctx };
	stage_pci_scan(env, &scan->pci, visit_pci, &visitor);
	scan->present = scan->pci.present | stage_virtio_mmio_scan(env, visit, ctx);
}

void stage_bus_scan_others(const struct stage_device_env *env, struct stage_bus_scan *scan, stage_device_visit *visit,
			   void *ctx)
{
	struct visitor visitor = { visit, ctx };
	stage_pci_scan_others(env, &scan->pci, visit_pci, &visitor);
}

bool stage_device_find(const struct stage_device_env *env, const char *place, struct stage_device *out)
{
	for (const struct stage_bus *const *bus = stage_buses; *bus; bus++)
		if ((*bus)->find(env, place, out))
			return true;
	return false;
}

bool stage_device_at(const struct stage_device_env *env, uint32_t bdf, struct stage_device *out)
{
	struct stage_pci_function function;
	if (!stage_pci_function_at(env, bdf, &function))
		return false;
	from_pci(&function, out);
	return true;
}
