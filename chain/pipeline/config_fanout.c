/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "fanout" of a call step. */

#include "config_internal.h"

#include <string.h>

#define AT(member) offsetof(struct chain_config_fanout, member)

static const struct chain_json_limits count_limits = { "1", "65536" }, cpus_limits = { "1", "1023" },
				      require_limits = { NULL, "65536" };

/* Which kernels there are is said by one of count, list, each, slices. */
static enum chain_status set_kind(struct chain_config_fanout *fanout, enum chain_fanout_kind kind,
				  const struct chain_json_path *path, struct chain_error *err)
{
	if (fanout->kind != CHAIN_FANOUT_NONE)
		return chain_fail_subject(err, CHAIN_E_FANOUT_KINDS, path->at);
	fanout->kind = kind;
	return CHAIN_OK;
}

/* "{{state.NAME}}" and nothing else: the state says it, so that one image serves many experiments. False: it is no
 * text. */
static bool read_from_state(const json_t *value, struct chain_config_fanout *fanout, const struct chain_json_path *path,
			    enum chain_status *out_status, struct chain_error *err)
{
	static const char begin[] = "{{state.", end[] = "}}";
	const char *text = json_string_value(value);
	size_t bytes = text ? strlen(text) : 0, open = sizeof(begin) - 1, close = sizeof(end) - 1;
	if (!text)
		return false;
	*out_status = CHAIN_OK;
	if (bytes <= open + close || strncmp(text, begin, open) != 0 || strcmp(text + bytes - close, end) != 0 ||
	    strcspn(text + 2, "{}|") != bytes - 2 - close) {
		*out_status = chain_fail_text(err, CHAIN_E_FANOUT_FROM, path->at, text);
		return true;
	}
	fanout->from = strndup(text + 2, bytes - 2 - close);
	if (!fanout->from)
		*out_status = chain_fail_no_memory(err, path->at, bytes);
	return true;
}

static enum chain_status read_count(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_COUNT, path, err);
	if (!status && read_from_state(value, fanout, path, &status, err))
		return status;
	return status ? status : chain_json_read_number(value, &fanout->count, of, path, err);
}

static enum chain_status read_list(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_LIST, path, err);
	(void)of;
	if (status || read_from_state(value, fanout, path, &status, err))
		return status;
	fanout->count = json_array_size(value);
	if (!fanout->count || fanout->count > CHAIN_FANOUT_MAX)
		return chain_json_wrong(value, "an array of 1 to 65536 values, one for each kernel,", path, err);
	return chain_json_read_any(value, &fanout->list, NULL, path, err);
}

static enum chain_status read_path(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	char **out = into;
	enum chain_status status = chain_json_read_text(value, out, of, path, err);
	if (!status && strncmp(*out, "fs:/", 4))
		return chain_fail_text(err, CHAIN_E_CONFIG_FS_PATH, path->at, *out);
	return status;
}

/* Patterns stand in the last component only. */
static enum chain_status read_each(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_EACH, path, err);
	if (!status)
		status = read_path(value, &fanout->path, of, path, err);
	if (status)
		return status;
	size_t plain = strcspn(fanout->path, "*?");
	if (strchr(fanout->path + plain, '/') || fanout->path[strlen(fanout->path) - 1] == '/')
		return chain_fail_text(err, CHAIN_E_FANOUT_PATTERN, path->at, fanout->path);
	return CHAIN_OK;
}

static const char *const at_names[] = { "line", "byte" };
static const struct chain_json_words at_words = CHAIN_JSON_TABLE(at_names);
static const struct chain_json_key slices_keys[] = {
	{ "of", read_path, NULL, AT(path), true },
	{ "count", chain_json_read_number, &count_limits, AT(count), true },
	{ "at", chain_json_read_choice, &at_words, AT(at_byte), false },
};
static const struct chain_json_keys slices = CHAIN_JSON_TABLE(slices_keys);

static enum chain_status read_slices(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	enum chain_status status = set_kind(into, CHAIN_FANOUT_SLICES, path, err);
	return status ? status : chain_json_read_object(value, into, of, path, err);
}

/* "all", "95%", or a number of kernels. */
static enum chain_status read_require(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				      struct chain_error *err)
{
	static const struct chain_unit percent = { "%", 1 };
	struct chain_config_fanout *fanout = into;
	const char *text = json_string_value(value);
	uint64_t share = 100;
	if (json_is_integer(value)) {
		fanout->require_percent = 0;
		return chain_json_read_number(value, &fanout->require_count, of, path, err);
	}
	if (!text || (strcmp(text, "all") && (!chain_parse_units(text, &percent, 1, &share) || share > 100)))
		return chain_json_wrong(value, "\"all\", a share such as \"95%\", or a number of kernels", path, err);
	fanout->require_percent = (unsigned)share;
	return CHAIN_OK;
}

static const char *const failures_names[] = { "continue", "stop" }, *const console_names[] = { "show", "mute" };
static const struct chain_json_words failures = CHAIN_JSON_TABLE(failures_names),
				     console = CHAIN_JSON_TABLE(console_names);

static const struct chain_json_key fanout_keys[] = {
	{ "count", read_count, &count_limits, 0, false },
	{ "list", read_list, NULL, 0, false },
	{ "each", read_each, NULL, 0, false },
	{ "slices", read_slices, &slices, 0, false },
	{ "concurrency", chain_json_read_number, &count_limits, AT(concurrency), false },
	{ "cpus", chain_json_read_number, &cpus_limits, AT(cpus), false },
	{ "require", read_require, &require_limits, 0, false },
	{ "failures", chain_json_read_choice, &failures, AT(stop), false },
	{ "console", chain_json_read_choice, &console, AT(mute), false },
};

enum chain_status chain_config_read_fanout(const json_t *value, void *into, const void *of,
					   struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config_fanout *fanout = &((struct chain_step *)into)->fanout;
	enum chain_status first = CHAIN_OK, status;
	(void)of;
	fanout->require_percent = 100;
	fanout->cpus = 1;
	status = chain_json_walk(value, fanout_keys, sizeof(fanout_keys) / sizeof(fanout_keys[0]), fanout, path, err);
	bool more = chain_json_goes_on(path, status, &first, err);
	if (more && fanout->kind == CHAIN_FANOUT_NONE && json_is_object(value))
		(void)chain_json_goes_on(path, chain_fail_subject(err, CHAIN_E_FANOUT_KINDS, path->at), &first, err);
	if (first)
		fanout->kind = CHAIN_FANOUT_EACH; /* how many kernels there are is not known: what else is said of each
						     is checked as far as it can be */
	return first;
}
