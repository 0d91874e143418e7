/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the device environment of a called kernel: one device, as its caller shows it (struct kchain_device), and DMA
 * memory out of the window's heap. Configuration space is a copy: what a driver writes there is remembered, as a device
 * would, and reaches nobody. Must not know: any driver. */
#ifndef STAGE_CALLED_ENV_H
#define STAGE_CALLED_ENV_H

#include "stage/device_env.h"
#include "abi/native.h"

struct stage_called_env {
	struct stage_device_env env;         /* what drivers get; its ctx is this struct */
	const struct stage_device_env *base; /* registers, clock and memory */
	const struct kchain_device *device;
	uint64_t heap, heap_bytes, heap_phys;
	uint8_t config[KCHAIN_DEVICE_CONFIG_BYTES];
};

/* Borrows both. Memory that `base` gives lies within [heap, heap + heap_bytes), which is heap_phys on in physical
 * memory. */
void stage_called_env_init(struct stage_called_env *out, const struct stage_device_env *base,
			   const struct kchain_device *device, uint64_t heap, uint64_t heap_bytes, uint64_t heap_phys);

#endif
