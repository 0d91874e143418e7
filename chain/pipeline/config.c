/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/config.h"

#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/source.h"
#include "config_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct chain_config, member)
/* What chain_json_read_list and _members fill in. */
#define IS_LIST(v, count) static_assert(AT(count) == AT(v) + sizeof(void *), #v)
IS_LIST(console, console_count);
IS_LIST(steps, step_count);

enum chain_status chain_config_check_name(const char *name, const struct chain_json_path *path, struct chain_error *err)
{
	size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (bytes && bytes <= CHAIN_CONFIG_NAME_MAX && !name[bytes])
		return CHAIN_OK;
	return CHAIN_FAIL(err, CONFIG_NAME, .subject = path->at, .detail = name, .limit = CHAIN_CONFIG_NAME_MAX);
}

enum chain_status chain_config_read_name(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					 struct chain_error *err)
{
	enum chain_status status = chain_json_read_text(value, into, of, path, err);
	return status ? status : chain_config_check_name(*(char **)into, path, err);
}

static enum chain_status read_version(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				      struct chain_error *err)
{
	uint64_t version = 0;
	(void)into;
	enum chain_status status = chain_json_read_number(value, &version, of, path, err);
	if (!status && version != 1)
		return CHAIN_FAIL(err, CONFIG_VERSION, .subject = path->at, .version = version, .understood = 1);
	return status;
}

static bool console_ok(const char *text)
{
	if (!strcmp(text, "vga"))
		return true;
	if (strncmp(text, "com", 3) || text[3] < '1' || text[3] > '4')
		return false;
	uint64_t baud;
	return !text[4] || (text[4] == ',' && chain_parse_count(text + 5, &baud) && baud && 115200 % baud == 0);
}

static enum chain_status read_console(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				      struct chain_error *err)
{
	enum chain_status status = chain_json_read_text(value, into, of, path, err);
	if (!status && !console_ok(*(char **)into))
		return chain_fail_text(err, CHAIN_E_CONFIG_CONSOLE, path->at, *(char **)into);
	return status;
}

static enum chain_status read_state(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	return json_is_object(value) ? chain_json_read_any(value, into, of, path, err) :
				       chain_json_wrong(value, "an object", path, err);
}

static const char *const verify_words[] = { "used", "all" };
static const struct chain_json_words verify = CHAIN_JSON_TABLE(verify_words);
static const struct chain_json_elements consoles = { "an array of strings", 0, sizeof(char *), read_console, NULL };
static const struct chain_json_elements steps = { "an array of at least one step", 1, sizeof(struct chain_step),
						  chain_config_read_step, NULL };

static const struct chain_json_key keys[] = {
	{ "kchain", read_version, NULL, 0, true },
	{ "name", chain_config_read_name, NULL, AT(name), true },
	{ "console", chain_json_read_list, &consoles, AT(console), false },
	{ "verify", chain_json_read_choice, &verify, AT(verify_all), false },
	{ "files", chain_config_read_files, NULL, 0, false },
	{ "state", read_state, NULL, AT(state), false },
	{ "net", chain_config_read_net, NULL, 0, false },
	{ "block", chain_config_read_block, NULL, 0, false },
	{ "steps", chain_json_read_list, &steps, AT(steps), true },
};

/* --- what is checked of a pipeline, or made of it, in this order; parts of it may not have been readable --- */

struct parse {
	struct chain_config *config;
	bool baked;
};

static enum chain_status read_document(const struct parse *parse, struct chain_json_path *path, struct chain_error *err)
{
	return chain_json_walk(parse->config->doc, keys, sizeof(keys) / sizeof(keys[0]), parse->config, path, err);
}

/* Consoles that every PC has, unless the pipeline says otherwise. */
static enum chain_status set_defaults(const struct parse *parse, struct chain_json_path *path, struct chain_error *err)
{
	enum { NAMES = 2 };
	static const char *const names[NAMES] = { "com1,115200", "vga" };
	struct chain_config *config = parse->config;
	bool ok = config->state || (config->state = json_object());
	if (!config->console) {
		config->console = calloc(NAMES, sizeof(char *));
		config->console_count = config->console ? NAMES : 0;
		ok = ok && config->console;
		for (size_t i = 0; ok && i < NAMES; i++)
			ok = (config->console[i] = strdup(names[i]));
	}
	return ok ? CHAIN_OK : chain_fail_no_memory(err, path->at, NAMES * sizeof(char *));
}

