/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Virtual I/O Device 1.1, section 5.1. */
#include "stage/bulk.h"
#include "stage/netdev.h"
#include "stage/virtio.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_RECEIVE = 0, QUEUE_SEND = 1, HEADER_BYTES = 12, BUFFER_BYTES = 2048, BUFFERS = STAGE_POLL_FRAMES };
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_MTU = 10, MTU_LEAST = 68, MTU_MOST = 1500, SEND_MS = 100 };
#define F_MTU    (UINT64_C(1) << 3)
#define F_MAC    (UINT64_C(1) << 5)
#define F_STATUS (UINT64_C(1) << 16)

struct virtio_net {
	struct stage_netdev dev; /* first: the interface's pointer is ours */
	struct stage_virtio virtio;
	struct stage_virtqueue receive, send;
	uint8_t *buffers; /* BUFFERS to receive into, then BUFFERS to send from */
	uint64_t buffers_phys;
};
enum { BUFFERS_BYTES = 2 * BUFFERS * BUFFER_BYTES };

static uint16_t usable(const struct stage_virtqueue *q)
{
	return q->slots < BUFFERS ? q->slots : BUFFERS;
}

static void offer_buffer(struct virtio_net *net, uint16_t slot)
{
	struct stage_virtio_segment segment = { net->buffers_phys + (uint64_t)slot * BUFFER_BYTES, BUFFER_BYTES, true };

	stage_virtqueue_put(&net->receive, slot, &segment, 1);
}

static enum chain_status stop_broken(struct virtio_net *net, struct chain_error *err)
{
	if (!net->dev.fault.status) {
		net->dev.fault = *err;
		stage_virtio_stop(&net->virtio);
	}
	return net->dev.fault.status;
}

static void reclaim(struct virtio_net *net, struct chain_error *err)
{
	uint16_t slot;
	uint32_t bytes;

	while (stage_virtqueue_take(&net->send, &slot, &bytes, err))
		;
}

/* A slot that has a buffer and is free, waiting for one as long as a working device may take. */
static bool send_slot(struct virtio_net *net, uint16_t *slot, struct chain_error *err)
{
	const struct stage_device_env *env = net->virtio.env;
	uint64_t deadline = 0;

	for (;;) {
		reclaim(net, err);
		if (net->send.broken)
			return false;
		if (stage_virtqueue_free_slot(&net->send, slot) && *slot < BUFFERS)
			return true;
		if (!deadline)
			deadline = env->now_us(env->ctx) + SEND_MS * 1000;
		else if (env->now_us(env->ctx) >= deadline)
			return false;
		env->idle(env->ctx);
	}
}

static enum chain_status send_frame(struct stage_netdev *dev, const void *frame, size_t bytes, struct chain_error *err)
{
	struct virtio_net *net = (struct virtio_net *)dev;
	struct stage_virtio_segment segment = { .device_writes = false };
	struct chain_error fault = { 0 };
	uint16_t slot;
	uint8_t *at;

	if (dev->fault.status)
		return chain_fail_again(err, &dev->fault, NULL);
	if (bytes > STAGE_FRAME_BYTES)
		return CHAIN_FAIL(err, NET_FRAME, .subject = net->virtio.subject, .bytes = bytes,
				  .limit = STAGE_FRAME_BYTES);
	if (!send_slot(net, &slot, &fault)) {
		if (fault.status) {
			(void)stop_broken(net, &fault);
			return chain_fail_again(err, &fault, NULL);
		}
		return CHAIN_FAIL(err, NET_BUSY, .subject = net->virtio.subject, .limit_ms = SEND_MS);
	}
	at = net->buffers + (size_t)(BUFFERS + slot) * BUFFER_BYTES;
	memset(at, 0, HEADER_BYTES);
	stage_copy(at + HEADER_BYTES, frame, bytes);
	segment.phys = net->buffers_phys + (uint64_t)(BUFFERS + slot) * BUFFER_BYTES;
	segment.bytes = HEADER_BYTES + (uint32_t)bytes;
	stage_virtqueue_put(&net->send, slot, &segment, 1);
	stage_virtqueue_kick(&net->send);
	return CHAIN_OK;
}

