/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* fs:/PATH: a file of the running image's own filesystem. The manifest has its digest. */

#include "chain/source.h"

static enum chain_status check(const char *rest)
{
	return *rest == '/' ? CHAIN_OK : CHAIN_E_CONFIG_FS_PATH;
}

static const char *path(const char *rest)
{
	return rest;
}

static enum chain_status open_file(const struct chain_sources *sources, const char *source, const char *rest,
				   struct chain_source_bytes *out, struct chain_error *err)
{
	const uint8_t *bytes;
	uint64_t count;
	enum chain_status status = chain_image_file(sources->image, rest, &bytes, &count, &out->digest, err);
	(void)source;
	if (status)
		return status;
	out->blob = (struct chain_blob){ bytes, count, CHAIN_PHYS_UNKNOWN };
	if (sources->fs_phys != CHAIN_PHYS_UNKNOWN)
		out->blob.phys = sources->fs_phys + (uint64_t)(bytes - sources->image->fs_bytes);
	return CHAIN_OK;
}

extern const struct chain_source_row chain_source_fs;
const struct chain_source_row chain_source_fs = { .scheme = "fs:", .check = check, .path = path, .open = open_file };
