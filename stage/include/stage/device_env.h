/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: all that drivers and the network need from their surroundings. The stage fills it with ports, page tables and
 * the clock (stage/runtime/native_env.c); tests fill it with fake devices.
 * Must not know: any device. */
#ifndef STAGE_DEVICE_ENV_H
#define STAGE_DEVICE_ENV_H

#include "chain/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `width` is 1, 2 or 4 bytes everywhere, and the address is a multiple of it. No member is null. */
#define STAGE_MMIO_LIMIT (UINT64_C(1) << 45)
/* Where a virtio-mmio device may lie. */
enum { STAGE_MMIO_PLACES = 256 };
struct stage_mmio_place {
	uint64_t phys, bytes;
};

struct stage_device_env {
	void *ctx;
	/* PCI configuration space, the first 256 bytes. `bdf`: bus << 8 | device << 3 | function. A function that is
	 * not there reads as all ones. */
	uint32_t (*pci_read)(void *ctx, uint32_t bdf, uint32_t offset, unsigned width);
	void (*pci_write)(void *ctx, uint32_t bdf, uint32_t offset, unsigned width, uint32_t value);
	/* False: there is no PCI here at all. */
	bool (*pci_present)(void *ctx);
	/* Place `index` of those, from 0, at most STAGE_MMIO_PLACES; false: there are no more. */
	bool (*mmio_place)(void *ctx, unsigned index, struct stage_mmio_place *out);
	/* Device registers, wholly below STAGE_MMIO_LIMIT; the mapping stays for good. Null: no memory for tables. */
	volatile void *(*map)(void *ctx, uint64_t phys, uint64_t bytes);
	uint32_t (*mmio_read)(void *ctx, const volatile void *at, unsigned width);
	void (*mmio_write)(void *ctx, volatile void *at, unsigned width, uint32_t value);
	/* Zeroed, page-aligned, physically contiguous memory that devices can reach. Null: none left. */
	void *(*dma_alloc)(void *ctx, size_t bytes, uint64_t *out_phys);
	void (*dma_free)(void *ctx, void *virt, uint64_t phys, size_t bytes);
	/* Microseconds on the handoff's clock; never goes back. */
	uint64_t (*now_us)(void *ctx);
	/* Between two polls: returns within about a millisecond, the processor halted meanwhile where it can be. */
	void (*idle)(void *ctx);
	uint32_t (*random)(void *ctx);
};

/* The environment of a running stage; static, borrowed. */
const struct stage_device_env *stage_native_env(void);
/* That processor was stopped, wherever it was: what it had locked is free again. */
void stage_native_env_stopped(uint32_t processor);

#endif
