/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Steps, but for "fanout" and "devices". */

#include "chain/json_write.h"
#include "chain/source.h"
#include "config_internal.h"

#include "chain/door.h"
#include "chain/guest.h"
#include "chain/handoff.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct chain_step, member)

enum { DEFAULT_CALL_MEMORY = 1024 * 1024, DEFAULT_CALL_TIMEOUT_US = 10000000 };

/* --- "modules" --- */

#define MODULE_AT(member) offsetof(struct chain_config_module, member)
static const struct chain_json_key module_keys[] = {
	{ "from", chain_config_read_called_source, NULL, MODULE_AT(from), true },
	{ "string", chain_config_read_plain, NULL, MODULE_AT(string), false },
	{ "sha256", chain_config_read_sha256, NULL, MODULE_AT(pin), false },
	{ "fsverity", chain_config_read_fsverity, NULL, MODULE_AT(pin), false },
	{ "unverified", chain_json_read_bool, NULL, MODULE_AT(pin.unverified), false },
};
static const struct chain_json_keys module = CHAIN_JSON_TABLE(module_keys);

static enum chain_status read_module(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	struct chain_config_module *m = into;
	enum chain_status first = CHAIN_OK;
	const char *colon;
	(void)of;
	if (!chain_json_goes_on(path, chain_json_read_object(value, m, &module, path, err), &first, err))
		return first;
	if (!m->string && m->from && (colon = strchr(m->from, ':')) && !(m->string = strdup(colon + 1)))
		return chain_fail_no_memory(err, path->at, strlen(colon) + 1);
	(void)chain_json_goes_on(path, chain_config_check_pinned(m->from, &m->pin, path, err), &first, err);
	return first;
}

static const struct chain_json_elements modules = { "an array of modules", 0, sizeof(struct chain_config_module),
						    read_module, NULL };
static_assert(AT(module_count) == AT(modules) + sizeof(void *), "modules");

/* --- "handoff" --- */

static enum chain_status read_handoff_string(const json_t *value, void *into, const void *of,
					     struct chain_json_path *path, struct chain_error *err)
{
	char **out = into;
	enum chain_status status = chain_config_read_plain(value, into, of, path, err);
	if (!status && strncmp(*out, CHAIN_HANDOFF_STRING, sizeof(CHAIN_HANDOFF_STRING) - 1))
		return chain_fail_text(err, CHAIN_E_CONFIG_HANDOFF_STRING, path->at, *out);
	return status;
}

static const char *const handoff_places[] = { "last", "first", "none" };
static const struct chain_json_words handoff_at = CHAIN_JSON_TABLE(handoff_places);
static const struct chain_json_key handoff_keys[] = {
	{ "at", chain_json_read_word, &handoff_at, AT(handoff_at), false },
	{ "string", read_handoff_string, NULL, AT(handoff_string), false },
};
static const struct chain_json_keys handoff = CHAIN_JSON_TABLE(handoff_keys);

/* --- "expect" --- */

/* A text is looked for line by line, so it can't have an end of a line in it. */
static enum chain_status read_marker(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	if (json_is_string(value) && !json_string_length(value))
		return chain_json_wrong(value, "a text that is not empty", path, err);
	return chain_config_read_plain(value, into, of, path, err);
}

static const struct chain_json_key expect_keys[] = {
	{ "console", read_marker, NULL, AT(expect_console), false },
	{ "result", chain_json_read_any, NULL, AT(expect_result), false },
};
static const struct chain_json_keys expected = CHAIN_JSON_TABLE(expect_keys);
static const char *const expect_names[] = { "entered", "success" };
static const struct chain_json_words expect_words = CHAIN_JSON_TABLE(expect_names);
static_assert(CHAIN_EXPECT_ENTERED == 0 && CHAIN_EXPECT_SUCCESS == 1, "the words' order");

static enum chain_status read_expect(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	struct chain_step *step = into;
	(void)of;
	if (json_is_string(value))
		return chain_json_read_word(value, &step->expect, &expect_words, path, err);
	if (!json_is_object(value) || json_object_size(value) != 1)
		return chain_json_wrong(value, "\"entered\", \"success\", {\"console\": …} or {\"result\": …}", path,
					err);
	step->expect = json_object_get(value, "console") ? CHAIN_EXPECT_CONSOLE : CHAIN_EXPECT_RESULT;
	return chain_json_read_object(value, step, &expected, path, err);
}

