/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 is libcrypto's on the host, and our own (sha256.c) in a kernel. */
#include "chain/digest.h"

#include <assert.h>
#include <string.h>

#ifdef KCHAIN_STAGE
#include "sha256.h"
typedef struct sha256 context;
static void begin(context *ctx)
{
	sha256_init(ctx, sha256_best_way());
}
static void take(context *ctx, const void *bytes, uint64_t count)
{
	sha256_update(ctx, bytes, count);
}
static void end(context *ctx, uint8_t out[CHAIN_SHA256_BYTES])
{
	sha256_final(ctx, out);
}
#else
/* libcrypto's SHA256_* functions are marked deprecated in favour of EVP, which can fail; these return 1 always (OpenSSL, sha256.c). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
typedef SHA256_CTX context;
static void begin(context *ctx)
{
	(void)SHA256_Init(ctx);
}
static void take(context *ctx, const void *bytes, uint64_t count)
{
	(void)SHA256_Update(ctx, bytes, count);
}
static void end(context *ctx, uint8_t out[CHAIN_SHA256_BYTES])
{
	(void)SHA256_Final(out, ctx);
}
#endif
static_assert(sizeof(context) <= sizeof(struct chain_sha256), "room for the context");
static_assert(_Alignof(context) <= _Alignof(struct chain_sha256), "alignment of the context");

static context *context_of(struct chain_sha256 *ctx)
{
	return (context *)(void *)ctx->state;
}

void chain_sha256_init(struct chain_sha256 *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	begin(context_of(ctx));
}

void chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count)
{
	if (count > 0)
		take(context_of(ctx), bytes, count);
}

void chain_sha256_final(struct chain_sha256 *ctx, uint8_t out[CHAIN_SHA256_BYTES])
{
	end(context_of(ctx), out);
}

void chain_sha256_of(const void *bytes, uint64_t count, uint8_t out[CHAIN_SHA256_BYTES])
{
	struct chain_sha256 ctx;

	chain_sha256_init(&ctx);
	chain_sha256_update(&ctx, bytes, count);
	chain_sha256_final(&ctx, out);
}

void chain_hex_of(const uint8_t *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

void chain_sha256_to_hex(const uint8_t digest[CHAIN_SHA256_BYTES], char out[CHAIN_SHA256_HEX + 1])
{
	chain_hex_of(digest, CHAIN_SHA256_BYTES, out);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool chain_sha256_from_hex(const char *text, size_t count, uint8_t out[CHAIN_SHA256_BYTES])
{
	if (count != CHAIN_SHA256_HEX)
		return false;
	for (size_t i = 0; i < CHAIN_SHA256_BYTES; i++) {
		const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
