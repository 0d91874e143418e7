/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 by libcrypto's SHA256_* functions. They are marked deprecated in favour of EVP, but EVP drags in tables,
 * locks and a file system: 27 KiB against several MiB in the ring-0 stage, which has room for the former only. */
#include "digest_lanes.h"

#include <assert.h>
#include <cpuid.h>
#include <string.h>

#ifdef KCHAIN_STAGE
/* The stage is compiled without the host's headers; libcrypto.a is the same. The context is opaque here, and the host
 * build asserts its size. */
int SHA256_Init(void *ctx);
int SHA256_Update(void *ctx, const void *bytes, size_t count);
int SHA256_Final(unsigned char *out, void *ctx);
#define CONTEXT(ctx) ((void *)(ctx)->state)

/* What libcrypto's SHA-256 goes by (OPENSSL_ia32cap(3)): CPUID's leaf 1, EDX and ECX, and leaf 7, EBX. libcrypto's own
 * finding out parses an environment variable, and lies in one object with a kilobyte of other things. Without the bit
 * that says "Intel" no use is made of AVX alone; AVX2 wants the operating system's consent (APM volume 2,
 * section 11.5.1). */
uint32_t OPENSSL_ia32cap_P[4] __attribute__((visibility("hidden")));
void OPENSSL_cpuid_setup(void);
void OPENSSL_cpuid_setup(void)
{
	uint32_t a, b, c, d, consent = 0;

	if (!__get_cpuid(1, &a, &b, &c, &d))
		return;
	OPENSSL_ia32cap_P[1] = c & ~(uint32_t)bit_AVX;
	if (c & bit_OSXSAVE)
		__asm__("xgetbv" : "=a"(consent) : "c"(0) : "edx");
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		OPENSSL_ia32cap_P[2] = (consent & 6) == 6 ? b : b & ~(uint32_t)bit_AVX2;
}

uint32_t digest_processor(void)
{
	return OPENSSL_ia32cap_P[2];
}

/* SHA256_Final clears its buffer by it. */
void OPENSSL_cleanse(void *bytes, size_t count);
void OPENSSL_cleanse(void *bytes, size_t count)
{
	memset(bytes, 0, count);
	__asm__ volatile("" : : "r"(bytes) : "memory");
}
#else
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
static_assert(sizeof(SHA256_CTX) == sizeof(struct chain_sha256), "room for libcrypto's context");
static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct chain_sha256), "alignment of libcrypto's context");
#define CONTEXT(ctx) ((SHA256_CTX *)(void *)(ctx)->state)

uint32_t digest_processor(void)
{
	enum { KNOWN = 1 };
	static _Atomic uint32_t found; /* asked once: under a hypervisor an answer takes long */
	uint32_t a, b = 0, c, d, has = found;

	if (has & KNOWN)
		return has;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && !__builtin_cpu_supports("avx2"))
		b &= ~(uint32_t)DIGEST_CPU_AVX2;
	found = b | KNOWN;
	return found;
}
#endif

/* The three return 1 always (OpenSSL, sha256.c): there is nothing in them that can fail. */
void chain_sha256_init(struct chain_sha256 *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	(void)SHA256_Init(CONTEXT(ctx));
}

void chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count)
{
	if (count > 0)
		(void)SHA256_Update(CONTEXT(ctx), bytes, (size_t)count);
}

void chain_sha256_final(struct chain_sha256 *ctx, uint8_t out[CHAIN_SHA256_BYTES])
{
	(void)SHA256_Final(out, CONTEXT(ctx));
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
