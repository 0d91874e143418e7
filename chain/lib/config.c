/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/config.h"

#include "chain/json.h"
#include "chain/json_write.h"
#include "config_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

bool chain_config_name_ok(const char *name)
{
	size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return bytes && bytes <= CHAIN_CONFIG_NAME_MAX && !name[bytes];
}

static enum chain_status no_memory(const struct chain_json_path *path, size_t bytes, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, bytes, 0, 0, 0);
}

enum chain_status chain_config_array(size_t count, size_t each, void *out_array, const struct chain_json_path *path,
				     struct chain_error *err)
{
	void *array = calloc(count ? count : 1, each);
	if (!array)
		return no_memory(path, count * each, err);
	memcpy(out_array, &array, sizeof(array));
	return CHAIN_OK;
}

enum chain_status chain_config_strings(const json_t *value, char ***out, size_t *out_count, struct chain_json_path *path,
				       struct chain_error *err)
{
	if (!json_is_array(value))
		return chain_json_wrong(value, "an array of strings", path, err);
	size_t count = json_array_size(value);
	enum chain_status status = chain_config_array(count, sizeof(char *), out, path, err);
	for (size_t i = 0; !status && i < count; i++) {
		size_t mark = chain_json_push_index(path, i);
		*out_count = i + 1;
		status = chain_json_copy(json_array_get(value, i), &(*out)[i], path, err);
		chain_json_pop(path, mark);
	}
	return status;
}

static enum chain_status read_version(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	uint64_t version = 0;
	(void)into;
	enum chain_status status = chain_json_number(value, UINT32_MAX, &version, path, err);
	if (!status && version != 1)
		return chain_fail(err, CHAIN_E_CONFIG_VERSION, path->at, NULL, version, 1, 0, 0);
	return status;
}

static enum chain_status read_name(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	enum chain_status status = chain_json_copy(value, &config->name, path, err);
	if (!status && !chain_config_name_ok(config->name))
		return chain_fail(err, CHAIN_E_CONFIG_NAME, path->at, config->name, CHAIN_CONFIG_NAME_MAX, 0, 0, 0);
	return status;
}

static bool console_ok(const char *text)
{
	if (!strcmp(text, "vga"))
		return true;
	if (strncmp(text, "com", 3) || text[3] < '1' || text[3] > '4')
		return false;
	uint64_t baud;
	return !text[4] || (text[4] == ',' && chain_parse_size(text + 5, &baud) && baud && 115200 % baud == 0);
}

static enum chain_status read_console(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	enum chain_status status = chain_config_strings(value, &config->console, &config->console_count, path, err);
	for (size_t i = 0; !status && i < config->console_count; i++)
		if (!console_ok(config->console[i]))
			status = chain_fail(err, CHAIN_E_CONFIG_CONSOLE, path->at, config->console[i], 0, 0, 0, 0);
	return status;
}

static enum chain_status read_verify(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	static const char *const words[] = { "used", "all" };
	struct chain_config *config = into;
	size_t word = 0;
	enum chain_status status = chain_json_word(value, words, 2, &word, path, err);
	config->verify_all = word == 1;
	return status;
}

static enum chain_status read_state(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object", path, err);
	config->state = json_incref((json_t *)(uintptr_t)value);
	return CHAIN_OK;
}

static enum chain_status read_steps(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	if (!json_is_array(value) || !json_array_size(value))
		return chain_json_wrong(value, "an array of at least one step", path, err);
	size_t count = json_array_size(value);
	enum chain_status status = chain_config_array(count, sizeof(struct chain_step), &config->steps, path, err);
	for (size_t i = 0; !status && i < count; i++) {
		size_t mark = chain_json_push_index(path, i);
		config->step_count = i + 1;
		status = chain_config_read_step(json_array_get(value, i), &config->steps[i], path, err);
		if (!status && config->steps[i].kind == CHAIN_STEP_BOOT && !config->steps[i].when && i + 1 < count)
			status = chain_fail(err, CHAIN_E_CONFIG_AFTER_BOOT, path->at, config->steps[i].name, 0, 0, 0, 0);
		for (size_t j = 0; !status && j < i; j++)
			if (!strcmp(config->steps[i].name, config->steps[j].name))
				status = chain_fail(err, CHAIN_E_CONFIG_TWICE, path->at, config->steps[i].name, 0, 0, 0, 0);
		chain_json_pop(path, mark);
	}
	return status;
}

static const struct chain_json_key top_keys[] = {
	{ "kchain", read_version, true },
	{ "name", read_name, true },
	{ "console", read_console, false },
	{ "verify", read_verify, false },
	{ "files", chain_config_read_files, false },
	{ "state", read_state, false },
	{ "net", chain_config_read_net, false },
	{ "block", chain_config_read_block, false },
	{ "steps", read_steps, true },
};

