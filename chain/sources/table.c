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

/* Bytes in memory. What has a digest already keeps it, and is only hashed for a pin of another kind. */
static enum chain_status check_pin(const char *source, const struct chain_pin *pin, bool has_digest,
				   struct chain_source_bytes *io, struct chain_error *err)
{
	struct chain_pin rest = *pin;
	struct chain_pin_hash hash;
	const uint8_t **own = &rest.digests[io->digest.kind];
	char text[CHAIN_DIGEST_TEXT_BYTES];
	if (has_digest && *own && memcmp(*own, io->digest.bytes, sizeof(io->digest.bytes)) != 0)
		return chain_fail_text(err, CHAIN_E_SOURCE_DIGEST, source, chain_digest_text(&io->digest, text));
	if (has_digest)
		*own = NULL;
	if (has_digest && !chain_pin_is(&rest))
		return CHAIN_OK;
	chain_pin_begin(&hash, &rest);
	chain_pin_update(&hash, io->blob.bytes, io->blob.bytes_count);
	return chain_pin_end(&hash, source, has_digest ? NULL : &io->digest, err);
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
	const struct chain_stream_pin wanted = { source, pin->pin };
	uint64_t phys = CHAIN_PHYS_UNKNOWN;
	if (!io->stream.read || io->loaded)
		return CHAIN_OK;
	uint8_t *into = sources->transport->take_memory(sources->transport->ctx, io->stream.bytes, source, &phys, err);
	if (!into)
		return CHAIN_E_NO_SPACE;
	enum chain_status status = chain_stream_take(&io->stream, &wanted, into, &io->digest, err);
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
	if (row->traits & CHAIN_SOURCE_NEEDS_PIN && !chain_pin_is(&pin->pin) && !pin->unverified)
		return chain_fail_subject(err, CHAIN_E_SOURCE_UNPINNED, source);
	struct chain_image_checked taken_as_it_is = { .all = true };
	struct chain_image image;
	struct chain_sources here = *sources;
	if (pin->unverified && sources->image) { /* its own files have digests: they are not looked at */
		image = *sources->image;
		image.checked = &taken_as_it_is;
		here.image = &image;
	}
	enum chain_status status = row->open(&here, source, rest, out, err);
	if (!status && out->stream.read)
		return CHAIN_OK; /* its digest is known when it has been read */
	if (!status && !(row->traits & CHAIN_SOURCE_TAKES_NO_PIN))
		status = check_pin(source, &pin->pin, !(row->traits & CHAIN_SOURCE_NEEDS_PIN), out, err);
	return !status && row->traits & CHAIN_SOURCE_NEEDS_PIN ? check_image(&out->blob, err) : status;
}
