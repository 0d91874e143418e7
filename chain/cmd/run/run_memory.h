/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how much memory a machine needs to start an image and the kernels that its pipeline names.
 * Must not know: QEMU. */
#ifndef KCHAIN_RUN_MEMORY_H
#define KCHAIN_RUN_MEMORY_H

#include "run_input.h"

/* Bytes from address 0 on: the image, behind it the windows of the step that has the most of them on that many
 * processors, and wherever a kernel of the pipeline has an address of its own. What is fetched at boot, or lies in an
 * image inside, is not known and not counted. */
uint64_t run_memory_needed(const struct run_input *input, uint64_t processors);
/* What a machine gets where nobody says: 128 MiB, or what is needed and 64 MiB. */
uint64_t run_memory_usual(uint64_t needed_bytes);
/* Where memory below 4 GiB ends on a machine of QEMU's with that much of it. */
uint64_t run_memory_low(const char *machine, uint64_t bytes);

#endif
