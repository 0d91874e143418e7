/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where a machine may have virtio-mmio devices.
 * Must not know: whether there are any. */
#ifndef STAGE_MMIO_PLACES_H
#define STAGE_MMIO_PLACES_H

#include "stage/device_env.h"

/* Place `index`, from 0; false: there are no more. First those of the command line (nullable), in its order, as Linux
 * has them (Documentation/admin-guide/kernel-parameters.txt): virtio_mmio.device=SIZE@ADDRESS:IRQ, the size with K, M
 * or G behind it; what can't be read is no place. Where it has none, and `microvm` says that this may be such a
 * machine, the 24 of QEMU's microvm (docs/system/i386/microvm.rst). */
bool stage_mmio_place(const char *cmdline, bool microvm, unsigned index, struct stage_mmio_place *out);

#endif