static void poll_frames(struct stage_netdev *dev, stage_netdev_receive *receive, void *ctx)
{
	struct virtio_net *net = (struct virtio_net *)dev;
	struct chain_error fault = { 0 };
	uint16_t slot;
	uint32_t bytes;
	unsigned taken = 0;

	if (dev->fault.status)
		return;
	while (taken < BUFFERS && stage_virtqueue_take(&net->receive, &slot, &bytes, &fault)) {
		taken++;
		if (bytes > HEADER_BYTES && bytes - HEADER_BYTES <= STAGE_FRAME_BYTES)
			receive(ctx, net->buffers + (size_t)slot * BUFFER_BYTES + HEADER_BYTES, bytes - HEADER_BYTES);
		offer_buffer(net, slot);
	}
	if (fault.status)
		(void)stop_broken(net, &fault);
	else if (taken)
		stage_virtqueue_kick(&net->receive);
}

static bool link_up(struct stage_netdev *dev)
{
	struct virtio_net *net = (struct virtio_net *)dev;

	return !dev->fault.status &&
	       (!(net->virtio.features & F_STATUS) || stage_virtio_config(&net->virtio, CONFIG_STATUS, 2) & 1);
}

static void close_net(struct stage_netdev *dev)
{
	struct virtio_net *net = (struct virtio_net *)dev;
	const struct stage_device_env *env = net->virtio.env;

	stage_virtio_stop(&net->virtio);
	stage_virtqueue_close(&net->receive);
	stage_virtqueue_close(&net->send);
	if (net->buffers)
		env->dma_free(env->ctx, net->buffers, net->buffers_phys, BUFFERS_BYTES);
	free(net);
}

static const struct stage_netdev_ops ops = {
	.send = send_frame, .poll = poll_frames, .link_up = link_up, .close = close_net
};

static void read_identity(struct virtio_net *net)
{
	struct stage_virtio *v = &net->virtio;
	uint64_t mtu = v->features & F_MTU ? stage_virtio_config(v, CONFIG_MTU, 2) : MTU_MOST;
	uint64_t mac = stage_virtio_config(v, CONFIG_MAC, 6);

	if (!(v->features & F_MAC)) /* none of its own: a random one, marked local and unicast */
		mac = ((uint64_t)v->env->random(v->env->ctx) << 16 & 0xffffffff0000) | 0x0002;
	for (unsigned i = 0; i < 6; i++)
		net->dev.mac[i] = (uint8_t)(mac >> (8 * i));
	net->dev.mtu = (uint16_t)(mtu < MTU_LEAST || mtu > MTU_MOST ? MTU_MOST : mtu);
}

static enum chain_status start(struct virtio_net *net, struct chain_error *err)
{
	const struct stage_device_env *env = net->virtio.env;
	enum chain_status s = stage_virtio_begin(&net->virtio, F_MAC | F_STATUS | F_MTU, err);

	if (!s)
		s = stage_virtqueue_open(&net->receive, &net->virtio, QUEUE_RECEIVE, 1, err);
	if (!s)
		s = stage_virtqueue_open(&net->send, &net->virtio, QUEUE_SEND, 1, err);
	if (s)
		return s;
	net->buffers = env->dma_alloc(env->ctx, BUFFERS_BYTES, &net->buffers_phys);
	if (!net->buffers)
		return chain_fail_no_memory(err, net->virtio.subject, BUFFERS_BYTES);
	read_identity(net);
	for (uint16_t slot = 0; slot < usable(&net->receive); slot++)
		offer_buffer(net, slot);
	stage_virtio_ready(&net->virtio);
	stage_virtqueue_kick(&net->receive);
	return CHAIN_OK;
}

extern const struct stage_driver stage_virtio_net;

static enum chain_status open_net(const struct stage_device_env *env, const struct stage_device *device,
				  struct stage_netdev **out, struct chain_error *err)
{
	struct virtio_net *net = calloc(1, sizeof *net);
	enum chain_status s;

	if (!net)
		return chain_fail_no_memory(err, device->place, sizeof *net);
	net->dev.ops = &ops;
	net->dev.driver = stage_virtio_net.name;
	net->dev.bus = device->bus;
	memcpy(net->dev.place, device->place, sizeof net->dev.place);
	s = stage_virtio_open(env, device, net->dev.driver, &net->virtio, err);
	if (s) {
		free(net);
		return s;
	}
	s = start(net, err);
	if (s) {
		close_net(&net->dev);
		return s;
	}
	*out = &net->dev;
	return CHAIN_OK;
}

const struct stage_driver stage_virtio_net = {
	.name = "virtio-net",
	.ids = (const struct stage_device_id[])VIRTIO_IDS(VIRTIO_TYPE_NET),
	.open.net = open_net,
	.hold = stage_virtio_hold,
	.reset = stage_virtio_reset_held,
};
