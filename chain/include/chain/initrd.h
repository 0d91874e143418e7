/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the handoff as a part of an initial RAM file system: a cpio archive with /kchain/handoff.json, to be put behind
 * another one. Linux unpacks all archives that it finds behind each other, compressed or not. Must not know: handoffs,
 * kernels. */
#ifndef CHAIN_INITRD_H
#define CHAIN_INITRD_H

#include <stdint.h>

enum { CHAIN_INITRD_ALIGN = 4 }; /* an archive begins on a multiple of it; zeros may come before */

uint64_t chain_initrd_text_at(void);              /* where the text lies in the archive */
uint64_t chain_initrd_bytes(uint64_t text_bytes); /* of the whole archive */
/* Writes it to `buf`, which has that many bytes. */
void chain_initrd_build(const uint8_t *text, uint32_t text_bytes, uint8_t *buf);

#endif