static enum chain_status no_host_path(const char *name, struct chain_json_path *path, struct chain_error *err)
{
	size_t mark = chain_json_push_key(path, "files");
	chain_json_push_key(path, name);
	chain_json_push_key(path, "from");
	enum chain_status status = chain_fail_subject(err, CHAIN_E_JSON_MISSING_KEY, path->at);
	chain_json_pop(path, mark);
	return status;
}

/* A baked pipeline has none. */
static enum chain_status check_host_paths(const struct parse *parse, struct chain_json_path *path,
					  struct chain_error *err)
{
	const char *name;
	json_t *file;
	enum chain_status first = CHAIN_OK;
	json_object_foreach (json_object_get(parse->config->doc, "files"), name, file) {
		if (parse->baked || !json_is_object(file) || json_object_get(file, "from"))
			continue;
		if (!chain_json_goes_on(path, no_host_path(name, path, err), &first, err))
			break;
	}
	return first;
}

enum chain_status chain_config_each_step(struct chain_config *config, chain_config_look *look, const void *ctx,
					 struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	bool more = true;
	size_t top = chain_json_push_key(path, "steps");
	for (size_t i = 0; more && i < config->step_count; i++) {
		size_t mark = chain_json_push_index(path, i);
		enum chain_status status = look(config, &config->steps[i], ctx, path, err);
		chain_json_pop(path, mark);
		more = chain_json_goes_on(path, status, &first, err);
	}
	chain_json_pop(path, top);
	return first;
}

static enum chain_status check_place(struct chain_config *config, struct chain_step *step, const void *ctx,
				     struct chain_json_path *path, struct chain_error *err)
{
	(void)ctx;
	if (step->kind == CHAIN_STEP_BOOT && !step->when && step + 1 < config->steps + config->step_count)
		return chain_fail_subject(err, CHAIN_E_CONFIG_AFTER_BOOT, path->at);
	for (const struct chain_step *other = config->steps; step->name && other < step; other++)
		if (other->name && !strcmp(step->name, other->name))
			return chain_fail_text(err, CHAIN_E_CONFIG_TWICE, path->at, step->name);
	return CHAIN_OK;
}

static enum chain_status check_places(const struct parse *parse, struct chain_json_path *path, struct chain_error *err)
{
	return chain_config_each_step(parse->config, check_place, NULL, path, err);
}

/* Whether the pipeline's own names, which its steps use, could be read. */
static bool has_names(const struct chain_config *config)
{
	const json_t *net = json_object_get(config->doc, "net"), *block = json_object_get(config->doc, "block");
	const json_t *state = json_object_get(config->doc, "state");
	return (!net || json_is_object(net)) && (!block || json_is_object(block)) && (!state || json_is_object(state));
}

static enum chain_status check_names(const struct parse *parse, struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	if (has_names(parse->config) &&
	    chain_json_goes_on(path, chain_config_resolve_devices(parse->config, path, err), &first, err))
		(void)chain_json_goes_on(path, chain_config_check_templates(parse->config, path, err), &first, err);
	return first;
}

static enum chain_status parse_document(const char *text, uint64_t bytes, const char *subject,
					const struct parse *parse, struct chain_errors *errors, struct chain_error *err)
{
	static enum chain_status (*const parts[])(const struct parse *, struct chain_json_path *,
						  struct chain_error *) = {
		read_document, set_defaults, check_host_paths, check_places, check_names,
	};
	struct chain_json_path path = { .errors = errors };
	*parse->config = (struct chain_config){ 0 };
	enum chain_status first =
		chain_json_load(text, bytes, CHAIN_CONFIG_MAX_BYTES, subject, &parse->config->doc, err);
	bool more = !first;
	for (size_t i = 0; more && i < sizeof(parts) / sizeof(parts[0]); i++)
		more = chain_json_goes_on(&path, parts[i](parse, &path, err), &first, err);
	return first;
}

