/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/stream.h"

#include <string.h>

/* Large enough that a device is asked seldom, small enough that the bytes are in the cache when they are hashed. */
enum { CHUNK_BYTES = 256 * 1024 };

enum chain_status chain_stream_take(const struct chain_stream *stream, const struct chain_stream_pin *pin,
				    uint8_t *into, uint8_t out_sha256[CHAIN_SHA256_BYTES], struct chain_error *err)
{
	struct chain_sha256 hash;
	uint8_t digest[CHAIN_SHA256_BYTES];
	char hex[CHAIN_SHA256_HEX + 1];
	chain_sha256_init(&hash);
	for (uint64_t at = 0; at < stream->bytes;) {
		uint64_t bytes = stream->bytes - at < CHUNK_BYTES ? stream->bytes - at : CHUNK_BYTES;
		enum chain_status status = stream->read(stream->ctx, at, bytes, into + at, err);
		if (status)
			return status;
		chain_sha256_update(&hash, into + at, bytes);
		at += bytes;
	}
	chain_sha256_final(&hash, digest);
	if (out_sha256)
		memcpy(out_sha256, digest, sizeof(digest));
	if (!pin->sha256 || !memcmp(pin->sha256, digest, sizeof(digest)))
		return CHAIN_OK;
	chain_sha256_to_hex(digest, hex);
	return chain_fail(err, CHAIN_E_SOURCE_DIGEST, pin->source, hex, 0, 0, 0, 0);
}
