/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which device a kernel means by a name of the pipeline, and what is said when it can't have it.
 * Must not know: what the device is for. */
#ifndef STAGE_RUNTIME_KCHAIN_DEVICE_H
#define STAGE_RUNTIME_KCHAIN_DEVICE_H

#include "stage/called_env.h"
#include "stage/pci.h"

/* An open device: first member of what the kernel holds. */
struct kchain_open {
	struct kchain_open *next;
	struct stage_called_env called;      /* where the kernel was called */
	const struct stage_device_env *env;  /* for the driver */
	struct stage_pci_function function;
	char name[64];
};

/* Finds it and notes that it is open. False: kchain_device_error says why. */
bool kchain_device_find(const char *name, bool is_net, struct kchain_open *out);
/* Forgets that it is open. */
void kchain_device_forget(struct kchain_open *open);

/* What kchain_device_error says from now on; always false. */
bool kchain_device_refuse(const char *name, const char *reason);
/* The same in few words for what a driver says: the library's own are a table larger than a kernel. */
bool kchain_device_failed(const char *name, const struct chain_error *err);

#endif
