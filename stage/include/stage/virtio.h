/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: virtio 1.x devices behind a transport, and their split rings, polled (Virtual I/O Device 1.1, chapters 2 and
 * 3). The device is not trusted: what it writes is checked before it is used, and every wait has a deadline. Must not
 * know: what the device is. */
#ifndef STAGE_VIRTIO_H
#define STAGE_VIRTIO_H

#include "stage/driver.h"

#define VIRTIO_F_VERSION_1       (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM (UINT64_C(1) << 33)

enum { VIRTIO_QUEUE_SIZE = 64, VIRTIO_SEGMENTS = 3, VIRTIO_RESET_US = 500000 };

struct stage_virtio;

struct stage_virtio_transport {
	/* Finds the registers of v->device, and attaches it. */
	enum chain_status (*open)(struct stage_virtio *v, struct chain_error *err);
	uint8_t (*status)(struct stage_virtio *v);
	void (*set_status)(struct stage_virtio *v, uint8_t status);
	uint64_t (*features)(struct stage_virtio *v);
	void (*set_features)(struct stage_virtio *v, uint64_t features);
	/* Size the device offers for queue `index`, 0: there is none. */
	uint16_t (*queue_size)(struct stage_virtio *v, uint16_t index);
	/* Hands over the ring; returns where `index` is written when there is something new. Null: refused. */
	volatile void *(*queue_enable)(struct stage_virtio *v, uint16_t index, uint16_t size, const uint64_t phys[3]);
	/* Device configuration; bytes past its end read as 0. */
	uint8_t (*config)(struct stage_virtio *v, uint32_t offset);
	uint8_t (*config_generation)(struct stage_virtio *v);
};

struct stage_virtio {
	const struct stage_device_env *env;
	const struct stage_virtio_transport *transport;
	struct stage_device device;
	char subject[40];  /* "virtio-net 0000:00:03.0", for errors */
	uint64_t features; /* agreed on */
	/* From here on: the transport's. `common` is all that a reset needs. */
	volatile uint8_t *common, *notify, *config;
	uint64_t notify_bytes, config_bytes;
	uint32_t notify_multiplier;
	unsigned notify_width; /* bytes to write there */
};

/* Reads of the device configuration that are consistent (1.1, section 2.4.1): little-endian, `bytes` up to 8. */
uint64_t stage_virtio_config(struct stage_virtio *v, uint32_t offset, unsigned bytes);

/* Finds the device's modern interface, on whichever bus it is, and attaches it. `driver` is for errors. */
enum chain_status stage_virtio_open(const struct stage_device_env *env, const struct stage_device *device,
				    const char *driver, struct stage_virtio *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;
/* On PCI: transitional devices have a modern interface as well (1.1, section 4.1). */
extern const struct stage_virtio_transport stage_virtio_pci, stage_virtio_mmio;

/* The keys of a device of a type (1.1, sections 4.1.2.1 and 5): transitional and modern. */
enum {
	VIRTIO_TYPE_NET = 1,
	VIRTIO_TYPE_BLOCK = 2,
	VIRTIO_PCI_TRANSITIONAL = 0x1af40fff,
	VIRTIO_PCI_MODERN = 0x1af41040
};
#define VIRTIO_IDS(type)                                                                                               \
	{                                                                                                              \
		{ STAGE_KEY_PCI_ID, VIRTIO_PCI_TRANSITIONAL + (type) },                                                \
			{ STAGE_KEY_PCI_ID, VIRTIO_PCI_MODERN + (type) }, { STAGE_KEY_VIRTIO_MMIO, (type) },           \
			{ STAGE_KEY_NONE, 0 },                                                                         \
	}

/* Calls `visit` for each virtio-mmio device; false stops it. Whether there is any. */
bool stage_virtio_mmio_scan(const struct stage_device_env *env, stage_device_visit *visit, void *ctx);

/* The same members of all rows of virtio drivers. */
enum chain_status stage_virtio_hold(struct stage_held_device *held, struct chain_error *err);
bool stage_virtio_reset_held(struct stage_held_device *held);

/* 1.1, section 3.1.1 to step 6: reset, acknowledge, agree on `wanted` as far as offered; VERSION_1 is required. */
enum chain_status stage_virtio_begin(struct stage_virtio *v, uint64_t wanted, struct chain_error *err) CHAIN_MUST_CHECK;
/* Step 8: the queues are set up. */
void stage_virtio_ready(struct stage_virtio *v);
/* The device forgets all rings and touches memory no more, even when its reset never finishes. */
void stage_virtio_stop(struct stage_virtio *v);

struct stage_virtio_segment {
	uint64_t phys;
	uint32_t bytes;
	bool device_writes; /* all that do come behind all that don't */
};

/* One split ring. A slot is up to `chain` descriptors in a row; what was given to the device is remembered here, not
 * read back. */
struct stage_virtqueue {
	struct stage_virtio *virtio;
	uint16_t index, size, chain, slots, in_flight, avail_next, used_next;
	bool broken;
	volatile void *notify;
	uint8_t *memory;
	uint64_t memory_phys;
	size_t memory_bytes;
	uint32_t writable[VIRTIO_QUEUE_SIZE]; /* bytes the device may write, by slot */
	bool busy[VIRTIO_QUEUE_SIZE];
};

enum chain_status stage_virtqueue_open(struct stage_virtqueue *q, struct stage_virtio *v, uint16_t index,
				       uint16_t chain, struct chain_error *err) CHAIN_MUST_CHECK;
/* Only after stage_virtio_stop. */
void stage_virtqueue_close(struct stage_virtqueue *q);
/* Puts slot (not busy) on the ring without telling the device. `count` is 1 to the queue's chain. */
void stage_virtqueue_put(struct stage_virtqueue *q, uint16_t slot, const struct stage_virtio_segment *segments,
			 unsigned count);
void stage_virtqueue_kick(struct stage_virtqueue *q);
/* A slot the device is done with: *out_slot and the bytes it wrote, true. False when there is none; CHAIN_E_VIRTIO_RING
 * in `err` and q->broken when the device wrote nonsense: the queue is then not to be used any more. */
bool stage_virtqueue_take(struct stage_virtqueue *q, uint16_t *out_slot, uint32_t *out_bytes, struct chain_error *err);
/* Room for a slot. */
bool stage_virtqueue_free_slot(const struct stage_virtqueue *q, uint16_t *out_slot);

#endif
