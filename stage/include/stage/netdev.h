/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the interface between Ethernet drivers and whatever speaks through them.
 * Must not know: IP, or any driver. */
#ifndef STAGE_NETDEV_H
#define STAGE_NETDEV_H

#include "stage/device.h"

enum {
	STAGE_FRAME_BYTES = 1514, /* longest Ethernet frame, without its checksum */
	STAGE_POLL_FRAMES = 16    /* as many as one poll delivers at most */
};

struct stage_netdev;

/* A received frame, borrowed during the call. */
typedef void stage_netdev_receive(void *ctx, const void *frame, size_t bytes);

struct stage_netdev_ops {
	/* Copies the frame and hands it to the device. CHAIN_E_NET_FRAME, CHAIN_E_NET_BUSY, CHAIN_E_VIRTIO_RING. */
	enum chain_status (*send)(struct stage_netdev *dev, const void *frame, size_t bytes, struct chain_error *err);
	/* Delivers what has arrived, at most STAGE_POLL_FRAMES. A broken device is recorded in dev->fault and stays
	 * silent. */
	void (*poll)(struct stage_netdev *dev, stage_netdev_receive *receive, void *ctx);
	bool (*link_up)(struct stage_netdev *dev);
	/* Stops the device for good and frees it. */
	void (*close)(struct stage_netdev *dev);
};

struct stage_netdev {
	const struct stage_netdev_ops *ops;
	struct stage_netdev *next;
	const char *driver; /* "virtio-net" */
	const struct stage_bus *bus;
	char place[STAGE_PLACE_BYTES]; /* on its bus */
	uint8_t mac[6];
	uint16_t mtu;
	struct chain_error fault; /* CHAIN_OK while it works */
};

#endif
