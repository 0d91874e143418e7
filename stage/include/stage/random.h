/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: numbers that differ from boot to boot: RDRAND where there is one, else mixed time stamps, which are no secret.
 * Must not know: what they are for. */
#ifndef STAGE_RANDOM_H
#define STAGE_RANDOM_H

#include <stddef.h>

void stage_random_fill(void *buf, size_t bytes);

#endif
