/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* module:NAME: a module that the boot loader handed over. Nobody vouches for its bytes but the pipeline's pin. */

#include "chain/source.h"
#include "abi/module_name.h"

#include <string.h>

static enum chain_status check(const char *rest)
{
	return *rest ? CHAIN_OK : CHAIN_E_CONFIG_SCHEME;
}

/* A boot module is called by the first word of its string, or by what follows the last slash in that word. */
static bool is_called(const char *string, const char *name)
{
	unsigned bytes;
	const char *last = kchain_module_name(string, &bytes);
	size_t word = (size_t)(last - string) + bytes, wanted = strlen(name);
	return (word == wanted && !memcmp(string, name, wanted)) || (bytes == wanted && !memcmp(last, name, wanted));
}

static enum chain_status find(const struct chain_sources *sources, const char *source, const char *name, size_t *out,
			      struct chain_error *err)
{
	for (size_t i = 0; i < sources->bootinfo->module_count; i++) {
		if (!is_called(sources->bootinfo->modules[i].string, name))
			continue;
		*out = i;
		return CHAIN_OK;
	}
	return CHAIN_FAIL(err, SOURCE_NO_MODULE, .subject = source, .count = sources->bootinfo->module_count);
}

static enum chain_status open_module(const struct chain_sources *sources, const char *source, const char *rest,
				     struct chain_source_bytes *out, struct chain_error *err)
{
	size_t index = 0;
	enum chain_status status = find(sources, source, rest, &index, err);
	if (status)
		return status;
	const uint8_t *bytes = sources->module_bytes ? sources->module_bytes(sources->ctx, index) : NULL;
	if (!bytes)
		return chain_fail_subject(err, CHAIN_E_SOURCE_ELSEWHERE, source);
	struct chain_range range = sources->bootinfo->modules[index].range;
	out->blob = (struct chain_blob){ bytes, chain_range_bytes(range), range.base };
	return CHAIN_OK;
}

extern const struct chain_source_row chain_source_module;
const struct chain_source_row chain_source_module = {
	.scheme = "module:",
	.traits = CHAIN_SOURCE_NEEDS_PIN,
	.check = check,
	.open = open_module,
};
