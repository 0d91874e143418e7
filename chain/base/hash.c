/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/hash.h"

#include <string.h>

static const char *const names[CHAIN_DIGEST_KINDS] = { "sha256:", "fsverity:" };

void chain_hash_init(struct chain_hash *hash, enum chain_digest_kind kind)
{
	hash->kind = kind;
	if (kind == CHAIN_DIGEST_SHA256)
		chain_sha256_init(&hash->sha256);
	else
		chain_verity_init(&hash->fsverity);
}

void chain_hash_update(struct chain_hash *hash, const void *bytes, uint64_t count)
{
	if (hash->kind == CHAIN_DIGEST_SHA256)
		chain_sha256_update(&hash->sha256, bytes, count);
	else
		chain_verity_update(&hash->fsverity, bytes, count);
}

void chain_hash_final(struct chain_hash *hash, struct chain_digest *out)
{
	out->kind = hash->kind;
	if (hash->kind == CHAIN_DIGEST_SHA256)
		chain_sha256_final(&hash->sha256, out->bytes);
	else
		chain_verity_final(&hash->fsverity, out->bytes);
}

void chain_digest_of(enum chain_digest_kind kind, const void *bytes, uint64_t count, struct chain_digest *out)
{
	out->kind = kind;
	if (kind == CHAIN_DIGEST_SHA256)
		chain_sha256_of(bytes, count, out->bytes);
	else
		chain_verity_of(bytes, count, out->bytes);
}

bool chain_digest_same(const struct chain_digest *a, const struct chain_digest *b)
{
	return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

const char *chain_digest_text(const struct chain_digest *digest, char out[CHAIN_DIGEST_TEXT_BYTES])
{
	strcpy(out, names[digest->kind]);
	chain_sha256_to_hex(digest->bytes, out + strlen(out));
	return out;
}

bool chain_digest_parse(const char *text, struct chain_digest *out)
{
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++) {
		const size_t bytes = strlen(names[kind]);

		if (strncmp(text, names[kind], bytes) != 0)
			continue;
		out->kind = (enum chain_digest_kind)kind;
		return chain_sha256_from_hex(text + bytes, strlen(text + bytes), out->bytes);
	}
	return false;
}

bool chain_pin_is(const struct chain_pin *pin)
{
	return pin->digests[CHAIN_DIGEST_SHA256] || pin->digests[CHAIN_DIGEST_FSVERITY];
}

/* By which kind of digest pinned bytes are called: SHA-256 where that is what they are pinned by alone. */
static enum chain_digest_kind kind_of(const struct chain_pin *pin)
{
	return pin->digests[CHAIN_DIGEST_SHA256] && !pin->digests[CHAIN_DIGEST_FSVERITY] ? CHAIN_DIGEST_SHA256 :
											   CHAIN_DIGEST_FSVERITY;
}

/* Of what is neither pinned nor asked for there is no digest: it costs as much as the others. */
static bool is_wanted(const struct chain_pin *pin, size_t kind)
{
	return pin->digests[kind] || kind == kind_of(pin);
}

void chain_pin_begin(struct chain_pin_hash *hash, const struct chain_pin *pin)
{
	hash->pin = pin;
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++)
		if (is_wanted(pin, kind))
			chain_hash_init(&hash->hashes[kind], (enum chain_digest_kind)kind);
}

void chain_pin_update(struct chain_pin_hash *hash, const void *bytes, uint64_t count)
{
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++)
		if (is_wanted(hash->pin, kind))
			chain_hash_update(&hash->hashes[kind], bytes, count);
}

enum chain_status chain_pin_end(struct chain_pin_hash *hash, const char *subject, struct chain_digest *out,
				struct chain_error *err)
{
	char text[CHAIN_DIGEST_TEXT_BYTES];

	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++) {
		const uint8_t *pinned = hash->pin->digests[kind];
		struct chain_digest found;

		if (!is_wanted(hash->pin, kind))
			continue;
		chain_hash_final(&hash->hashes[kind], &found);
		if (pinned && memcmp(pinned, found.bytes, sizeof(found.bytes)) != 0)
			return chain_fail_text(err, CHAIN_E_SOURCE_DIGEST, subject, chain_digest_text(&found, text));
		if (out && kind == kind_of(hash->pin))
			*out = found;
	}
	return CHAIN_OK;
}
