/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Virtual I/O Device 1.1, section 5.2. One request at a time, through a buffer of the driver's own. */
#include "buffered_disk.h"
#include "stage/virtio.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_READ = 0, REQUEST_GET_ID = 8, STATUS_OK = 0, STATUS_IO_ERROR = 1, STATUS_UNSUPPORTED = 2 };
enum {
	CONFIG_CAPACITY = 0,
	CONFIG_SIZE_MAX = 8,
	CONFIG_BLOCK_SIZE = 20,
	UNIT_BYTES = 512,
	REQUEST_MS = BUFFERED_DISK_MS
};
enum {
	DATA_BYTES = BUFFERED_DISK_BYTES,
	HEADER_AT = DATA_BYTES,
	STATUS_AT = HEADER_AT + 16,
	BUFFER_BYTES = DATA_BYTES + 4096
};
#define F_SIZE_MAX   (UINT64_C(1) << 1)
#define F_READ_ONLY  (UINT64_C(1) << 5)
#define F_BLOCK_SIZE (UINT64_C(1) << 6)

struct request_header {
	uint32_t type, reserved;
	uint64_t sector; /* in units of 512 bytes, whatever the block size */
};
static_assert(sizeof(struct request_header) == 16, "virtio-blk request");

struct virtio_blk {
	struct buffered_disk disk; /* first: the interface's pointer is ours */
	struct stage_virtio virtio;
	struct stage_virtqueue queue;
	uint8_t *buffer;
	uint64_t buffer_phys;
};

static enum chain_status stop_broken(struct virtio_blk *blk, const struct chain_error *fault, struct chain_error *err)
{
	/* What was asked for may still be written: the device must let go of the buffer before anybody else gets it. */
	stage_virtio_stop(&blk->virtio);
	blk->disk.dev.fault = *fault;
	return chain_fail_again(err, fault, NULL);
}

/* Puts one request on the ring and waits for it. */
static enum chain_status request(struct virtio_blk *blk, uint32_t type, uint64_t unit, uint32_t bytes,
				 struct chain_error *err)
{
	const struct stage_device_env *env = blk->virtio.env;
	struct request_header header = { .type = type, .sector = unit };
	struct stage_virtio_segment segments[] = {
		{ blk->buffer_phys + HEADER_AT, sizeof header, false },
		{ blk->buffer_phys, bytes, true },
		{ blk->buffer_phys + STATUS_AT, 1, true },
	};
	struct chain_error fault = { 0 };
	uint64_t deadline = env->now_us(env->ctx) + REQUEST_MS * 1000;
	uint32_t written, units = bytes / UNIT_BYTES;
	uint16_t slot;
	uint8_t status;

	memcpy(blk->buffer + HEADER_AT, &header, sizeof header);
	blk->buffer[STATUS_AT] = 0xff;
	stage_virtqueue_put(&blk->queue, 0, segments, 3);
	stage_virtqueue_kick(&blk->queue);
	while (!stage_virtqueue_take(&blk->queue, &slot, &written, &fault)) {
		if (!fault.status && env->now_us(env->ctx) >= deadline)
			(void)!CHAIN_FAIL(&fault, BLOCK_TIMEOUT, .subject = blk->virtio.subject, .lba = unit,
					  .count = units, .limit_ms = REQUEST_MS);
		if (fault.status)
			return stop_broken(blk, &fault, err);
		env->idle(env->ctx);
	}
	status = *(volatile uint8_t *)(blk->buffer + STATUS_AT);
	/* What lies behind the bytes that it says it wrote is not the disk's (1.1, section 2.6.8.2). */
	bool cut = type == REQUEST_READ && written < bytes;
	if (status == STATUS_OK && !cut)
		return CHAIN_OK;
	return CHAIN_FAIL(err, BLOCK_REQUEST, .subject = blk->virtio.subject,
			  .detail = status == STATUS_OK          ? "the device wrote less than was asked for" :
				    status == STATUS_IO_ERROR    ? "the device reports an I/O error" :
				    status == STATUS_UNSUPPORTED ? "the device does not know the request" :
								   "the device left no status",
			  .lba = unit, .count = units);
}