/* --- "on_error" --- */

static enum chain_status read_fallback(const json_t *value, struct chain_step *step, struct chain_json_path *path,
				       struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	json_t *copy = chain_json_shallow(value);
	bool ok = copy && (json_object_get(copy, "name") || !json_object_set_new(copy, "name", json_string("rescue")));
	step->on_error = CHAIN_ON_ERROR_BOOT;
	step->fallback = ok ? calloc(1, sizeof(*step->fallback)) : NULL;
	if (!step->fallback) {
		json_decref(copy);
		return chain_fail_no_memory(err, path->at, sizeof(*step->fallback));
	}
	bool more =
		chain_json_goes_on(path, chain_config_read_step(copy, step->fallback, NULL, path, err), &first, err);
	json_decref(copy);
	const struct chain_step *fallback = step->fallback;
	if (more && fallback->source && (fallback->kind != CHAIN_STEP_BOOT || fallback->fallback || fallback->when))
		(void)chain_json_goes_on(path, chain_fail_subject(err, CHAIN_E_CONFIG_FALLBACK, path->at), &first, err);
	return first;
}

static const char *const on_error_names[] = { "halt", "reboot", "continue" };
static const struct chain_json_words on_error_words = CHAIN_JSON_TABLE(on_error_names);

static enum chain_status read_on_error(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	struct chain_step *step = into;
	(void)of;
	if (json_is_object(value))
		return read_fallback(value, step, path, err);
	if (!json_is_string(value))
		return chain_json_wrong(value, "\"halt\", \"reboot\", \"continue\" or {\"boot\": …}", path, err);
	return chain_json_read_word(value, &step->on_error, &on_error_words, path, err);
}

/* --- "root" --- */

static enum chain_status read_root_source(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err)
{
	char **out = into;
	enum chain_status status = chain_config_read_called_source(value, into, of, path, err);
	return status || chain_source_path(*out) ? status : chain_json_wrong(value, "\"fs:/…\"", path, err);
}

static const struct chain_json_key root_keys[] = {
	{ "from", read_root_source, NULL, AT(root), true },
	{ "type", chain_config_read_name, NULL, AT(root_type), false },
	{ "unverified", chain_json_read_bool, NULL, AT(root_unverified), false },
};
static const struct chain_json_keys root = CHAIN_JSON_TABLE(root_keys);

/* --- the rest --- */

/* Kernels that drop a first word end it at the first blank, and know nothing of quotes. */
static enum chain_status read_argv0(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	char **out = into;
	enum chain_status status = chain_config_read_plain(value, into, of, path, err);
	if (!status && (!**out || strpbrk(*out, " \"\\") || strstr(*out, "{{")))
		return chain_fail_text(err, CHAIN_E_CONFIG_ARGV0, path->at, *out);
	return status;
}

/* The command line: argv0 and the arguments. False: no memory. */
static bool join_args(struct chain_step *step)
{
	const char *args = step->args ? step->args : "", *argv0 = step->argv0 ? step->argv0 : "";
	char *joined = malloc(strlen(argv0) + 1 + strlen(args) + 1);
	if (!joined)
		return false;
	strcat(strcat(strcpy(joined, argv0), *argv0 && *args ? " " : ""), args);
	free(step->args);
	step->args = joined;
	return true;
}

static enum chain_status read_when(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	if (!json_is_object(value) || !json_object_size(value))
		return chain_json_wrong(value, "an object of at least one fact", path, err);
	return chain_json_read_any(value, into, of, path, err);
}

static enum chain_status read_door(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	const char *names[CHAIN_DOORS_MAX];
	struct chain_json_words words = { names, 0 };
	unsigned which = 0;
	(void)of;
	for (; chain_doors[words.count]; words.count++)
		names[words.count] = chain_doors[words.count]->name;
	enum chain_status status = chain_json_read_word(value, &which, &words, path, err);
	*(const struct chain_door **)into = status ? NULL : chain_doors[which];
	return status;
}

