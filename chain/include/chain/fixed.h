/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what is decided about a call of a kernel with fixed addresses that is not isolated (docs/FIXED.md): the
 * physical window that its addresses ask for, whether this machine can give it, the memory map it is shown, and what
 * its handoff says of it. The stage, `kchain plan` and `kchain bake` use the same code, so they refuse alike. Must not
 * know: processors, how the kernel is entered, what it leaves. */
#ifndef CHAIN_FIXED_H
#define CHAIN_FIXED_H

#include "chain/door.h"

#include <jansson.h>

enum { CHAIN_FIXED_MEMORY_DEFAULT = 16 * 1024 * 1024 };

struct chain_fixed {
	struct chain_range window;  /* whole pages, from the lowest of the kernel's segments on */
	struct chain_range mailbox; /* at its end: abi/mailbox.h; whole pages that the kernel's map calls reserved */
};

/* Reads the kernel's segments. CHAIN_E_GUEST_MEMORY where `memory_bytes` hold no mailbox, CHAIN_E_FIXED_OVERLAP where
 * they would end above 4 GiB, those of the kernel's door. */
enum chain_status chain_fixed_place(const struct chain_door *door, const uint8_t *kernel, uint64_t kernel_bytes,
				    uint64_t memory_bytes, const char *subject, struct chain_fixed *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* CHAIN_E_FIXED_ON_IMAGE: says how many bytes of the window the image lies on, and from where on it would not. */
enum chain_status chain_fixed_check_image(const struct chain_fixed *fixed, struct chain_range image,
					  const char *subject, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same; besides, all of the window must be available memory above the first MiB, which is the firmware's and other
 * processors', and no boot module may lie on it: CHAIN_E_FIXED_OVERLAP. */
enum chain_status chain_fixed_check(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
				    const char *subject, struct chain_error *err) CHAIN_MUST_CHECK;
/* It takes a processor that is not the boot processor: CHAIN_E_FIXED_PROCESSORS. */
enum chain_status chain_fixed_check_processors(uint32_t processors, const char *subject,
					       struct chain_error *err) CHAIN_MUST_CHECK;
/* Claims the window: CHAIN_E_FIXED_OVERLAP says who has it. */
enum chain_status chain_fixed_claim(const struct chain_fixed *fixed, struct chain_claims *claims, const char *subject,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* The machine's memory as the kernel is told of it: the window without its mailbox is available, all other memory
 * reserved. New array, sorted. */
enum chain_status chain_fixed_map(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
				  struct chain_mem_entry **out, size_t *out_count,
				  struct chain_error *err) CHAIN_MUST_CHECK;

/* Adds `window` and `mailbox` to the handoff's `self`; its `platform` has that memory map then, and one processor. */
enum chain_status chain_fixed_hand_over(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
					json_t *handoff, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
