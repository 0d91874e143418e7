/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/pci.h"

#include <stdio.h>
#include <string.h>

enum { CLASS_BRIDGE_PCI = 0x0604, SECONDARY_BUS = 0x19, HEADER_TYPE = 0x0e, MULTI_FUNCTION = 0x80 };
enum { STATUS_CAPABILITIES = 0x10, FIRST_CAPABILITY = 0x40, CONFIG_BYTES = 256, CAPABILITY_LIMIT = (256 - 0x40) / 4 };

struct walk {
	const struct stage_device_env *env;
	stage_pci_visit *visit;
	void *ctx;
	struct stage_pci_buses *buses;
	uint8_t queue[STAGE_PCI_BUSES]; /* buses to look at, in the order found */
	unsigned queued;
};

static void push_bus(struct walk *walk, uint8_t bus)
{
	if (walk->buses->seen[bus])
		return;
	walk->buses->seen[bus] = true;
	walk->queue[walk->queued++] = bus;
}

bool stage_pci_function_at(const struct stage_device_env *env, uint32_t bdf, struct stage_pci_function *out)
{
	uint32_t id = env->pci_read(env->ctx, bdf, 0, 4);

	*out = (struct stage_pci_function){ .bdf = bdf, .vendor = (uint16_t)id, .device = (uint16_t)(id >> 16) };
	if (out->vendor == 0xffff || out->vendor == 0)
		return false;
	out->class_code = env->pci_read(env->ctx, bdf, 0x08, 4) >> 8;
	out->header = env->pci_read(env->ctx, bdf, HEADER_TYPE, 1) & (MULTI_FUNCTION - 1);
	snprintf(out->name, sizeof out->name, "0000:%02x:%02x.%x", bdf >> 8 & 0xff, bdf >> 3 & 31, bdf & 7);
	return true;
}

/* False: the visitor wants no more. *out_header is 0xff where there is no function. */
static bool visit_function(struct walk *walk, uint32_t bdf, uint8_t *out_header)
{
	const struct stage_device_env *env = walk->env;
	struct stage_pci_function function;

	*out_header = 0xff;
	if (!stage_pci_function_at(env, bdf, &function))
		return true;
	*out_header = (uint8_t)env->pci_read(env->ctx, bdf, HEADER_TYPE, 1);
	if (function.class_code >> 8 == CLASS_BRIDGE_PCI && function.header == 1)
		push_bus(walk, (uint8_t)env->pci_read(env->ctx, bdf, SECONDARY_BUS, 1));
	return walk->visit(walk->ctx, &function);
}

static bool visit_bus(struct walk *walk, uint8_t bus)
{
	for (uint32_t device = 0; device < 32; device++) {
		unsigned functions = 1;
		for (uint32_t f = 0; f < functions; f++) {
			uint8_t header;
			if (!visit_function(walk, (uint32_t)bus << 8 | device << 3 | f, &header))
				return false;
			if (f == 0 && header != 0xff && header & MULTI_FUNCTION)
				functions = 8;
		}
	}
	return true;
}

/* A bus, and those behind its bridges. False: the visitor wants no more. */
static bool visit_root(struct walk *walk, uint8_t bus)
{
	walk->queued = 0;
	push_bus(walk, bus);
	for (unsigned i = 0; i < walk->queued; i++) {
		if (!visit_bus(walk, walk->queue[i]))
			return false;
	}
	return true;
}

/* Function 0 is there where any other is (3.0, section 3.2.2.3.4). */
static bool has_device(const struct stage_device_env *env, uint8_t bus)
{
	struct stage_pci_function function;

	for (uint32_t device = 0; device < 32; device++) {
		if (stage_pci_function_at(env, (uint32_t)bus << 8 | device << 3, &function))
			return true;
	}
	return false;
}

void stage_pci_scan(const struct stage_device_env *env, struct stage_pci_buses *buses, stage_pci_visit *visit,
		    void *ctx)
{
	struct walk walk = { .env = env, .visit = visit, .ctx = ctx, .buses = buses };

	*buses = (struct stage_pci_buses){ .present = env->pci_present(env->ctx) };
	if (buses->present)
		visit_root(&walk, 0);
}

void stage_pci_scan_others(const struct stage_device_env *env, struct stage_pci_buses *buses, stage_pci_visit *visit,
			   void *ctx)
{
	struct walk walk = { .env = env, .visit = visit, .ctx = ctx, .buses = buses };

	for (unsigned bus = 1; buses->present && bus < STAGE_PCI_BUSES; bus++) {
		if (!buses->seen[bus] && has_device(env, (uint8_t)bus) && !visit_root(&walk, (uint8_t)bus))
			return;
	}
}

/* So many hexadecimal digits, then `end`. */
static bool take_hex(const char **at, unsigned digits, char end, uint32_t *out)
{
	for (*out = 0; digits; digits--, ++*at) {
		uint32_t digit = (uint8_t) * *at - (uint32_t)'0', letter = ((uint8_t) * *at | 0x20u) - 'a';
		if (digit > 9)
			digit = letter < 6 ? letter + 10 : 16;
		if (digit > 15)
			return false;
		*out = *out << 4 | digit;
	}
	return *(*at)++ == end;
}

