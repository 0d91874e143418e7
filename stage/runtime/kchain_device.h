/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which device a kernel means by a name of the pipeline, and what is said when it can't have it.
 * Must not know: what the device is for. */
#ifndef STAGE_RUNTIME_KCHAIN_DEVICE_H
#define STAGE_RUNTIME_KCHAIN_DEVICE_H

#include "stage/called_env.h"
#include "stage/driver.h"

/* An open device: first member of what the kernel holds. */
struct kchain_open {
	struct kchain_open *next;
	struct stage_called_env called;     /* where the kernel was called */
	const struct stage_device_env *env; /* for the driver */
	struct stage_device device;
	const struct stage_driver *driver;
	char name[64];
};

/* Finds it and its driver among `drivers` (stage_net_drivers where it is_net, else stage_block_drivers), and notes that
 * it is open: `bytes` of zeroed memory, which begin with a struct kchain_open. Null: kchain_device_error says why. */
void *kchain_device_open(const char *name, bool is_net, const struct stage_driver *const *drivers, size_t bytes);
/* Its driver does not use it any more, or could not start. Frees it. */
void kchain_device_close(struct kchain_open *open);

/* What kchain_device_error says from now on; always false. */
bool kchain_device_refuse(const char *name, const char *reason);
/* The same in few words for what a driver says: the library's own are a table larger than a kernel. */
bool kchain_device_failed(const struct kchain_open *open, const struct chain_error *err);

#endif
