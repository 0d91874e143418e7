/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the file of a native kernel has to be, so that it can be called (abi/native.h has the agreement).
 * Must not know: windows, page tables, where the file came from. */
#ifndef CHAIN_NATIVE_KERNEL_H
#define CHAIN_NATIVE_KERNEL_H

#include "chain/elf.h"
#include "abi/native.h"

struct chain_native_kernel {
	struct kchain_native_note note;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX]; /* those that a called kernel has */
	size_t segment_count;
};

/* Errors of elf.h; CHAIN_E_CALL_NOTE and CHAIN_E_CALL_ABI for a note of another form; CHAIN_E_CALL_SEGMENT for one that
 * does not begin on a page, or lies outside of where native kernels do. */
enum chain_status chain_native_read(struct chain_native_kernel *out, const uint8_t *file, uint64_t file_bytes,
				    const char *subject, struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether nobody writes to it, so that all kernels can share the file's bytes where they lie. */
bool chain_native_is_shared(const struct chain_segment *segment);

/* What its window takes at least, with `cpus` processors: what is its own of the segments, stacks, the least heap, the
 * mailbox. There is more that only the caller knows. UINT64_MAX: more than can be counted. */
uint64_t chain_native_least_bytes(const struct chain_native_kernel *kernel, uint64_t cpus);

#endif
