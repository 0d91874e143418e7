/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: bytes that are not in memory yet and are read when they are wanted, from a disk or a network.
 * Must not know: where they come from, or where they go. */
#ifndef CHAIN_STREAM_H
#define CHAIN_STREAM_H

#include "chain/error.h"
#include "chain/hash.h"

struct chain_stream {
	uint64_t bytes; /* all there are */
	/* Reads [offset, offset + bytes), which lies within them, into `into`; offsets only ever ascend, without gaps.
	 */
	enum chain_status (*read)(void *ctx, uint64_t offset, uint64_t bytes, void *into, struct chain_error *err);
	void (*close)(void *ctx); /* called once by whoever opened it */
	void *ctx;
};

/* What a stream's bytes must turn out to be. */
struct chain_stream_pin {
	const char *source; /* for errors; borrowed */
	struct chain_pin pin;
};

/* Reads all of it into `into`, which has room for it, and checks the digests as the bytes arrive; `out_digest`
 * (nullable) is that of chain_pin_end. What lies in `into` after a failure must not be used.
 * CHAIN_E_SOURCE_DIGEST, and what the reader says, of the source and of what it names itself. */
enum chain_status chain_stream_take(const struct chain_stream *stream, const struct chain_stream_pin *pin,
				    uint8_t *into, struct chain_digest *out_digest,
				    struct chain_error *err) CHAIN_MUST_CHECK;

#endif