/* Consoles that every PC has, unless the pipeline says otherwise. */
static enum chain_status default_console(struct chain_config *config, struct chain_json_path *path, struct chain_error *err)
{
	static const char *const names[] = { "com1,115200", "vga" };
	enum chain_status status = chain_config_array(2, sizeof(char *), &config->console, path, err);
	for (size_t i = 0; !status && i < 2; i++) {
		config->console[i] = strdup(names[i]);
		config->console_count = i + 1;
		if (!config->console[i])
			status = no_memory(path, strlen(names[i]), err);
	}
	return status;
}

static enum chain_status require_host_paths(const struct chain_config *config, struct chain_error *err)
{
	for (size_t i = 0; i < config->file_count; i++)
		if (!config->files[i].from)
			return chain_fail(err, CHAIN_E_CONFIG_NO_FROM, config->files[i].path, NULL, 0, 0, 0, 0);
	return CHAIN_OK;
}

enum chain_status chain_config_parse(const char *text, uint64_t bytes, const char *subject, bool baked, struct chain_config *out,
				     struct chain_error *err)
{
	struct chain_json_path path = { "" };
	*out = (struct chain_config){ 0 };
	enum chain_status status = chain_json_load(text, bytes, CHAIN_CONFIG_MAX_BYTES, subject, &out->doc, err);
	if (!status)
		status = chain_json_walk(out->doc, ROWS(top_keys), out, &path, err);
	if (!status && !out->console)
		status = default_console(out, &path, err);
	if (!status && !out->state && !(out->state = json_object()))
		status = no_memory(&path, 0, err);
	if (!status && !baked)
		status = require_host_paths(out, err);
	if (!status)
		status = chain_config_settle_given(out, err);
	if (!status)
		status = chain_config_check_templates(out, err);
	if (status)
		chain_config_free(out);
	return status;
}

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

static void free_net(struct chain_config_net *net)
{
	free(net->name);
	free(net->mac);
	free(net->pci);
	free(net->address);
	free(net->gateway);
	free(net->hostname);
	free_strings(net->dns, net->dns_count);
}

void chain_config_free(struct chain_config *config)
{
	for (size_t i = 0; i < config->file_count; i++) {
		free(config->files[i].path);
		free(config->files[i].from);
	}
	for (size_t i = 0; i < config->net_count; i++)
		free_net(&config->net[i]);
	for (size_t i = 0; i < config->block_count; i++) {
		free(config->block[i].name);
		free(config->block[i].serial);
		free(config->block[i].pci);
	}
	for (size_t i = 0; i < config->step_count; i++)
		chain_config_free_step(&config->steps[i]);
	free(config->files);
	free(config->net);
	free(config->block);
	free(config->steps);
	free(config->name);
	free_strings(config->console, config->console_count);
	json_decref(config->state);
	json_decref(config->doc);
	*config = (struct chain_config){ 0 };
}

/* {"from": "x", "mode": …} without "from"; a plain string becomes an empty object. */
static json_t *without_host_path(const json_t *entry)
{
	json_t *copy = json_is_object(entry) ? chain_json_shallow(entry) : json_object();
	if (copy && json_is_object(entry))
		json_object_del(copy, "from");
	return copy;
}

enum chain_status chain_config_baked_text(const struct chain_config *config, char **out, struct chain_error *err)
{
	const char *key;
	json_t *value, *doc = chain_json_shallow(config->doc), *files = json_object();
	bool good = doc && files;
	if (good) {
		json_object_foreach(json_object_get(config->doc, "files"), key, value)
			good = good && !json_object_set_new(files, key, without_host_path(value));
		json_object_del(doc, "$schema");
		if (json_object_get(doc, "files"))
			good = good && !json_object_set(doc, "files", files);
	}
	*out = good ? chain_json_text(doc, CHAIN_JSON_SORTED, NULL) : NULL;
	json_decref(files);
	json_decref(doc);
	return *out ? CHAIN_OK : chain_fail(err, CHAIN_E_NO_MEMORY, "baked pipeline", NULL, 0, 0, 0, 0);
}

static enum chain_status check_source(const char *source, const char *step, chain_config_exists *exists, void *ctx,
				      struct chain_error *err)
{
	if (strncmp(source, "fs:", 3) || exists(ctx, source + 3))
		return CHAIN_OK;
	return chain_fail(err, CHAIN_E_CONFIG_NO_SOURCE, step, source, 0, 0, 0, 0);
}

static enum chain_status check_step(const struct chain_step *step, chain_config_exists *exists, void *ctx, struct chain_error *err)
{
	enum chain_status status = check_source(step->source, step->name, exists, ctx, err);
	for (size_t i = 0; !status && i < step->module_count; i++)
		status = check_source(step->modules[i].from, step->name, exists, ctx, err);
	return status;
}

enum chain_status chain_config_check_sources(const struct chain_config *config, chain_config_exists *exists, void *ctx,
					     struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < config->step_count; i++) {
		status = check_step(&config->steps[i], exists, ctx, err);
		if (!status && config->steps[i].fallback)
			status = check_step(config->steps[i].fallback, exists, ctx, err);
	}
	return status;
}
