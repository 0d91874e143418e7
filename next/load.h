/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: Linux's kexec: whether it can be had, handing a kernel over, and starting it. Must not know: how that kernel
 * was found, or what it is told. */
#ifndef NEXT_LOAD_H
#define NEXT_LOAD_H

#include "segments.h"

/* Whether this process may, as far as can be told beforehand: CHAIN_E_NEXT_CAPABILITY, CHAIN_E_NEXT_DISABLED.
 * `subject`: what would be started. *out_locked: only what is signed is taken. */
enum chain_status next_load_check(const char *subject, bool *out_locked, struct chain_error *err) CHAIN_MUST_CHECK;

/* kexec_load(2): any kernel. CHAIN_E_NEXT_MEMORY, CHAIN_E_NEXT_NO_KEXEC, CHAIN_E_IO with what Linux says. */
enum chain_status next_load(const char *subject, const struct next_segments *segments,
			    struct chain_error *err) CHAIN_MUST_CHECK;

/* kexec_file_load(2): a bzImage whose signature Linux looks at itself. CHAIN_E_NEXT_LOCKED, CHAIN_E_NEXT_NO_KEXEC,
 * CHAIN_E_IO. */
struct next_signed {
	const char *path;
	const char *args;
	const uint8_t *initrd; /* borrowed */
	uint64_t initrd_bytes;
	bool locked; /* for what a refusal says */
};
enum chain_status next_load_signed(const struct next_signed *kernel, struct chain_error *err) CHAIN_MUST_CHECK;

/* Ends this Linux and enters what was handed over. `orderly`: by systemd, where that runs, which stops services and
 * unmounts file systems first; else at once, with what is written to files brought to the disks. Returns only when that
 * fails. */
enum chain_status next_start(bool orderly, struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether systemd runs here. */
bool next_is_orderly(void);

#endif
