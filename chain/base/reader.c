/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/reader.h"

enum chain_status chain_reader_bytes(const struct chain_reader *reader, uint64_t offset, uint64_t bytes,
				     const uint8_t **out, struct chain_error *err)
{
	if (!chain_reader_has(reader, offset, bytes))
		return CHAIN_FAIL(err, TRUNCATED, .subject = reader->subject, .offset = offset, .bytes = bytes,
				  .total = reader->count);
	*out = reader->bytes ? reader->bytes + offset : (const uint8_t *)"";
	return CHAIN_OK;
}

enum chain_status chain_reader_u8(const struct chain_reader *reader, uint64_t offset, uint8_t *out,
				  struct chain_error *err)
{
	const uint8_t *at = NULL;
	enum chain_status status = chain_reader_bytes(reader, offset, sizeof(*out), &at, err);
	if (!status)
		*out = *at;
	return status;
}

enum chain_status chain_reader_u16(const struct chain_reader *reader, uint64_t offset, uint16_t *out,
				   struct chain_error *err)
{
	const uint8_t *at = NULL;
	enum chain_status status = chain_reader_bytes(reader, offset, sizeof(*out), &at, err);
	if (!status)
		*out = chain_le16(at);
	return status;
}

enum chain_status chain_reader_u32(const struct chain_reader *reader, uint64_t offset, uint32_t *out,
				   struct chain_error *err)
{
	const uint8_t *at = NULL;
	enum chain_status status = chain_reader_bytes(reader, offset, sizeof(*out), &at, err);
	if (!status)
		*out = chain_le32(at);
	return status;
}

enum chain_status chain_reader_u64(const struct chain_reader *reader, uint64_t offset, uint64_t *out,
				   struct chain_error *err)
{
	const uint8_t *at = NULL;
	enum chain_status status = chain_reader_bytes(reader, offset, sizeof(*out), &at, err);
	if (!status)
		*out = chain_le64(at);
	return status;
}
