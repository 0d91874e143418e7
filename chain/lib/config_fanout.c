/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "fanout" of a call step. */

#include "config_internal.h"

#include <string.h>

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

/* One of count, list, each, slices says which kernels there are. */
static enum chain_status set_kind(struct chain_config_fanout *fanout, enum chain_fanout_kind kind, const struct chain_json_path *path,
				  struct chain_error *err)
{
	if (fanout->kind != CHAIN_FANOUT_NONE)
		return chain_fail_subject(err, CHAIN_E_FANOUT_KINDS, path->at);
	fanout->kind = kind;
	return CHAIN_OK;
}

static enum chain_status read_count(const json_t *v, uint64_t *out, struct chain_json_path *p, struct chain_error *e)
{
	enum chain_status status = chain_json_number(v, CHAIN_FANOUT_MAX, out, p, e);
	return status || *out ? status : chain_fail(e, CHAIN_E_CONFIG_RANGE, p->at, NULL, 0, 1, CHAIN_FANOUT_MAX, 0);
}

static enum chain_status fanout_count(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_COUNT, p, e);
	return status ? status : read_count(v, &fanout->count, p, e);
}

static enum chain_status fanout_list(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_LIST, p, e);
	if (status)
		return status;
	if (!json_is_array(v))
		return chain_json_wrong(v, "an array with one value for each kernel", p, e);
	fanout->count = json_array_size(v);
	if (!fanout->count || fanout->count > CHAIN_FANOUT_MAX)
		return chain_fail(e, CHAIN_E_CONFIG_RANGE, p->at, NULL, fanout->count, 1, CHAIN_FANOUT_MAX, 0);
	fanout->list = json_incref((json_t *)(uintptr_t)v);
	return CHAIN_OK;
}

static enum chain_status read_path(const json_t *v, char **out, struct chain_json_path *p, struct chain_error *e)
{
	enum chain_status status = chain_json_copy(v, out, p, e);
	if (!status && strncmp(*out, "fs:/", 4))
		return chain_fail(e, CHAIN_E_CONFIG_FS_PATH, p->at, *out, 0, 0, 0, 0);
	return status;
}

/* Patterns stand in the last component only. */
static enum chain_status fanout_each(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = set_kind(fanout, CHAIN_FANOUT_EACH, p, e);
	if (!status)
		status = read_path(v, &fanout->path, p, e);
	if (status)
		return status;
	size_t plain = strcspn(fanout->path, "*?");
	if (strchr(fanout->path + plain, '/') || fanout->path[strlen(fanout->path) - 1] == '/')
		return chain_fail(e, CHAIN_E_FANOUT_PATTERN, p->at, fanout->path, 0, 0, 0, 0);
	return CHAIN_OK;
}

static enum chain_status slices_of(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	return read_path(v, &((struct chain_config_fanout *)into)->path, p, e);
}
static enum chain_status slices_count(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	return read_count(v, &((struct chain_config_fanout *)into)->count, p, e);
}
static enum chain_status slices_at(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "line", "byte" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	((struct chain_config_fanout *)into)->at_byte = word == 1;
	return status;
}
static const struct chain_json_key slices_keys[] = {
	{ "of", slices_of, true },
	{ "count", slices_count, true },
	{ "at", slices_at, false },
};

static enum chain_status fanout_slices(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	enum chain_status status = set_kind(into, CHAIN_FANOUT_SLICES, p, e);
	return status ? status : chain_json_walk(v, ROWS(slices_keys), into, p, e);
}

static enum chain_status fanout_concurrency(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	return read_count(v, &((struct chain_config_fanout *)into)->concurrency, p, e);
}

static enum chain_status fanout_cpus(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_fanout *fanout = into;
	enum chain_status status = chain_json_number(v, CHAIN_FANOUT_CPUS_MAX, &fanout->cpus, p, e);
	return status || fanout->cpus ? status : chain_fail(e, CHAIN_E_CONFIG_RANGE, p->at, NULL, 0, 1, CHAIN_FANOUT_CPUS_MAX, 0);
}

/* "all", "95%", or a number of kernels. */
static enum chain_status fanout_require(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_fanout *fanout = into;
	const char *text = json_string_value(v);
	fanout->require_percent = 100;
	if (!text) {
		fanout->require_percent = 0;
		return chain_json_number(v, CHAIN_FANOUT_MAX, &fanout->require_count, p, e);
	}
	if (!strcmp(text, "all"))
		return CHAIN_OK;
	unsigned percent = 0;
	size_t digits = strspn(text, "0123456789");
	for (size_t i = 0; i < digits && percent <= 100; i++)
		percent = percent * 10 + (unsigned)(text[i] - '0');
	if (!digits || percent > 100 || strcmp(text + digits, "%"))
		return chain_json_wrong(v, "\"all\", a share such as \"95%\", or a number of kernels", p, e);
	fanout->require_percent = percent;
	return CHAIN_OK;
}

static enum chain_status fanout_failures(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "continue", "stop" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	((struct chain_config_fanout *)into)->stop = word == 1;
	return status;
}

static enum chain_status fanout_console(const json_t *v, void *into, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "show", "mute" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	((struct chain_config_fanout *)into)->mute = word == 1;
	return status;
}

static const struct chain_json_key fanout_keys[] = {
	{ "count", fanout_count, false },
	{ "list", fanout_list, false },
	{ "each", fanout_each, false },
	{ "slices", fanout_slices, false },
	{ "concurrency", fanout_concurrency, false },
	{ "cpus", fanout_cpus, false },
	{ "require", fanout_require, false },
	{ "failures", fanout_failures, false },
	{ "console", fanout_console, false },
};

enum chain_status chain_config_read_fanout(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config_fanout *fanout = &((struct chain_step *)into)->fanout;
	fanout->require_percent = 100;
	fanout->cpus = 1;
	enum chain_status status = chain_json_walk(value, ROWS(fanout_keys), fanout, path, err);
	if (!status && fanout->kind == CHAIN_FANOUT_NONE)
		return chain_fail_subject(err, CHAIN_E_FANOUT_KINDS, path->at);
	return status;
}
