/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/assigned.h"

#include "stage/bulk.h"
#include "stage/instructions.h"
#include "stage/pages.h"
#include "stage/processors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = STAGE_PAGE,
	LARGE_BYTES = 2 * 1024 * 1024,
	TABLES = 4 /* a root, two levels, one more of small pages than 2 MiB need */
};
#define REGISTERS_MAX ((uint64_t)64 << 20) /* of one device */

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* --- opening --- */

/* Its memory registers. Those that share a page with others would show a kernel what is not its own; those without an
 * address are nowhere. */
static enum chain_status read_registers(const struct stage_device_env *env, const struct stage_pci_function *f,
					struct kchain_device *out, struct chain_error *err)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < STAGE_PCI_BARS; i++) {
		uint32_t low = env->pci_read(env->ctx, f->bdf, STAGE_PCI_BAR0 + i * 4, 4);
		struct chain_error none = { 0 };
		struct stage_pci_bar bar;
		if (!stage_pci_bar(env, f, i, &bar, &none)) {
			if ((bar.phys | bar.bytes) & (PAGE - 1))
				return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = f->name,
						  .detail = "it shares a page with what is not the device's",
						  .index = i, .value = bar.phys);
			if (bar.bytes > REGISTERS_MAX - bytes)
				return CHAIN_FAIL(err, LIMIT, .subject = f->name, .detail = "bytes of registers",
						  .value = bytes + bar.bytes, .limit = REGISTERS_MAX);
			out->registers[i].phys = bar.phys;
			out->registers[i].bytes = bar.bytes;
			bytes += bar.bytes;
		}
		i += (low & 7) == 4; /* the next register is its upper half (PCI 3.0, section 6.2.5.1) */
	}
	return CHAIN_OK;
}

static enum chain_status open_device(const struct stage_device_env *env, const struct stage_assigned_request *request,
				     struct stage_assigned_device *d, struct kchain_device *out,
				     struct chain_error *err)
{
	const struct stage_driver *driver = NULL;
	struct stage_device device;
	enum chain_status s;

	if (stage_device_find(env, request->place, &device))
		driver = stage_driver_for(request->is_net ? stage_net_drivers : stage_block_drivers, &device);
	if (!driver)
		return chain_fail_subject(err, CHAIN_E_DEVICE_UNKNOWN, request->place);
	if (device.bus != &stage_bus_pci)
		return chain_fail_subject(err, CHAIN_E_DEVICE_SHARED, request->place);
	s = stage_device_hold(env, driver, &device, &d->held, err);
	if (s)
		return s;
	d->there = true;
	stage_processors_share((const void *)(uintptr_t)d->held.registers);
	out->bdf = device.pci.bdf;
	for (uint32_t i = 0; i < sizeof(out->config); i += 4) {
		uint32_t word = env->pci_read(env->ctx, out->bdf, i, 4);
		memcpy(out->config + i, &word, 4);
	}
	return read_registers(env, &device.pci, out, err);
}

/* Whether it is there or not, it is listed. */
static enum chain_status take(const struct stage_device_env *env, const struct stage_assigned_request *request,
			      struct stage_assigned_device *d, struct kchain_device *out, struct chain_error *err)
{
	struct chain_error fault = { 0 };

	*out = (struct kchain_device){ .is_net = request->is_net };
	snprintf(out->name, sizeof(out->name), "%s", request->name);
	if (request->place && !open_device(env, request, d, out, &fault))
		return CHAIN_OK;
	d->there = false;
	if (fault.status == CHAIN_E_NO_MEMORY)
		return chain_fail_again(err, &fault, request->name);
	if (fault.status)
		chain_error_format(&fault, out->reason, sizeof(out->reason));
	else
		snprintf(out->reason, sizeof(out->reason), "%s", request->reason ? request->reason : "it is absent");
	return request->required ? chain_fail_text(err, CHAIN_E_DEVICE_MISSING, request->name, out->reason) : CHAIN_OK;
}

/* --- showing --- */

static uint64_t take_page(void *ctx)
{
	struct stage_assigned *g = ctx;
	uint64_t phys = g->phys + g->used;

	if (g->used == g->bytes)
		return 0;
	g->used += PAGE;
	stage_zero(stage_phys_to_virt(phys), PAGE);
	return phys;
}

/* Each followed by a page that is not mapped. The whole span. */
static uint64_t place(struct kchain_device *list, size_t count, uint64_t list_bytes)
{
	uint64_t at = list_bytes + PAGE;

	for (size_t i = 0; i < count; i++)
		for (unsigned r = 0; r < KCHAIN_DEVICE_REGISTERS; r++) {
			if (!list[i].registers[r].bytes || *list[i].reason)
				continue;
			list[i].registers[r].virt = KCHAIN_DEVICE_VIRT + at;
			at += list[i].registers[r].bytes + PAGE;
		}
	return at;
}

