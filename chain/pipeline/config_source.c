/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where the bytes of kernels and modules come from, and what vouches for them. */

#include "chain/source.h"
#include "config_internal.h"

#include <string.h>

/* Text that is a name or goes on a command line, and is shown by whoever looks at the pipeline. */
enum chain_status chain_config_read_plain(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err)
{
	char **out = into;
	enum chain_status status = chain_json_read_text(value, out, of, path, err);
	if (!status && chain_text_has_control(*out, strlen(*out)))
		return chain_fail_text(err, CHAIN_E_CONFIG_CONTROL, path->at, *out);
	return status;
}

/* `boots`: the source is of a kernel to boot. */
static enum chain_status check_source(const char *source, bool boots, const struct chain_json_path *path,
				      struct chain_error *err)
{
	enum chain_status wrong = chain_source_check(source);
	if (wrong)
		return chain_fail_text(err, wrong, path->at, source);
	if (!boots && chain_source_has(source, CHAIN_SOURCE_BOOT_ONLY))
		return chain_fail_text(err, CHAIN_E_CONFIG_SELF, path->at, "can only be booted");
	return CHAIN_OK;
}

enum chain_status chain_config_read_called_source(const json_t *value, void *into, const void *of,
						  struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status status = chain_config_read_plain(value, into, of, path, err);
	return status ? status : check_source(*(char **)into, false, path, err);
}

enum chain_status chain_config_read_booted_source(const json_t *value, void *into, const void *of,
						  struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status status = chain_config_read_plain(value, into, of, path, err);
	return status ? status : check_source(*(char **)into, true, path, err);
}

static enum chain_status read_digest(const json_t *value, struct chain_config_pin *pin, enum chain_digest_kind kind,
				     struct chain_json_path *path, struct chain_error *err)
{
	const char *text = json_string_value(value);
	pin->pinned[kind] = true;
	if (!text)
		return chain_json_wrong(value, "a string", path, err);
	return chain_sha256_from_hex(text, strlen(text), pin->digests[kind]) ?
		       CHAIN_OK :
		       chain_fail_text(err, CHAIN_E_CONFIG_SHA256, path->at, text);
}

enum chain_status chain_config_read_sha256(const json_t *value, void *into, const void *of,
					   struct chain_json_path *path, struct chain_error *err)
{
	(void)of;
	return read_digest(value, into, CHAIN_DIGEST_SHA256, path, err);
}

enum chain_status chain_config_read_fsverity(const json_t *value, void *into, const void *of,
					     struct chain_json_path *path, struct chain_error *err)
{
	(void)of;
	return read_digest(value, into, CHAIN_DIGEST_FSVERITY, path, err);
}

bool chain_config_is_pinned(const struct chain_config_pin *pin)
{
	return pin->pinned[CHAIN_DIGEST_SHA256] || pin->pinned[CHAIN_DIGEST_FSVERITY];
}

enum chain_status chain_config_check_pinned(const char *source, const struct chain_config_pin *pin,
					    const struct chain_json_path *path, struct chain_error *err)
{
	if (source && chain_source_has(source, CHAIN_SOURCE_NEEDS_PIN) && !chain_config_is_pinned(pin) &&
	    !pin->unverified)
		return chain_fail_text(err, CHAIN_E_CONFIG_UNPINNED, path->at, source);
	return CHAIN_OK;
}
