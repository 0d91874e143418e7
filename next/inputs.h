/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what kchain-next is given: the kernel's file and its modules, mapped, and JSON documents. Must not know: what
 * becomes of them. */
#ifndef NEXT_INPUTS_H
#define NEXT_INPUTS_H

#include "options.h"
#include "chain/hash.h"
#include "chain/image.h"
#include "chain/plan.h"

#include <jansson.h>

struct next_file {
	const uint8_t *bytes; /* mapped until the process ends; null: it is empty */
	uint64_t count;
};

struct next_inputs {
	struct next_file kernel;
	enum chain_kernel_kind kind;
	const struct chain_door *door;
	struct chain_digest digest; /* an image's id, another kernel's fs-verity digest */
	struct chain_plan_module modules[NEXT_MODULES_MAX];
	size_t module_count;
	json_t *parent, *result, *state; /* owned; null: none */
};

/* Reads all, and has an image verified: each byte of it. CHAIN_E_IO, CHAIN_E_NOT_A_KERNEL, CHAIN_E_IMAGE_OTHER_ID,
 * those of image.h and handoff.h. The caller frees, also after a failure. */
enum chain_status next_inputs_read(const struct next_options *options, struct next_inputs *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
void next_inputs_free(struct next_inputs *inputs);

#endif
