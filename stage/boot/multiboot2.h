/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a Multiboot 2 information structure (specification 2.0, section 3.6).
 * Must not know: what is done with it. */
#ifndef STAGE_MULTIBOOT2_H
#define STAGE_MULTIBOOT2_H

#include "chain/bootinfo.h"

#define STAGE_MULTIBOOT2_MAGIC 0x36d76289u

enum chain_status stage_multiboot2_read(const uint8_t *bytes, struct chain_bootinfo *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
