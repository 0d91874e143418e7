/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* virtio over PCI, modern interface only (Virtual I/O Device 1.1, section 4.1). */
#include "stage/virtio.h"

enum { CAP_VENDOR = 9, CAP_LIMIT = 48 };
enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_DEVICE = 4 };
/* struct virtio_pci_common_cfg, section 4.1.4.3 */
enum {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	MSIX_CONFIG = 16,
	DEVICE_STATUS = 20,
	GENERATION = 21,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_MSIX = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
	COMMON_BYTES = 56,
};

static uint32_t get(struct stage_virtio *v, uint32_t offset, unsigned width)
{
	return v->env->mmio_read(v->env->ctx, v->common + offset, width);
}

static void set(struct stage_virtio *v, uint32_t offset, unsigned width, uint32_t value)
{
	v->env->mmio_write(v->env->ctx, v->common + offset, width, value);
}

static uint8_t status(struct stage_virtio *v)
{
	return (uint8_t)get(v, DEVICE_STATUS, 1);
}
static void set_status(struct stage_virtio *v, uint8_t value)
{
	set(v, DEVICE_STATUS, 1, value);
}
static uint8_t generation(struct stage_virtio *v)
{
	return (uint8_t)get(v, GENERATION, 1);
}

static uint64_t features(struct stage_virtio *v)
{
	uint64_t low;

	set(v, DEVICE_FEATURE_SELECT, 4, 0);
	low = get(v, DEVICE_FEATURE, 4);
	set(v, DEVICE_FEATURE_SELECT, 4, 1);
	return low | (uint64_t)get(v, DEVICE_FEATURE, 4) << 32;
}

static void set_features(struct stage_virtio *v, uint64_t value)
{
	set(v, DRIVER_FEATURE_SELECT, 4, 0);
	set(v, DRIVER_FEATURE, 4, (uint32_t)value);
	set(v, DRIVER_FEATURE_SELECT, 4, 1);
	set(v, DRIVER_FEATURE, 4, (uint32_t)(value >> 32));
}

static uint16_t queue_size(struct stage_virtio *v, uint16_t index)
{
	set(v, QUEUE_SELECT, 2, index);
	return (uint16_t)get(v, QUEUE_SIZE, 2);
}

static void set64(struct stage_virtio *v, uint32_t offset, uint64_t value)
{
	set(v, offset, 4, (uint32_t)value);
	set(v, offset + 4, 4, (uint32_t)(value >> 32));
}

static volatile void *queue_enable(struct stage_virtio *v, uint16_t index, uint16_t size, const uint64_t phys[3])
{
	uint64_t at;

	set(v, QUEUE_SELECT, 2, index);
	at = (uint64_t)get(v, QUEUE_NOTIFY_OFF, 2) * v->notify_multiplier;
	if (v->notify_bytes < 2 || at > v->notify_bytes - 2 || at & 1)
		return NULL;
	set(v, QUEUE_SIZE, 2, size);
	set(v, QUEUE_MSIX, 2, 0xffff);
	set64(v, QUEUE_DESC, phys[0]);
	set64(v, QUEUE_DRIVER, phys[1]);
	set64(v, QUEUE_DEVICE, phys[2]);
	set(v, QUEUE_ENABLE, 2, 1);
	return v->notify + at;
}

static uint8_t config(struct stage_virtio *v, uint32_t offset)
{
	return offset < v->config_bytes ? (uint8_t)v->env->mmio_read(v->env->ctx, v->config + offset, 1) : 0;
}

/* Maps the structure a capability describes (4.1.4); it must lie within its register, aligned as 4.1.4.3 and 4.1.4.4
 * say. */
static enum chain_status map_structure(struct stage_virtio *v, uint32_t cap, volatile uint8_t **out,
				       uint64_t *out_bytes, struct chain_error *err)
{
	const struct stage_device_env *env = v->env;
	const struct stage_pci_function *f = &v->device.pci;
	uint32_t bar = env->pci_read(env->ctx, f->bdf, cap + 4, 1);
	uint64_t offset = env->pci_read(env->ctx, f->bdf, cap + 8, 4);
	uint64_t bytes = env->pci_read(env->ctx, f->bdf, cap + 12, 4);
	uint32_t align = out == &v->notify ? 2 : 4;
	struct stage_pci_bar window;
	enum chain_status s = stage_pci_bar(env, f, bar, &window, err);

	if (s)
		return s;
	if (bytes == 0 || bytes > window.bytes || offset > window.bytes - bytes || offset & (align - 1))
		return CHAIN_FAIL(err, VIRTIO_CAPABILITY, .subject = v->subject, .bytes = bytes, .offset = offset,
				  .bar = bar, .bar_bytes = window.bytes);
	*out = env->map(env->ctx, window.phys + offset, bytes);
	*out_bytes = bytes;
	return *out ? CHAIN_OK : chain_fail_no_memory(err, v->subject, bytes);
}

/* The first structure of a type that can be used counts; later ones are alternatives. */
static enum chain_status take_capability(struct stage_virtio *v, uint32_t cap, uint64_t *common_bytes,
					 struct chain_error *err)
{
	const struct stage_device_env *env = v->env;
	uint32_t bdf = v->device.pci.bdf, type = env->pci_read(env->ctx, bdf, cap + 3, 1);

	if (cap > 256 - 20) /* the notification capability has 20 bytes */
		return CHAIN_OK;
	if (type == CFG_COMMON && !v->common)
		return map_structure(v, cap, &v->common, common_bytes, err);
	if (type == CFG_DEVICE && !v->config)
		return map_structure(v, cap, &v->config, &v->config_bytes, err);
	if (type == CFG_NOTIFY && !v->notify) {
		v->notify_multiplier = env->pci_read(env->ctx, bdf, cap + 16, 4);
		return map_structure(v, cap, &v->notify, &v->notify_bytes, err);
	}
	return CHAIN_OK;
}

static enum chain_status open_pci(struct stage_virtio *v, struct chain_error *err)
{
	const struct stage_pci_function *f = &v->device.pci;
	uint64_t common_bytes = 0;
	uint32_t cap = 0;

	for (unsigned n = 0;; n++) {
		enum chain_status s = stage_pci_capability(v->env, f, CAP_VENDOR, cap, &cap, err);
		if (s)
			return s;
		if (cap == 0)
			break;
		if (n == CAP_LIMIT)
			return CHAIN_FAIL(err, PCI_BAD_CAPABILITIES, .subject = f->name, .offset = cap,
					  .limit = CAP_LIMIT);
		s = take_capability(v, cap, &common_bytes, err);
		if (s)
			return s;
	}
	if (!v->common || !v->notify || common_bytes < COMMON_BYTES)
		return chain_fail_subject(err, CHAIN_E_VIRTIO_LEGACY, v->subject);
	v->notify_width = 2;
	v->device.bus->attach(v->env, &v->device);
	return CHAIN_OK;
}

const struct stage_virtio_transport stage_virtio_pci = {
	.open = open_pci,
	.status = status,
	.set_status = set_status,
	.features = features,
	.set_features = set_features,
	.queue_size = queue_size,
	.queue_enable = queue_enable,
	.config = config,
	.config_generation = generation,
};
