/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where a QEMU's console and records go, and how its kernel ends it (docs/RECORDS.md).
 * Must not know: who reads them. */
#ifndef KCHAIN_QEMU_CHANNELS_H
#define KCHAIN_QEMU_CHANNELS_H

#include "words.h"

/* `console` is a socket that QEMU inherits, `records` the end of a pipe that is written to. */
void qemu_add_channels(struct words *words, int console, int records);

#endif
