/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* self: the running image, to be started again where it lies. It has no file to be digested: its id vouches for it. */

#include "chain/source.h"

#include <string.h>

static enum chain_status check(const char *rest)
{
	return *rest ? CHAIN_E_CONFIG_SCHEME : CHAIN_OK;
}

static enum chain_status open_self(const struct chain_sources *sources, const char *source, const char *rest,
				   struct chain_source_bytes *out, struct chain_error *err)
{
	(void)rest;
	if (!sources->self)
		return chain_fail_subject(err, CHAIN_E_SOURCE_ELSEWHERE, source);
	out->self = sources->self;
	memcpy(out->digest.bytes, sources->image->header.id, CHAIN_SHA256_BYTES); /* of the manifest, SHA-256 */
	for (size_t i = 0; i < sources->self->piece_count; i++)
		out->blob.bytes_count += sources->self->pieces[i].blob.bytes_count;
	return chain_self_check(sources->self, sources->image, err);
}

extern const struct chain_source_row chain_source_self;
const struct chain_source_row chain_source_self = {
	.scheme = "self:",
	.traits = CHAIN_SOURCE_BOOT_ONLY | CHAIN_SOURCE_TAKES_NO_PIN,
	.check = check,
	.open = open_self,
};