static const char *const fs_names[] = { "free", "keep" }, *const isolation_names[] = { "none", "svm" },
			 *const video_names[] = { "any", "required" };
static const struct chain_json_words fs_words = CHAIN_JSON_TABLE(fs_names),
				     isolation_words = CHAIN_JSON_TABLE(isolation_names),
				     video_words = CHAIN_JSON_TABLE(video_names);
static const struct chain_json_limits memory_limits = { "128K", "1G" }, timeout_limits = { "1us", NULL },
				      retries_limits = { NULL, "100" };

static const struct chain_json_key step_keys[] = {
	{ "name", chain_config_read_name, NULL, AT(name), true },
	{ "when", read_when, NULL, AT(when), false },
	{ "call", chain_config_read_called_source, NULL, AT(source), false },
	{ "boot", chain_config_read_booted_source, NULL, AT(source), false },
	{ "sha256", chain_config_read_sha256, NULL, AT(pin), false },
	{ "fsverity", chain_config_read_fsverity, NULL, AT(pin), false },
	{ "unverified", chain_json_read_bool, NULL, AT(pin.unverified), false },
	{ "door", read_door, NULL, AT(door), false },
	{ "argv0", read_argv0, NULL, AT(argv0), false },
	{ "args", chain_config_read_plain, NULL, AT(args), false },
	{ "modules", chain_json_read_list, &modules, AT(modules), false },
	{ "handoff", chain_json_read_object, &handoff, 0, false },
	{ "root", chain_json_read_object, &root, 0, false },
	{ "video", chain_json_read_choice, &video_words, AT(video_required), false },
	{ "kaslr", chain_json_read_bool, NULL, AT(kaslr), false },
	{ "fs", chain_json_read_choice, &fs_words, AT(fs_keep), false },
	{ "memory", chain_json_read_size, &memory_limits, AT(memory_bytes), false },
	{ "timeout", chain_json_read_time, &timeout_limits, AT(timeout_us), false },
	{ "retries", chain_json_read_number, &retries_limits, AT(retries), false },
	{ "isolation", chain_json_read_word, &isolation_words, AT(isolation), false },
	{ "fanout", chain_config_read_fanout, NULL, 0, false },
	{ "devices", chain_config_read_devices, NULL, 0, false },
	{ "expect", read_expect, NULL, 0, false },
	{ "on_error", read_on_error, NULL, 0, false },
};

/* --- what is checked of a step; parts of it may not have been readable --- */

typedef enum chain_status check_step(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				     struct chain_error *err);

static bool is_call(const json_t *value)
{
	return json_object_get(value, "call");
}

static enum chain_status check_action(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				      struct chain_error *err)
{
	(void)step;
	if (!is_call(value) == !json_object_get(value, "boot"))
		return chain_fail_subject(err, is_call(value) ? CHAIN_E_CONFIG_CALL_AND_BOOT : CHAIN_E_CONFIG_NO_ACTION,
					  path->at);
	return CHAIN_OK;
}

static enum chain_status check_pinned(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				      struct chain_error *err)
{
	(void)value;
	return chain_config_check_pinned(step->source, &step->pin, path, err);
}

static enum chain_status check_self(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				    struct chain_error *err)
{
	(void)value;
	if (!step->source || !chain_source_has(step->source, CHAIN_SOURCE_TAKES_NO_PIN))
		return CHAIN_OK;
	if (chain_config_is_pinned(&step->pin) || step->pin.unverified)
		return chain_fail_text(err, CHAIN_E_CONFIG_SELF, path->at,
				       "is checked against its own id: no \"sha256\", \"fsverity\" or \"unverified\"");
	if (step->door)
		return chain_fail_text(err, CHAIN_E_CONFIG_SELF, path->at, "is entered where it lies: no \"door\"");
	if (step->fs_keep)
		return chain_fail_text(err, CHAIN_E_CONFIG_SELF, path->at, "has its filesystem anyway: no \"fs\"");
	return CHAIN_OK;
}

