/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Network cards for authors of native kernels. */

#include "kchain_device.h"

#include <kchain.h>

#include "stage/bulk.h"

#include <assert.h>

enum { FRAMES = STAGE_POLL_FRAMES };
static_assert((int)KCHAIN_NET_FRAME_BYTES == (int)STAGE_FRAME_BYTES, "frames");

struct kchain_net {
	struct kchain_open open;
	struct stage_netdev *dev;
	unsigned first, count; /* of the frames that came */
	size_t bytes[FRAMES];
	uint8_t frames[FRAMES][KCHAIN_NET_FRAME_BYTES];
};

struct kchain_net *kchain_net_open(const char *name)
{
	struct kchain_net *net = kchain_device_open(name, true, stage_net_drivers, sizeof(*net));
	struct chain_error err = { 0 };

	if (!net || !net->open.driver->open.net(net->open.env, &net->open.device, &net->dev, &err))
		return net;
	kchain_device_failed(&net->open, &err);
	kchain_device_close(&net->open);
	return NULL;
}

const uint8_t *kchain_net_mac(const struct kchain_net *net)
{
	return net->dev->mac;
}
bool kchain_net_link_up(struct kchain_net *net)
{
	return net->dev->ops->link_up(net->dev);
}

bool kchain_net_send(struct kchain_net *net, const void *frame, size_t bytes)
{
	struct chain_error err = { 0 };

	return !net->dev->ops->send(net->dev, frame, bytes, &err) || kchain_device_failed(&net->open, &err);
}

static void keep(void *ctx, const void *frame, size_t bytes)
{
	struct kchain_net *net = ctx;

	if (net->count == FRAMES) /* as if it had been lost on the way */
		return;
	stage_copy(net->frames[net->count], frame, bytes);
	net->bytes[net->count++] = bytes;
}

static void poll(struct kchain_net *net)
{
	net->first = net->count = 0;
	net->dev->ops->poll(net->dev, keep, net);
}

size_t kchain_net_receive(struct kchain_net *net, void *frame, uint64_t timeout_us)
{
	const struct stage_device_env *env = net->open.env;
	uint64_t start = env->now_us(env->ctx);

	while (net->first == net->count) {
		poll(net);
		if (net->first < net->count)
			break;
		if (net->dev->fault.status) {
			kchain_device_failed(&net->open, &net->dev->fault);
			return 0;
		}
		if (env->now_us(env->ctx) - start >= timeout_us) {
			kchain_device_refuse(net->open.name, "no frame in that time");
			return 0;
		}
		env->idle(env->ctx);
	}
	stage_copy(frame, net->frames[net->first], net->bytes[net->first]);
	return net->bytes[net->first++];
}

void kchain_net_close(struct kchain_net *net)
{
	if (!net)
		return;
	net->dev->ops->close(net->dev);
	kchain_device_close(&net->open);
}
