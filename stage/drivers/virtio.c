/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/virtio.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_FAILED = 128 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, AVAIL_NO_INTERRUPT = 1, CONFIG_TRIES = 8 };

/* 1.1, section 2.6.5 */
struct descriptor {
	uint64_t phys;
	uint32_t bytes;
	uint16_t flags, next;
};
static_assert(sizeof(struct descriptor) == 16, "virtio descriptor");

struct used_element {
	uint32_t id, bytes;
};
static_assert(sizeof(struct used_element) == 8, "virtio used element");

/* Where the parts of a ring of `size` lie in its memory (sections 2.6.6 and 2.6.8): flags, index, then the entries. */
static size_t avail_offset(uint16_t size)
{
	return (size_t)size * sizeof(struct descriptor);
}

static size_t used_offset(uint16_t size)
{
	return (avail_offset(size) + 6 + 2 * (size_t)size + 3) & ~(size_t)3;
}

/* Which transport is the bus's. */
static const struct stage_virtio_transport *transport_of(const struct stage_device *device)
{
	return device->bus == &stage_bus_mmio ? &stage_virtio_mmio : &stage_virtio_pci;
}

enum chain_status stage_virtio_open(const struct stage_device_env *env, const struct stage_device *device,
				    const char *driver, struct stage_virtio *out, struct chain_error *err)
{
	*out = (struct stage_virtio){ .env = env, .transport = transport_of(device), .device = *device };
	snprintf(out->subject, sizeof(out->subject), "%s %s", driver, device->place);
	return out->transport->open(out, err);
}

enum chain_status stage_virtio_hold(struct stage_held_device *held, struct chain_error *err)
{
	struct stage_virtio virtio;
	enum chain_status status = stage_virtio_open(held->env, &held->device, held->driver->name, &virtio, err);
	held->registers = virtio.common;
	return status;
}

/* The device forgets all that it was told, and does nothing. False: not within VIRTIO_RESET_US. */
static bool reset(struct stage_virtio *v)
{
	uint64_t deadline = v->env->now_us(v->env->ctx) + VIRTIO_RESET_US;

	v->transport->set_status(v, 0);
	while (v->transport->status(v) != 0) {
		if (v->env->now_us(v->env->ctx) >= deadline)
			return false;
		v->env->idle(v->env->ctx);
	}
	return true;
}

bool stage_virtio_reset_held(struct stage_held_device *held)
{
	struct stage_virtio virtio = { .env = held->env,
				       .transport = transport_of(&held->device),
				       .common = held->registers };
	return reset(&virtio);
}

uint64_t stage_virtio_config(struct stage_virtio *v, uint32_t offset, unsigned bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < CONFIG_TRIES; i++) {
		uint8_t before = v->transport->config_generation(v);
		value = 0;
		for (unsigned b = 0; b < bytes; b++)
			value |= (uint64_t)v->transport->config(v, offset + b) << (8 * b);
		if (v->transport->config_generation(v) == before)
			break;
	}
	return value;
}

enum chain_status stage_virtio_begin(struct stage_virtio *v, uint64_t wanted, struct chain_error *err)
{
	const struct stage_virtio_transport *t = v->transport;
	uint64_t offered;

	if (!reset(v))
		return CHAIN_FAIL(err, DEVICE_RESET, .subject = v->subject, .limit_ms = VIRTIO_RESET_US / 1000);
	t->set_status(v, STATUS_ACKNOWLEDGE);
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	offered = t->features(v);
	if (!(offered & VIRTIO_F_VERSION_1)) {
		t->set_status(v, STATUS_FAILED);
		return chain_fail_subject(err, CHAIN_E_VIRTIO_LEGACY, v->subject);
	}
	v->features = offered & (wanted | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM);
	t->set_features(v, v->features);
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	if (!(t->status(v) & STATUS_FEATURES_OK)) {
		t->set_status(v, STATUS_FAILED);
		return CHAIN_FAIL(err, VIRTIO_FEATURES, .subject = v->subject, .offered = offered,
				  .features = v->features);
	}
	return CHAIN_OK;
}

