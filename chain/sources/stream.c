/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/stream.h"

#include <stdio.h>

/* Large enough that several processors hash it, small enough that most of it is in a cache then. */
enum { CHUNK_BYTES = 4 * CHAIN_VERITY_PARALLEL_BYTES };

/* A device names itself; which of the sources on it was read, it does not know. */
static enum chain_status read_failed(const char *source, const struct chain_error *fault, struct chain_error *err)
{
	char subject[CHAIN_SUBJECT_BYTES];
	snprintf(subject, sizeof(subject), "%.160s: %.64s", source, fault->subject);
	return chain_fail_again(err, fault, subject);
}

enum chain_status chain_stream_take(const struct chain_stream *stream, const struct chain_stream_pin *pin,
				    uint8_t *into, struct chain_digest *out_digest, struct chain_error *err)
{
	struct chain_pin_hash hash;
	chain_pin_begin(&hash, &pin->pin);
	for (uint64_t at = 0; at < stream->bytes;) {
		uint64_t bytes = stream->bytes - at < CHUNK_BYTES ? stream->bytes - at : CHUNK_BYTES;
		struct chain_error fault = { 0 };
		if (stream->read(stream->ctx, at, bytes, into + at, &fault))
			return read_failed(pin->source, &fault, err);
		chain_pin_update(&hash, into + at, bytes);
		at += bytes;
	}
	return chain_pin_end(&hash, pin->source, out_digest, err);
}
