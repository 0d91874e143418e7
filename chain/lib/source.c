/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/source.h"

#include <string.h>

struct scheme {
	const char *prefix;
	enum chain_status (*open)(const struct chain_sources *sources, const char *source, const char *rest,
				  const struct chain_source_pin *pin, struct chain_source_bytes *out, struct chain_error *err);
};

static enum chain_status check_pin(const char *source, const struct chain_source_pin *pin, const struct chain_source_bytes *got,
				   struct chain_error *err)
{
	if (!pin->sha256 || !memcmp(pin->sha256, got->sha256, CHAIN_SHA256_BYTES))
		return CHAIN_OK;
	char hex[CHAIN_SHA256_HEX + 1];
	chain_sha256_to_hex(got->sha256, hex);
	return chain_fail(err, CHAIN_E_SOURCE_DIGEST, source, hex, 0, 0, 0, 0);
}

static enum chain_status open_fs(const struct chain_sources *sources, const char *source, const char *rest,
				 const struct chain_source_pin *pin, struct chain_source_bytes *out, struct chain_error *err)
{
	const uint8_t *bytes;
	uint64_t count;
	enum chain_status status = chain_image_file(sources->image, rest, &bytes, &count, out->sha256, err);
	if (status)
		return status;
	uint64_t phys = CHAIN_PHYS_UNKNOWN;
	if (sources->fs_phys != CHAIN_PHYS_UNKNOWN)
		phys = sources->fs_phys + (uint64_t)(bytes - sources->image->fs_bytes);
	out->blob = (struct chain_blob){ bytes, count, phys };
	return check_pin(source, pin, out, err);
}

/* A boot module is called by the first word of its string, or by what follows the last slash in that word. */
static bool module_is_called(const char *string, const char *name)
{
	size_t word = strcspn(string, " \t"), name_bytes = strlen(name);
	if (word == name_bytes && !memcmp(string, name, word))
		return true;
	for (size_t i = word; i > 0; i--)
		if (string[i - 1] == '/')
			return word - i == name_bytes && !memcmp(string + i, name, name_bytes);
	return false;
}

static enum chain_status find_module(const struct chain_sources *sources, const char *source, const char *name, size_t *out,
				     struct chain_error *err)
{
	for (size_t i = 0; i < sources->bootinfo->module_count; i++) {
		if (module_is_called(sources->bootinfo->modules[i].string, name)) {
			*out = i;
			return CHAIN_OK;
		}
	}
	return chain_fail(err, CHAIN_E_SOURCE_NO_MODULE, source, NULL, sources->bootinfo->module_count, 0, 0, 0);
}

static enum chain_status open_module(const struct chain_sources *sources, const char *source, const char *rest,
				     const struct chain_source_pin *pin, struct chain_source_bytes *out, struct chain_error *err)
{
	size_t index = 0;
	enum chain_status status = find_module(sources, source, rest, &index, err);
	if (status)
		return status;
	if (!pin->sha256 && !pin->unverified)
		return chain_fail_subject(err, CHAIN_E_SOURCE_UNPINNED, source);
	const uint8_t *bytes = sources->module_bytes ? sources->module_bytes(sources->ctx, index) : NULL;
	if (!bytes)
		return chain_fail_subject(err, CHAIN_E_SOURCE_ELSEWHERE, source);
	struct chain_range range = sources->bootinfo->modules[index].range;
	out->blob = (struct chain_blob){ bytes, chain_range_bytes(range), range.base };
	chain_sha256_of(bytes, out->blob.bytes_count, out->sha256);
	status = check_pin(source, pin, out, err);
	if (status || !chain_image_is(bytes, out->blob.bytes_count))
		return status;
	struct chain_image image;
	status = chain_image_open(&image, bytes, out->blob.bytes_count, err);
	return status ? status : chain_image_verify(&image, NULL, NULL, err);
}

static const struct scheme schemes[] = {
	{ "fs:", open_fs },
	{ "module:", open_module },
};

enum chain_status chain_source_open(const struct chain_sources *sources, const char *source, const struct chain_source_pin *pin,
				    struct chain_source_bytes *out, struct chain_error *err)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t bytes = strlen(schemes[i].prefix);
		if (!strncmp(source, schemes[i].prefix, bytes))
			return schemes[i].open(sources, source, source + bytes, pin, out, err);
	}
	return chain_fail_subject(err, CHAIN_E_SOURCE_SCHEME, source);
}
