/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the one gate through which bytes of an untrusted image are read: bounds-checked, little-endian, unaligned.
 * Must not know: any format. */
#ifndef CHAIN_READER_H
#define CHAIN_READER_H

#include "chain/error.h"

#include <stdbool.h>

struct chain_reader {
	const uint8_t *bytes; /* borrowed; may be null when count is 0 */
	uint64_t count;
	const char *subject; /* borrowed; names the image in errors */
};

/* Whether [offset, offset + bytes) lies inside. Never overflows. */
static inline bool chain_reader_has(const struct chain_reader *reader, uint64_t offset, uint64_t bytes)
{
	return bytes <= reader->count && offset <= reader->count - bytes;
}

/* Numbers at a place for which the gate was asked. */
static inline uint16_t chain_le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}
static inline uint32_t chain_le32(const uint8_t *at)
{
	return (uint32_t)chain_le16(at) | (uint32_t)chain_le16(at + 2) << 16;
}
static inline uint64_t chain_le64(const uint8_t *at)
{
	return (uint64_t)chain_le32(at) | (uint64_t)chain_le32(at + 4) << 32;
}

#endif