static enum chain_status read_units(struct buffered_disk *disk, uint64_t lba, uint32_t sectors, struct chain_error *err)
{
	return request((struct virtio_blk *)disk, REQUEST_READ, lba * (disk->dev.sector_bytes / UNIT_BYTES),
		       sectors * disk->dev.sector_bytes, err);
}

static void close_blk(struct stage_block *dev)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev;
	const struct stage_device_env *env = blk->virtio.env;

	stage_virtio_stop(&blk->virtio);
	stage_virtqueue_close(&blk->queue);
	if (blk->buffer)
		env->dma_free(env->ctx, blk->buffer, blk->buffer_phys, BUFFER_BYTES);
	free(blk);
}

static const struct stage_block_ops ops = { .read = buffered_disk_read, .close = close_blk };

static enum chain_status read_geometry(struct virtio_blk *blk, struct chain_error *err)
{
	struct stage_virtio *v = &blk->virtio;
	uint64_t bytes = v->features & F_BLOCK_SIZE ? stage_virtio_config(v, CONFIG_BLOCK_SIZE, 4) : UNIT_BYTES;
	uint64_t most = v->features & F_SIZE_MAX ? stage_virtio_config(v, CONFIG_SIZE_MAX, 4) : 0;
	uint64_t units = stage_virtio_config(v, CONFIG_CAPACITY, 8);

	blk->disk.dev.read_only = v->features & F_READ_ONLY;
	return buffered_disk_size(&blk->disk, bytes < UNIT_BYTES ? 0 : units / (bytes / UNIT_BYTES), bytes, most, err);
}

/* The serial number is a courtesy: a device without one is a good device. */
static void read_serial(struct virtio_blk *blk)
{
	struct chain_error ignored = { 0 };

	if (!request(blk, REQUEST_GET_ID, 0, STAGE_BLOCK_SERIAL_BYTES, &ignored))
		buffered_disk_serial(&blk->disk, blk->buffer);
}

static enum chain_status start(struct virtio_blk *blk, struct chain_error *err)
{
	const struct stage_device_env *env = blk->virtio.env;
	enum chain_status s = stage_virtio_begin(&blk->virtio, F_SIZE_MAX | F_READ_ONLY | F_BLOCK_SIZE, err);

	if (!s)
		s = read_geometry(blk, err);
	if (!s)
		s = stage_virtqueue_open(&blk->queue, &blk->virtio, 0, VIRTIO_SEGMENTS, err);
	if (s)
		return s;
	blk->buffer = env->dma_alloc(env->ctx, BUFFER_BYTES, &blk->buffer_phys);
	if (!blk->buffer)
		return chain_fail_no_memory(err, blk->virtio.subject, BUFFER_BYTES);
	blk->disk.buffer = blk->buffer;
	stage_virtio_ready(&blk->virtio);
	read_serial(blk);
	return CHAIN_OK;
}

extern const struct stage_driver stage_virtio_blk;

static enum chain_status open_blk(const struct stage_device_env *env, const struct stage_device *device,
				  struct stage_block **out, struct chain_error *err)
{
	struct virtio_blk *blk = calloc(1, sizeof *blk);
	enum chain_status s;

	if (!blk)
		return chain_fail_no_memory(err, device->place, sizeof *blk);
	buffered_disk_init(&blk->disk, &ops, stage_virtio_blk.name, device);
	blk->disk.request = read_units;
	blk->disk.subject = blk->virtio.subject;
	s = stage_virtio_open(env, device, blk->disk.dev.driver, &blk->virtio, err);
	if (s) {
		free(blk);
		return s;
	}
	s = start(blk, err);
	if (s) {
		close_blk(&blk->disk.dev);
		return s;
	}
	*out = &blk->disk.dev;
	return CHAIN_OK;
}

const struct stage_driver stage_virtio_blk = {
	.name = "virtio-blk",
	.ids = (const struct stage_device_id[])VIRTIO_IDS(VIRTIO_TYPE_BLOCK),
	.open.block = open_blk,
	.hold = stage_virtio_hold,
	.reset = stage_virtio_reset_held,
};