enum chain_status chain_config_parse(const char *text, uint64_t bytes, const char *subject, bool baked,
				     struct chain_config *out, struct chain_error *err)
{
	enum chain_status status = parse_document(text, bytes, subject, &(const struct parse){ out, baked }, NULL, err);
	if (status)
		chain_config_free(out);
	return status;
}

enum chain_status chain_config_parse_all(const char *text, uint64_t bytes, const char *subject, bool baked,
					 struct chain_config *out, struct chain_errors *errors)
{
	struct chain_error err = { 0 };
	enum chain_status status =
		parse_document(text, bytes, subject, &(const struct parse){ out, baked }, errors, &err);
	chain_errors_take(errors, &err);
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
		json_object_foreach (json_object_get(config->doc, "files"), key, value)
			good = good && !json_object_set_new(files, key, without_host_path(value));
		json_object_del(doc, "$schema");
		if (json_object_get(doc, "files"))
			good = good && !json_object_set(doc, "files", files);
	}
	*out = good ? chain_json_text(doc, CHAIN_JSON_SORTED, NULL) : NULL;
	json_decref(files);
	json_decref(doc);
	return *out ? CHAIN_OK : chain_json_no_memory(err, "baked pipeline");
}

#ifndef KCHAIN_STAGE /* an image that runs was checked when it was baked */
struct source_check {
	chain_config_exists *exists;
	void *ctx;
};

/* A disk that sources may name: what is wrong with it. */
static enum chain_status check_disk(const struct chain_config *config, const char *source)
{
	const char *rest;
	const struct chain_source_row *row = chain_source_row(source, &rest);
	char disk[CHAIN_SOURCE_DISK_BYTES] = "";
	if (!row || !row->disk || row->check(rest))
		return CHAIN_OK;
	row->disk(rest, disk);
	for (size_t i = 0; i < config->block_count; i++)
		if (!strcmp(config->block[i].name, disk))
			return config->block[i].need == CHAIN_NEED_ABSENT ? CHAIN_E_CONFIG_NEED_ABSENT : CHAIN_OK;
	return CHAIN_E_CONFIG_SOURCE_DISK;
}

static enum chain_status check_source(const struct chain_config *config, const char *source, const char *key,
				      const struct source_check *check, struct chain_json_path *path,
				      struct chain_error *err)
{
	const char *in_image = source ? chain_source_path(source) : NULL;
	enum chain_status status = source ? check_disk(config, source) : CHAIN_OK;
	if (!status && (!in_image || *in_image != '/' || check->exists(check->ctx, in_image)))
		return CHAIN_OK;
	size_t mark = chain_json_push_key(path, key);
	if (status == CHAIN_E_CONFIG_NEED_ABSENT)
		(void)chain_fail_text(err, status, path->at, "bytes of that disk are to be read");
	else
		(void)chain_fail_text(err, status ? status : CHAIN_E_CONFIG_NO_SOURCE, path->at, source);
	status = err->status;
	chain_json_pop(path, mark);
	return status;
}

static enum chain_status check_sources(struct chain_config *config, struct chain_step *step, const void *ctx,
				       struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	const char *key = step->kind == CHAIN_STEP_CALL ? "call" : "boot";
	bool more = chain_json_goes_on(path, check_source(config, step->source, key, ctx, path, err), &first, err);
	size_t top = chain_json_push_key(path, "modules");
	for (size_t i = 0; more && i < step->module_count; i++) {
		size_t mark = chain_json_push_index(path, i);
		enum chain_status status = check_source(config, step->modules[i].from, "from", ctx, path, err);
		chain_json_pop(path, mark);
		more = chain_json_goes_on(path, status, &first, err);
	}
	chain_json_pop(path, top);
	if (!more || !step->fallback)
		return first;
	chain_json_push_key(path, "on_error");
	enum chain_status status = check_sources(config, step->fallback, ctx, path, err);
	chain_json_pop(path, top);
	return first ? first : status;
}

enum chain_status chain_config_check_sources(struct chain_config *config, chain_config_exists *exists, void *ctx,
					     struct chain_errors *errors)
{
	const struct source_check check = { exists, ctx };
	struct chain_json_path path = { .errors = errors };
	struct chain_error err = { 0 };
	return chain_config_each_step(config, check_sources, &check, &path, &err);
}
#endif