bool stage_pci_find(const struct stage_device_env *env, const char *name, struct stage_pci_function *out)
{
	uint32_t domain, bus, device, function;

	if (!take_hex(&name, 4, ':', &domain) || !take_hex(&name, 2, ':', &bus) || !take_hex(&name, 2, '.', &device) ||
	    !take_hex(&name, 1, '\0', &function) || domain || device > 31 || function > 7)
		return false;
	return env->pci_present(env->ctx) && stage_pci_function_at(env, bus << 8 | device << 3 | function, out);
}

void stage_pci_command(const struct stage_device_env *env, uint32_t bdf, uint16_t set, uint16_t clear)
{
	uint32_t command = env->pci_read(env->ctx, bdf, STAGE_PCI_COMMAND, 2);

	env->pci_write(env->ctx, bdf, STAGE_PCI_COMMAND, 2, (command & ~(uint32_t)clear) | set);
}

/* What of the register can be written says how large it is; the old value is put back. */
static uint32_t probe_bits(const struct stage_device_env *env, uint32_t bdf, uint32_t offset)
{
	uint32_t old = env->pci_read(env->ctx, bdf, offset, 4);
	uint32_t bits;

	env->pci_write(env->ctx, bdf, offset, 4, 0xffffffff);
	bits = env->pci_read(env->ctx, bdf, offset, 4);
	env->pci_write(env->ctx, bdf, offset, 4, old);
	return bits;
}

enum chain_status stage_pci_bar(const struct stage_device_env *env, const struct stage_pci_function *function,
				unsigned index, struct stage_pci_bar *out, struct chain_error *err)
{
	uint32_t offset = STAGE_PCI_BAR0 + index * 4, low, command;
	uint64_t mask, end;
	bool wide;

	*out = (struct stage_pci_bar){ 0 };
	if (index >= STAGE_PCI_BARS || function->header != 0)
		return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = function->name, .detail = "no such register",
				  .index = index, .value = 0);
	low = env->pci_read(env->ctx, function->bdf, offset, 4);
	wide = (low >> 1 & 3) == 2;
	if (low & 1 || (wide && index == STAGE_PCI_BARS - 1))
		return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = function->name, .detail = "not a memory register",
				  .index = index, .value = low);
	command = env->pci_read(env->ctx, function->bdf, STAGE_PCI_COMMAND, 2);
	stage_pci_command(env, function->bdf, 0, STAGE_PCI_COMMAND_IO | STAGE_PCI_COMMAND_MEMORY);
	mask = probe_bits(env, function->bdf, offset) & ~15u;
	mask |= wide ? (uint64_t)probe_bits(env, function->bdf, offset + 4) << 32 : 0xffffffff00000000;
	env->pci_write(env->ctx, function->bdf, STAGE_PCI_COMMAND, 2, command);
	out->phys = (low & ~15u) | (wide ? (uint64_t)env->pci_read(env->ctx, function->bdf, offset + 4, 4) << 32 : 0);
	out->bytes = ~mask + 1;
	if (mask << 32 == 0 && !wide)
		out->bytes = 0;
	if (out->bytes & (out->bytes - 1)) { /* the bits of an address come without gaps (6.2.5.1) */
		*out = (struct stage_pci_bar){ 0 };
		return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = function->name,
				  .detail = "what of it can be written is no size", .index = index,
				  .value = (uint32_t)mask);
	}
	if (out->phys == 0 || out->bytes == 0 || __builtin_add_overflow(out->phys, out->bytes, &end)) {
		low = (uint32_t)out->phys;
		*out = (struct stage_pci_bar){ 0 };
		return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = function->name,
				  .detail = "the firmware gave it no address", .index = index, .value = low);
	}
	if (end > STAGE_MMIO_LIMIT) {
		low = (uint32_t)(out->phys >> 32);
		*out = (struct stage_pci_bar){ 0 };
		return CHAIN_FAIL(err, PCI_BAD_BAR, .subject = function->name,
				  .detail = "the address, of which these are the upper 32 bits, is too high",
				  .index = index, .value = low);
	}
	return CHAIN_OK;
}

enum chain_status stage_pci_capability(const struct stage_device_env *env, const struct stage_pci_function *function,
				       uint8_t id, uint32_t after, uint32_t *out, struct chain_error *err)
{
	uint32_t at;

	*out = 0;
	if (!(env->pci_read(env->ctx, function->bdf, STAGE_PCI_STATUS, 2) & STATUS_CAPABILITIES))
		return CHAIN_OK;
	at = env->pci_read(env->ctx, function->bdf, after ? after + 1 : STAGE_PCI_CAPABILITIES, 1) & ~3u;
	for (unsigned n = 0; at != 0; n++) {
		if (at < FIRST_CAPABILITY || n == CAPABILITY_LIMIT)
			return CHAIN_FAIL(err, PCI_BAD_CAPABILITIES, .subject = function->name, .offset = at,
					  .limit = CAPABILITY_LIMIT);
		if (env->pci_read(env->ctx, function->bdf, at, 1) == id) {
			*out = at;
			return CHAIN_OK;
		}
		at = env->pci_read(env->ctx, function->bdf, at + 1, 1) & ~3u;
	}
	return CHAIN_OK;
}