static bool map_all(struct stage_assigned *g, uint64_t list_bytes)
{
	const struct stage_table_pages pages = { take_page, g };
	uint64_t root = take_page(g);
	bool ok = stage_table_map(root, &pages, KCHAIN_DEVICE_VIRT, g->phys, list_bytes, 0);

	for (size_t i = 0; i < g->count; i++)
		for (unsigned r = 0; ok && r < KCHAIN_DEVICE_REGISTERS; r++)
			if (g->list[i].registers[r].virt)
				ok = stage_table_map(root, &pages, g->list[i].registers[r].virt,
						     g->list[i].registers[r].phys, g->list[i].registers[r].bytes,
						     STAGE_MAP_WRITE | STAGE_MAP_UNCACHED);
	g->root_entry = ((const uint64_t *)stage_phys_to_virt(root))[KCHAIN_DEVICE_VIRT >> 39 & 511];
	return ok;
}

/* The list and the tables, in memory of the stage's own: no kernel writes there. */
static enum chain_status show(struct stage_assigned *g, struct kchain_device *list, struct chain_error *err)
{
	uint64_t list_bytes = page_up(g->count * sizeof(*list)), span = place(list, g->count, list_bytes);

	g->bytes = list_bytes + (TABLES + span / LARGE_BYTES) * PAGE;
	g->phys = stage_pages_alloc(g->bytes, PAGE, CHAIN_OWNER_HEAP);
	if (!g->phys)
		return chain_fail_no_memory(err, list->name, g->bytes);
	g->used = list_bytes;
	g->list = stage_phys_to_virt(g->phys);
	stage_zero(g->list, list_bytes);
	stage_copy(g->list, list, g->count * sizeof(*list));
	if (!map_all(g, list_bytes))
		stage_panic("tables for %llu bytes of registers do not fit their room", (unsigned long long)span);
	return CHAIN_OK;
}

/* --- the whole --- */

static void spin(void *ctx)
{
	(void)ctx;
	stage_pause();
}

enum chain_status stage_assigned_make(const struct stage_device_env *env, const struct stage_assigned_request *requests,
				      size_t count, struct stage_assigned **out, struct chain_error *err)
{
	struct stage_assigned *g = calloc(1, sizeof(*g) + count * sizeof(g->devices[0]));
	struct kchain_device *list = calloc(count, sizeof(*list));
	enum chain_status s = CHAIN_OK;

	if (!g || !list)
		s = chain_fail_no_memory(err, requests->name, count * sizeof(*list));
	if (g) {
		g->env = *env;
		g->env.idle = spin;
	}
	for (size_t i = 0; !s && i < count; i++, g->count++)
		s = take(&g->env, &requests[i], &g->devices[i], &list[i], err);
	if (!s)
		s = show(g, list, err);
	free(list);
	if (s)
		stage_assigned_free(g);
	else
		*out = g;
	return s;
}

void stage_assigned_free(struct stage_assigned *g)
{
	while (g) {
		struct stage_assigned *next = g->next;
		stage_assigned_end(g);
		if (g->phys && !g->lost) /* else the kernel may see them yet */
			stage_pages_free(g->phys, g->bytes);
		free(g);
		g = next;
	}
}

struct stage_assigned *stage_assigned_of(struct stage_assigned *list, uint64_t kernel)
{
	while (list && list->kernel != kernel)
		list = list->next;
	return list;
}

/* --- turns; no heap, no console --- */

void stage_assigned_begin(struct stage_assigned *g)
{
	for (size_t i = 0; g && i < g->count; i++) {
		struct stage_assigned_device *d = &g->devices[i];
		if (!d->there)
			continue;
		bool good = d->held.driver->reset(&d->held);
		strcpy(g->list[i].reason, good ? "" : "its reset does not finish");
		if (good)
			d->held.device.bus->attach(d->held.env, &d->held.device);
	}
}

void stage_assigned_end(struct stage_assigned *g)
{
	for (size_t i = 0; g && i < g->count; i++)
		if (g->devices[i].there)
			stage_device_quiesce(&g->devices[i].held);
}

void stage_assigned_lose(struct stage_assigned *g)
{
	stage_assigned_end(g);
	for (size_t i = 0; g && i < g->count; i++) {
		struct stage_assigned_device *d = &g->devices[i];
		g->lost = true;
		if (!d->there)
			continue;
		d->held.device.bus->hide(d->held.env, &d->held.device);
		strcpy(g->list[i].reason, "the processor of the kernel that had it did not come back");
		d->there = false;
	}
}
