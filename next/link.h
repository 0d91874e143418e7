/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a running Linux as a link of a chain: the handoff that it writes for the kernel behind it. Must not know: how
 * that is started. */
#ifndef NEXT_LINK_H
#define NEXT_LINK_H

#include "chain/bootinfo.h"
#include "chain/hash.h"

#include <jansson.h>

/* All borrowed. */
struct next_link {
	json_t *parent;             /* received; null: this is the first link */
	const char *name, *source;  /* of this link; of the kernel behind it */
	json_t *state, *result;     /* put over the received state; this link's result; null: none */
	struct chain_digest kernel; /* of the kernel behind it */
	const struct chain_bootinfo *machine;
};

/* New reference in *out, new text in *out_text. Errors of handoff.h. */
enum chain_status next_handoff_make(const struct next_link *link, json_t **out, char **out_text, uint64_t *out_bytes,
				    struct chain_error *err) CHAIN_MUST_CHECK;

#endif