static enum chain_status wrong_kind(const char *key, bool call, struct chain_json_path *path, struct chain_error *err)
{
	size_t mark = chain_json_push_key(path, key);
	enum chain_status status = chain_fail_text(err, CHAIN_E_CONFIG_KIND, path->at, call ? "boot" : "call");
	chain_json_pop(path, mark);
	return status;
}

/* Keys that mean nothing for the step's kind are refused rather than ignored. "modules" and "handoff" hang on the
 * kernel: chain_step_check_kind. */
static enum chain_status check_keys(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				    struct chain_error *err)
{
	static const char *const call_only[] = {
		"memory", "timeout", "retries", "isolation", "fanout", "devices", NULL
	};
	static const char *const boot_only[] = { "fs", "root", "kaslr", NULL };
	enum chain_status first = CHAIN_OK;
	bool call = is_call(value), more = !call != !json_object_get(value, "boot");
	for (const char *const *key = call ? boot_only : call_only; more && *key; key++)
		if (json_object_get(value, *key))
			more = chain_json_goes_on(path, wrong_kind(*key, call, path, err), &first, err);
	if (more && !call && step->on_error == CHAIN_ON_ERROR_CONTINUE)
		(void)chain_json_goes_on(path, wrong_kind("on_error", call, path, err), &first, err);
	return first;
}

static enum chain_status check_cpus(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				    struct chain_error *err)
{
	(void)value;
	if (step->isolation && step->fanout.cpus > 1)
		return CHAIN_FAIL(err, FANOUT_CPUS_ONE, .subject = path->at, .detail = "an isolated machine",
				  .cpus = step->fanout.cpus);
	return CHAIN_OK;
}

static check_step *const checks[] = { check_action, check_pinned, check_self, check_keys, check_cpus };

static enum chain_status set_defaults(const json_t *value, struct chain_step *step, const struct chain_json_path *path,
				      struct chain_error *err)
{
	step->kind = json_object_get(value, "boot") && !is_call(value) ? CHAIN_STEP_BOOT : CHAIN_STEP_CALL;
	step->memory_said = step->memory_bytes;
	step->kaslr_said = json_object_get(value, "kaslr");
	if (!step->memory_bytes)
		step->memory_bytes = step->isolation ? CHAIN_GUEST_MEMORY_DEFAULT : DEFAULT_CALL_MEMORY;
	if (!step->timeout_us)
		step->timeout_us = DEFAULT_CALL_TIMEOUT_US;
	if (is_call(value) && !json_object_get(value, "expect"))
		step->expect = CHAIN_EXPECT_SUCCESS; /* a called kernel says how it went; a booted one can't be asked */
	if (!step->handoff_string)
		step->handoff_string = strdup(CHAIN_HANDOFF_STRING);
	return join_args(step) && step->handoff_string ? CHAIN_OK : chain_fail_no_memory(err, path->at, 16);
}

enum chain_status chain_config_read_step(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					 struct chain_error *err)
{
	struct chain_step *step = into;
	enum chain_status first = CHAIN_OK;
	(void)of;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object", path, err);
	bool more = chain_json_goes_on(
		path, chain_json_walk(value, step_keys, sizeof(step_keys) / sizeof(step_keys[0]), step, path, err),
		&first, err);
	if (more)
		more = chain_json_goes_on(path, set_defaults(value, step, path, err), &first, err);
	for (size_t i = 0; more && i < sizeof(checks) / sizeof(checks[0]); i++)
		more = chain_json_goes_on(path, checks[i](value, step, path, err), &first, err);
	return first;
}

void chain_config_free_step(struct chain_step *step)
{
	for (size_t i = 0; i < step->module_count; i++) {
		free(step->modules[i].from);
		free(step->modules[i].string);
	}
	free(step->modules);
	free(step->name);
	free(step->source);
	free(step->args);
	free(step->argv0);
	free(step->handoff_string);
	free(step->root);
	free(step->root_type);
	free(step->expect_console);
	json_decref(step->expect_result);
	json_decref(step->when);
	json_decref(step->fanout.list);
	free(step->fanout.path);
	free(step->fanout.from);
	chain_config_free_devices(step);
	if (step->fallback)
		chain_config_free_step(step->fallback);
	free(step->fallback);
}
