/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* virtio devices whose registers lie in memory, and the bus that such places make up (Virtual I/O Device 1.1, section
 * 4.2). */
#include "stage/virtio.h"

#include <stdio.h>
#include <stdlib.h>

/* Table 4.1 */
enum {
	MAGIC = 0x00,
	VERSION = 0x04,
	DEVICE_ID = 0x08,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SELECT = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SELECT = 0x24,
	QUEUE_SELECT = 0x30,
	QUEUE_SIZE_MOST = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	STATUS = 0x70,
	QUEUE_DESC = 0x80,
	QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0,
	GENERATION = 0xfc,
	CONFIG = 0x100,
};
enum { MAGIC_VALUE = 0x74726976, MODERN = 2 };

/* --- the bus --- */

static uint32_t get_at(const struct stage_device_env *env, const volatile uint8_t *registers, uint32_t offset)
{
	return env->mmio_read(env->ctx, registers + offset, 4);
}

/* False: there is none. A place without a device says so by the id 0. */
static bool probe(const struct stage_device_env *env, struct stage_mmio_place place, struct stage_device *out)
{
	const volatile uint8_t *registers = place.bytes < CONFIG ? NULL : env->map(env->ctx, place.phys, place.bytes);
	uint32_t type;

	if (!registers || get_at(env, registers, MAGIC) != MAGIC_VALUE)
		return false;
	type = get_at(env, registers, DEVICE_ID);
	*out = (struct stage_device){ .bus = &stage_bus_mmio, .mmio = place, .keys[STAGE_KEY_VIRTIO_MMIO] = type };
	snprintf(out->place, sizeof(out->place), "0x%llx", (unsigned long long)place.phys);
	return type != 0;
}

bool stage_virtio_mmio_scan(const struct stage_device_env *env, stage_device_visit *visit, void *ctx)
{
	struct stage_mmio_place place;
	struct stage_device device;
	bool any = false;

	for (unsigned i = 0; i < STAGE_MMIO_PLACES && env->mmio_place(env->ctx, i, &place); i++) {
		if (!probe(env, place, &device))
			continue;
		any = true;
		if (!visit(ctx, &device))
			break;
	}
	return any;
}

/* Only where the machine may have one: nothing is read at an address that a document made up. */
static bool find(const struct stage_device_env *env, const char *name, struct stage_device *out)
{
	struct stage_mmio_place place;
	char *end;
	uint64_t phys = strtoull(name, &end, 16);

	if (name[0] != '0' || (name[1] | 0x20) != 'x' || *end)
		return false;
	for (unsigned i = 0; i < STAGE_MMIO_PLACES && env->mmio_place(env->ctx, i, &place); i++)
		if (place.phys == phys)
			return probe(env, place, out);
	return false;
}

/* There is no switch between such a device and memory, nor one before its registers: its reset has to do. */
static void nothing(const struct stage_device_env *env, const struct stage_device *device)
{
	(void)env;
	(void)device;
}

const struct stage_bus stage_bus_mmio = { "mmio", find, nothing, nothing, nothing };

/* --- the transport --- */

static uint32_t get(struct stage_virtio *v, uint32_t offset)
{
	return get_at(v->env, v->common, offset);
}

static void set(struct stage_virtio *v, uint32_t offset, uint32_t value)
{
	v->env->mmio_write(v->env->ctx, v->common + offset, 4, value);
}

static uint8_t status(struct stage_virtio *v)
{
	return (uint8_t)get(v, STATUS);
}
static void set_status(struct stage_virtio *v, uint8_t value)
{
	set(v, STATUS, value);
}
static uint8_t generation(struct stage_virtio *v)
{
	return (uint8_t)get(v, GENERATION);
}

static uint64_t features(struct stage_virtio *v)
{
	uint64_t low;

	set(v, DEVICE_FEATURES_SELECT, 0);
	low = get(v, DEVICE_FEATURES);
	set(v, DEVICE_FEATURES_SELECT, 1);
	return low | (uint64_t)get(v, DEVICE_FEATURES) << 32;
}

static void set_features(struct stage_virtio *v, uint64_t value)
{
	set(v, DRIVER_FEATURES_SELECT, 0);
	set(v, DRIVER_FEATURES, (uint32_t)value);
	set(v, DRIVER_FEATURES_SELECT, 1);
	set(v, DRIVER_FEATURES, (uint32_t)(value >> 32));
}

static uint16_t queue_size(struct stage_virtio *v, uint16_t index)
{
	uint32_t most;

	set(v, QUEUE_SELECT, index);
	most = get(v, QUEUE_READY) ? 0 : get(v, QUEUE_SIZE_MOST);
	return most > UINT16_MAX ? UINT16_MAX : (uint16_t)most;
}

static void set64(struct stage_virtio *v, uint32_t offset, uint64_t value)
{
	set(v, offset, (uint32_t)value);
	set(v, offset + 4, (uint32_t)(value >> 32));
}

static volatile void *queue_enable(struct stage_virtio *v, uint16_t index, uint16_t size, const uint64_t phys[3])
{
	set(v, QUEUE_SELECT, index);
	set(v, QUEUE_SIZE, size);
	set64(v, QUEUE_DESC, phys[0]);
	set64(v, QUEUE_DRIVER, phys[1]);
	set64(v, QUEUE_DEVICE, phys[2]);
	set(v, QUEUE_READY, 1);
	return v->common + QUEUE_NOTIFY;
}

static uint8_t config(struct stage_virtio *v, uint32_t offset)
{
	return offset < v->config_bytes ? (uint8_t)v->env->mmio_read(v->env->ctx, v->config + offset, 1) : 0;
}

static enum chain_status open_mmio(struct stage_virtio *v, struct chain_error *err)
{
	const struct stage_mmio_place *place = &v->device.mmio;
	uint32_t version;

	v->common = v->env->map(v->env->ctx, place->phys, place->bytes);
	if (!v->common)
		return chain_fail_no_memory(err, v->subject, place->bytes);
	version = get(v, VERSION);
	if (version != MODERN)
		return CHAIN_FAIL(err, VIRTIO_MMIO_VERSION, .subject = v->subject, .version = version,
				  .wanted = MODERN);
	v->config = v->common + CONFIG;
	v->config_bytes = place->bytes - CONFIG;
	v->notify_width = 4;
	return CHAIN_OK;
}

const struct stage_virtio_transport stage_virtio_mmio = {
	.open = open_mmio,
	.status = status,
	.set_status = set_status,
	.features = features,
	.set_features = set_features,
	.queue_size = queue_size,
	.queue_enable = queue_enable,
	.config = config,
	.config_generation = generation,
};