void stage_virtio_ready(struct stage_virtio *v)
{
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

void stage_virtio_stop(struct stage_virtio *v)
{
	/* A reset that never finishes is no reason to stay: without PCI's bus nothing of the device reaches memory. */
	(void)reset(v);
	v->device.bus->detach(v->env, &v->device);
}

enum chain_status stage_virtqueue_open(struct stage_virtqueue *q, struct stage_virtio *v, uint16_t index,
				       uint16_t chain, struct chain_error *err)
{
	const struct stage_device_env *env = v->env;
	uint16_t size = v->transport->queue_size(v, index);
	uint64_t phys[3];

	*q = (struct stage_virtqueue){ .virtio = v, .index = index, .chain = chain };
	if (size > VIRTIO_QUEUE_SIZE)
		size = VIRTIO_QUEUE_SIZE;
	while (size & (size - 1)) /* the greatest power of two below */
		size &= (uint16_t)(size - 1);
	if (size < chain)
		return CHAIN_FAIL(err, VIRTIO_QUEUE, .subject = v->subject, .queue = index, .entries = size,
				  .wanted = chain);
	q->size = size;
	q->slots = size / chain;
	q->memory_bytes = used_offset(size) + 6 + sizeof(struct used_element) * size;
	q->memory = env->dma_alloc(env->ctx, q->memory_bytes, &q->memory_phys);
	if (!q->memory)
		return chain_fail_no_memory(err, v->subject, q->memory_bytes);
	*(volatile uint16_t *)(void *)(q->memory + avail_offset(size)) = AVAIL_NO_INTERRUPT;
	phys[0] = q->memory_phys;
	phys[1] = q->memory_phys + avail_offset(size);
	phys[2] = q->memory_phys + used_offset(size);
	q->notify = v->transport->queue_enable(v, index, size, phys);
	if (!q->notify) {
		stage_virtqueue_close(q);
		return CHAIN_FAIL(err, VIRTIO_NOTIFY, .subject = v->subject, .queue = index, .bytes = v->notify_bytes);
	}
	return CHAIN_OK;
}

void stage_virtqueue_close(struct stage_virtqueue *q)
{
	if (q->memory)
		q->virtio->env->dma_free(q->virtio->env->ctx, q->memory, q->memory_phys, q->memory_bytes);
	q->memory = NULL;
}

bool stage_virtqueue_free_slot(const struct stage_virtqueue *q, uint16_t *out_slot)
{
	for (uint16_t i = 0; !q->broken && i < q->slots; i++) {
		if (!q->busy[i]) {
			*out_slot = i;
			return true;
		}
	}
	return false;
}

void stage_virtqueue_put(struct stage_virtqueue *q, uint16_t slot, const struct stage_virtio_segment *segments,
			 unsigned count)
{
	uint16_t head = (uint16_t)(slot * q->chain);
	volatile struct descriptor *d = (volatile struct descriptor *)(void *)q->memory + head;
	volatile uint16_t *avail = (volatile uint16_t *)(void *)(q->memory + avail_offset(q->size));

	q->writable[slot] = 0;
	for (unsigned i = 0; i < count; i++) {
		d[i].phys = segments[i].phys;
		d[i].bytes = segments[i].bytes;
		d[i].flags = (uint16_t)((segments[i].device_writes ? DESC_WRITE : 0) | (i + 1 < count ? DESC_NEXT : 0));
		d[i].next = (uint16_t)(head + i + 1);
		if (segments[i].device_writes)
			q->writable[slot] += segments[i].bytes;
	}
	q->busy[slot] = true;
	q->in_flight++;
	avail[2 + (q->avail_next & (q->size - 1))] = head;
	q->avail_next++;
	__atomic_thread_fence(__ATOMIC_RELEASE); /* the entry before the index (2.6.13.3) */
	avail[1] = q->avail_next;
}

void stage_virtqueue_kick(struct stage_virtqueue *q)
{
	const struct stage_device_env *env = q->virtio->env;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	env->mmio_write(env->ctx, q->notify, q->virtio->notify_width, q->index);
}

static bool ring_broken(struct stage_virtqueue *q, const char *what, uint64_t value, uint64_t limit,
			struct chain_error *err)
{
	q->broken = true;
	(void)!CHAIN_FAIL(err, VIRTIO_RING, .subject = q->virtio->subject, .detail = what, .queue = q->index,
			  .value = value, .limit = limit);
	return false;
}

bool stage_virtqueue_take(struct stage_virtqueue *q, uint16_t *out_slot, uint32_t *out_bytes, struct chain_error *err)
{
	const uint8_t *used = q->memory + used_offset(q->size);
	const volatile struct used_element *ring = (const volatile void *)(used + 4);
	uint16_t done, slot;
	uint32_t id, bytes;

	if (q->broken)
		return false;
	done = (uint16_t)(*(const volatile uint16_t *)(const void *)(used + 2) - q->used_next);
	if (done == 0)
		return false;
	if (done > q->in_flight)
		return ring_broken(q, "more requests done than were made", done, q->in_flight, err);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index before the entry */
	id = ring[q->used_next & (q->size - 1)].id;
	bytes = ring[q->used_next & (q->size - 1)].bytes;
	slot = (uint16_t)(id / q->chain);
	if (id % q->chain != 0 || id / q->chain >= q->slots || !q->busy[slot])
		return ring_broken(q, "a request that was not made is said to be done", id, q->size, err);
	if (bytes > q->writable[slot])
		return ring_broken(q, "more bytes written than there was room for", bytes, q->writable[slot], err);
	q->used_next++;
	q->in_flight--;
	q->busy[slot] = false;
	*out_slot = slot;
	*out_bytes = bytes;
	return true;
}
