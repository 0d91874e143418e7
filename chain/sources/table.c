/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/source.h"

#include <string.h>

extern const struct chain_source_row chain_source_fs, chain_source_module, chain_source_block, chain_source_self;
static const struct chain_source_row *const rows[] = {
	&chain_source_fs,
	&chain_source_module,
	&chain_source_block,
	&chain_source_self,
};

/* Known to whoever writes a pipeline, but not opened by this version. */
static const char *const later[] = { "http:", "https:", "tftp:", "serial:" };

const struct chain_source_row *chain_source_row(const char *source, const char **out_rest)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t bytes = strlen(rows[i]->scheme);
		if (strncmp(source, rows[i]->scheme, bytes) != 0)
			continue;
		if (out_rest)
			*out_rest = source + bytes;
		return rows[i];
	}
	return NULL;
}

enum chain_status chain_source_check(const char *source)
{
	const char *rest;
	const struct chain_source_row *row = chain_source_row(source, &rest);
	if (row)
		return row->check(rest);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (!strncmp(source, later[i], strlen(later[i])))
			return CHAIN_E_CONFIG_SCHEME_LATER;
	return CHAIN_E_CONFIG_SCHEME;
}

bool chain_source_has(const char *source, enum chain_source_trait trait)
{
	const struct chain_source_row *row = chain_source_row(source, NULL);
	return row && row->traits & trait;
}

const char *chain_source_path(const char *source)
{
	const char *rest;
	const struct chain_source_row *row = chain_source_row(source, &rest);
	return row && row->path ? row->path(rest) : NULL;
}

static enum chain_status check_pin(const char *source, const struct chain_source_pin *pin,
				   const struct chain_source_bytes *got, struct chain_error *err)
{
	char hex[CHAIN_SHA256_HEX + 1];
	if (!pin->sha256 || !memcmp(pin->sha256, got->sha256, CHAIN_SHA256_BYTES))
		return CHAIN_OK;
	chain_sha256_to_hex(got->sha256, hex);
	return chain_fail(err, CHAIN_E_SOURCE_DIGEST, source, hex, 0, 0, 0, 0);
}

/* A baked image from outside: nothing in it is used unchecked. */
static enum chain_status check_image(const struct chain_blob *blob, struct chain_error *err)
{
	struct chain_image image;
	if (!blob->bytes || !chain_image_is(blob->bytes, blob->bytes_count))
		return CHAIN_OK;
	enum chain_status status = chain_image_open(&image, blob->bytes, blob->bytes_count, err);
	return status ? status : chain_image_verify(&image, NULL, NULL, err);
}

enum chain_status chain_source_load(const struct chain_sources *sources, const char *source,
				    const struct chain_source_pin *pin, struct chain_source_bytes *io,
				    struct chain_error *err)
{
	const struct chain_stream_pin wanted = { source, pin->sha256 };
	uint64_t phys = CHAIN_PHYS_UNKNOWN;
	if (!io->stream.read || io->loaded)
		return CHAIN_OK;
	uint8_t *into = sources->transport->take_memory(sources->transport->ctx, io->stream.bytes, source, &phys, err);
	if (!into)
		return CHAIN_E_NO_SPACE;
	enum chain_status status = chain_stream_take(&io->stream, &wanted, into, io->sha256, err);
	io->blob = (struct chain_blob){ into, io->stream.bytes, phys };
	if (!status)
		status = check_image(&io->blob, err);
	if (status)
		sources->transport->give_memory(sources->transport->ctx, phys, io->stream.bytes);
	else
		io->loaded = true;
	return status;
}

void chain_source_close(const struct chain_sources *sources, struct chain_source_bytes *source)
{
	if (source->stream.close)
		source->stream.close(source->stream.ctx);
	source->stream = (struct chain_stream){ 0 };
	if (source->loaded)
		sources->transport->give_memory(sources->transport->ctx, source->blob.phys, source->blob.bytes_count);
	source->loaded = false;
}

enum chain_status chain_source_open(const struct chain_sources *sources, const char *source,
				    const struct chain_source_pin *pin, struct chain_source_bytes *out,
				    struct chain_error *err)
{
	const char *rest;
	const struct chain_source_row *row = chain_source_row(source, &rest);
	*out = (struct chain_source_bytes){ .blob = { .phys = CHAIN_PHYS_UNKNOWN } };
	if (!row)
		return chain_fail_subject(err, CHAIN_E_SOURCE_SCHEME, source);
	if (row->traits & CHAIN_SOURCE_NEEDS_PIN && !pin->sha256 && !pin->unverified)
		return chain_fail_subject(err, CHAIN_E_SOURCE_UNPINNED, source);
	enum chain_status status = row->open(sources, source, rest, out, err);
	if (!status && out->stream.read)
		return CHAIN_OK; /* its digest is known when it has been read */
	if (!status)
		status = check_pin(source, pin, out, err);
	return !status && row->traits & CHAIN_SOURCE_NEEDS_PIN ? check_image(&out->blob, err) : status;
}
