/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* block:NAME[/[BY=]PARTITION][@OFFSET+BYTES]: a disk of the pipeline's, one of its partitions, or a piece of either.
 * Nobody vouches for its bytes but the pipeline's pin. */

#include "chain/block_source.h"
#include "chain/source.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char scheme[] = "block:";

/* A decimal or hexadecimal number that `text` begins with; null: none, or it does not fit. */
static const char *read_number(const char *text, uint64_t *out)
{
	unsigned base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
	const char *at = text += base == 16 ? 2 : 0;
	uint64_t value = 0;
	for (;; at++) {
		unsigned digit = *at >= '0' && *at <= '9' ? (unsigned)(*at - '0') :
				 *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10 :
							    base;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
			return NULL;
	}
	*out = value;
	return at == text ? NULL : at;
}

static bool copy(char *out, size_t room, const char *from, size_t bytes)
{
	if (!bytes || bytes >= room)
		return false;
	memcpy(out, from, bytes);
	out[bytes] = '\0';
	return true;
}

/* "label=data", or "data" by whatever it may be. */
static bool read_partition(const char *text, size_t bytes, struct chain_block_source *out)
{
	static const struct {
		const char *key;
		enum chain_partition_by by;
	} keys[] = { { "index=", CHAIN_PARTITION_INDEX },
		     { "uuid=", CHAIN_PARTITION_UUID },
		     { "name=", CHAIN_PARTITION_NAME },
		     { "label=", CHAIN_PARTITION_LABEL } };
	out->by = CHAIN_PARTITION_ANY;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t length = strlen(keys[i].key);
		if (bytes < length || memcmp(text, keys[i].key, length) != 0)
			continue;
		out->by = keys[i].by;
		text += length;
		bytes -= length;
		break;
	}
	return copy(out->partition, sizeof(out->partition), text, bytes) &&
	       (out->by != CHAIN_PARTITION_INDEX || strspn(out->partition, "0123456789") == bytes);
}

bool chain_block_source_parse(const char *rest, struct chain_block_source *out)
{
	const char *piece = strrchr(rest, '@'), *end = piece ? piece : rest + strlen(rest),
		   *slash = memchr(rest, '/', (size_t)(end - rest));
	*out = (struct chain_block_source){ 0 };
	if (!copy(out->disk, sizeof(out->disk), rest, (size_t)((slash ? slash : end) - rest)))
		return false;
	if (slash && !read_partition(slash + 1, (size_t)(end - slash - 1), out))
		return false;
	if (!piece)
		return true;
	const char *plus = read_number(piece + 1, &out->offset),
		   *last = plus && *plus == '+' ? read_number(plus + 1, &out->bytes) : NULL;
	return last && !*last && out->bytes;
}

static enum chain_status check(const char *rest)
{
	struct chain_block_source parts;
	return chain_block_source_parse(rest, &parts) ? CHAIN_OK : CHAIN_E_CONFIG_BLOCK_SOURCE;
}

static enum chain_status open_block(const struct chain_sources *sources, const char *source, const char *rest,
				    struct chain_source_bytes *out, struct chain_error *err)
{
	if (!sources->transport)
		return chain_fail_subject(err, CHAIN_E_SOURCE_ELSEWHERE, source);
	enum chain_status status =
		sources->transport->open(sources->transport->ctx, scheme, source, rest, &out->stream, err);
	out->blob = (struct chain_blob){ NULL, out->stream.bytes, CHAIN_PHYS_UNKNOWN };
	return status;
}

static void disk(const char *rest, char *out)
{
	struct chain_block_source parts;
	*out = '\0';
	if (chain_block_source_parse(rest, &parts))
		memcpy(out, parts.disk, sizeof(parts.disk));
}
static_assert(sizeof(((struct chain_block_source *)0)->disk) == CHAIN_SOURCE_DISK_BYTES, "disk");

extern const struct chain_source_row chain_source_block;
const struct chain_source_row chain_source_block = {
	.scheme = scheme,
	.traits = CHAIN_SOURCE_NEEDS_PIN,
	.check = check,
	.disk = disk,
	.open = open_block,
};
