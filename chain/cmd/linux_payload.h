/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the kernel that is packed in a bzImage (Documentation/arch/x86/boot.rst, "payload_offset" and
 * "payload_length"): where it lies, by what it is packed, and unpacking it within the size that it promises. Must not
 * know: pipelines, trees, images. No I/O. */
#ifndef KCHAIN_LINUX_PAYLOAD_H
#define KCHAIN_LINUX_PAYLOAD_H

#include "chain/image.h"

/* As large as Linux can be on x86-64: what it maps for itself (KERNEL_IMAGE_SIZE, at most 1 GiB). */
#define LINUX_PAYLOAD_MAX (1ull << 30)

struct linux_packing;
struct linux_payload {
	const struct linux_packing *packing; /* null: nothing is packed in it that could be started for itself */
	const uint8_t *bytes;                /* borrowed from the file */
	uint64_t count;
	uint64_t promised; /* what comes out of it, its last four bytes say */
};

/* Reads the headers. Without a payload (none in the header, a protocol before 2.08, a kernel of 32 bits) it finds
 * nothing. CHAIN_E_LINUX_HEADER where the headers can't be true, CHAIN_E_LINUX_PAYLOAD where what is packed begins like
 * nothing known, CHAIN_E_LIMIT. */
enum chain_status linux_payload_find(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct linux_payload *out, struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether there is a library for it here. */
bool linux_payload_can_unpack(const struct linux_payload *payload);
/* Whether a boot is quicker for it. What is unpacked is larger, and its digest is checked at each boot: LZ4 unpacks
 * about as fast as SHA-256 reads by the processor's own instructions, and several times faster than without them; the
 * others are slower than either. */
bool linux_payload_is_quicker(const struct linux_payload *payload);
/* New bytes in *out, payload->promised of them; caller frees. CHAIN_E_LINUX_PAYLOAD says what is wrong with it,
 * CHAIN_E_NO_MEMORY. */
enum chain_status linux_payload_unpack(const struct linux_payload *payload, const char *subject, uint8_t **out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* The kind of a kernel in words for people: its name, and whether it is a Linux kernel that was unpacked. The file's
 * first 4096 bytes do; null: not at hand. */
const char *linux_kind_name(enum chain_kernel_kind kind, const uint8_t *file, uint64_t file_bytes);

#endif
