/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_write.h"
#include "chain/self.h"
#include "config_internal.h"

#include "chain/guest.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

enum { DEFAULT_CALL_MEMORY = 1024 * 1024, DEFAULT_CALL_TIMEOUT_US = 10000000 };

/* `boots`: the source is of a kernel to boot. */
static enum chain_status check_source(const char *source, bool boots, const struct chain_json_path *path, struct chain_error *err)
{
	static const char *const known[] = { "fs", "module" }, *const later[] = { "block", "http", "https", "tftp" };
	const char *colon = strchr(source, ':');
	if (!colon)
		return chain_fail(err, CHAIN_E_CONFIG_SCHEME, path->at, source, 0, 0, 0, 0);
	size_t bytes = (size_t)(colon - source);
	if (!strcmp(source, CHAIN_SOURCE_SELF))
		return boots ? CHAIN_OK : chain_fail(err, CHAIN_E_CONFIG_SELF, path->at, "can only be booted", 0, 0, 0, 0);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (strlen(later[i]) == bytes && !memcmp(source, later[i], bytes))
			return chain_fail(err, CHAIN_E_NOT_SUPPORTED, path->at, source, 0, 0, 0, 0);
	if (bytes == 2 && !memcmp(source, known[0], bytes))
		return colon[1] == '/' ? CHAIN_OK : chain_fail(err, CHAIN_E_CONFIG_FS_PATH, path->at, source, 0, 0, 0, 0);
	if (bytes == 6 && !memcmp(source, known[1], bytes) && colon[1])
		return CHAIN_OK;
	return chain_fail(err, CHAIN_E_CONFIG_SCHEME, path->at, source, 0, 0, 0, 0);
}

/* Text that is a name or goes on a command line, and is shown by whoever looks at the pipeline. */
static enum chain_status read_plain(const json_t *value, char **out, struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status status = chain_json_copy(value, out, path, err);
	if (!status && chain_text_has_control(*out, strlen(*out)))
		return chain_fail(err, CHAIN_E_CONFIG_CONTROL, path->at, *out, 0, 0, 0, 0);
	return status;
}

static enum chain_status read_source(const json_t *value, bool boots, char **out, struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status status = read_plain(value, out, path, err);
	return status ? status : check_source(*out, boots, path, err);
}

static enum chain_status read_sha256(const json_t *value, uint8_t *out, bool *pinned, struct chain_json_path *path,
				     struct chain_error *err)
{
	const char *text = NULL;
	enum chain_status status = chain_json_string(value, &text, path, err);
	if (status)
		return status;
	*pinned = true;
	return chain_sha256_from_hex(text, strlen(text), out) ? CHAIN_OK :
		chain_fail(err, CHAIN_E_CONFIG_SHA256, path->at, text, 0, 0, 0, 0);
}

static enum chain_status module_from(const json_t *v, void *m, struct chain_json_path *p, struct chain_error *e)
{
	return read_source(v, false, &((struct chain_config_module *)m)->from, p, e);
}
static enum chain_status module_string(const json_t *v, void *m, struct chain_json_path *p, struct chain_error *e)
{
	return read_plain(v, &((struct chain_config_module *)m)->string, p, e);
}
static enum chain_status module_sha256(const json_t *v, void *m, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_module *module = m;
	return read_sha256(v, module->sha256, &module->pinned, p, e);
}
static enum chain_status module_unverified(const json_t *v, void *m, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_bool(v, &((struct chain_config_module *)m)->unverified, p, e);
}

static const struct chain_json_key module_keys[] = {
	{ "from", module_from, true },
	{ "string", module_string, false },
	{ "sha256", module_sha256, false },
	{ "unverified", module_unverified, false },
};

static enum chain_status check_self(const struct chain_step *step, const struct chain_json_path *path, struct chain_error *err)
{
	if (strcmp(step->source, CHAIN_SOURCE_SELF))
		return CHAIN_OK;
	if (step->pinned || step->unverified)
		return chain_fail(err, CHAIN_E_CONFIG_SELF, path->at, "is checked against its own id: no \"sha256\", no \"unverified\"", 0, 0, 0, 0);
	if (step->fs_keep)
		return chain_fail(err, CHAIN_E_CONFIG_SELF, path->at, "has its filesystem anyway: no \"fs\"", 0, 0, 0, 0);
	return CHAIN_OK;
}

static enum chain_status check_pinned(const char *source, bool pinned, bool unverified, const struct chain_json_path *path,
				      struct chain_error *err)
{
	if (!strncmp(source, "module:", 7) && !pinned && !unverified)
		return chain_fail(err, CHAIN_E_CONFIG_UNPINNED, path->at, source, 0, 0, 0, 0);
	return CHAIN_OK;
}

static enum chain_status step_modules(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_step *step = into;
	if (!json_is_array(value))
		return chain_json_wrong(value, "an array of modules", path, err);
	size_t count = json_array_size(value);
	enum chain_status status = chain_config_array(count, sizeof(struct chain_config_module), &step->modules, path, err);
	for (size_t i = 0; !status && i < count; i++) {
		struct chain_config_module *module = &step->modules[i];
		size_t mark = chain_json_push_index(path, i);
		step->module_count = i + 1;
		status = chain_json_walk(json_array_get(value, i), ROWS(module_keys), module, path, err);
		if (!status && !module->string && !(module->string = strdup(strchr(module->from, ':') + 1)))
			status = chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(module->from), 0, 0, 0);
		if (!status)
			status = check_pinned(module->from, module->pinned, module->unverified, path, err);
		chain_json_pop(path, mark);
	}
	return status;
}

static enum chain_status handoff_at(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "last", "first", "none" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 3, &word, p, e);
	((struct chain_step *)s)->handoff_at = (enum chain_config_handoff)word;
	return status;
}
static enum chain_status handoff_string(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	enum chain_status status = read_plain(v, &step->handoff_string, p, e);
	if (!status && strncmp(step->handoff_string, "kchain-handoff", 14))
		return chain_fail(e, CHAIN_E_CONFIG_HANDOFF_STRING, p->at, step->handoff_string, 0, 0, 0, 0);
	return status;
}
static const struct chain_json_key handoff_keys[] = { { "at", handoff_at, false }, { "string", handoff_string, false } };

static enum chain_status step_handoff(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_walk(v, ROWS(handoff_keys), s, p, e);
}

static enum chain_status expect_console(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	step->expect = CHAIN_EXPECT_CONSOLE;
	return chain_json_copy(v, &step->expect_console, p, e);
}
static enum chain_status expect_result(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	(void)p;
	(void)e;
	step->expect = CHAIN_EXPECT_RESULT;
	step->expect_result = json_incref((json_t *)(uintptr_t)v);
	return CHAIN_OK;
}
static const struct chain_json_key expect_keys[] = { { "console", expect_console, false }, { "result", expect_result, false } };

static enum chain_status step_expect(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	static const char *const words[] = { "entered", "success" };
	struct chain_step *step = into;
	if (json_is_object(value) && json_object_size(value) == 1)
		return chain_json_walk(value, ROWS(expect_keys), step, path, err);
	if (!json_is_string(value))
		return chain_json_wrong(value, "\"entered\", \"success\", {\"console\": …} or {\"result\": …}", path, err);
	size_t word = 0;
	enum chain_status status = chain_json_word(value, words, 2, &word, path, err);
	step->expect = word ? CHAIN_EXPECT_SUCCESS : CHAIN_EXPECT_ENTERED;
	return status;
}

static enum chain_status read_fallback(const json_t *value, struct chain_step *step, struct chain_json_path *path,
				       struct chain_error *err)
{
	json_t *copy = chain_json_shallow(value);
	enum chain_status status = chain_config_array(1, sizeof(struct chain_step), &step->fallback, path, err);
	bool named = copy && (json_object_get(copy, "name") || !json_object_set_new(copy, "name", json_string("rescue")));
	if (!status)
		status = named ? chain_config_read_step(copy, step->fallback, path, err) :
				 chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, 0, 0, 0, 0);
	json_decref(copy);
	if (!status && (step->fallback->kind != CHAIN_STEP_BOOT || step->fallback->fallback || step->fallback->when))
		return chain_fail_subject(err, CHAIN_E_CONFIG_FALLBACK, path->at);
	step->on_error = CHAIN_ON_ERROR_BOOT;
	return status;
}

static enum chain_status step_on_error(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	static const char *const words[] = { "halt", "reboot", "continue" };
	struct chain_step *step = into;
	if (json_is_object(value))
		return read_fallback(value, step, path, err);
	if (!json_is_string(value))
		return chain_json_wrong(value, "\"halt\", \"reboot\", \"continue\" or {\"boot\": …}", path, err);
	size_t word = 0;
	enum chain_status status = chain_json_word(value, words, 3, &word, path, err);
	step->on_error = (enum chain_on_error)word;
	return status;
}

static enum chain_status step_name(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	enum chain_status status = chain_json_copy(v, &step->name, p, e);
	if (!status && !chain_config_name_ok(step->name))
		return chain_fail(e, CHAIN_E_CONFIG_NAME, p->at, step->name, CHAIN_CONFIG_NAME_MAX, 0, 0, 0);
	return status;
}
static enum chain_status step_when(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	if (!json_is_object(v) || !json_object_size(v))
		return chain_json_wrong(v, "an object of at least one fact", p, e);
	step->when = json_incref((json_t *)(uintptr_t)v);
	return CHAIN_OK;
}
static enum chain_status step_source(struct chain_step *step, enum chain_step_kind kind, const json_t *v, struct chain_json_path *p,
				     struct chain_error *e)
{
	if (step->source)
		return chain_fail_subject(e, CHAIN_E_CONFIG_CALL_AND_BOOT, p->at);
	step->kind = kind;
	return read_source(v, kind == CHAIN_STEP_BOOT, &step->source, p, e);
}
static enum chain_status step_call(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return step_source(s, CHAIN_STEP_CALL, v, p, e);
}
static enum chain_status step_boot(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return step_source(s, CHAIN_STEP_BOOT, v, p, e);
}
static enum chain_status step_sha256(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	return read_sha256(v, step->sha256, &step->pinned, p, e);
}
static enum chain_status step_unverified(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_bool(v, &((struct chain_step *)s)->unverified, p, e);
}
static enum chain_status step_args(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return read_plain(v, &((struct chain_step *)s)->args, p, e);
}
static enum chain_status step_fs(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "free", "keep" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	((struct chain_step *)s)->fs_keep = word == 1;
	return status;
}
static enum chain_status step_memory(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	enum chain_status status = chain_json_size(v, &step->memory_bytes, p, e);
	step->memory_said = true;
	if (!status && (step->memory_bytes < CHAIN_CALL_MEMORY_MIN || step->memory_bytes > CHAIN_CALL_MEMORY_MAX))
		return chain_fail(e, CHAIN_E_CONFIG_RANGE, p->at, NULL, step->memory_bytes, CHAIN_CALL_MEMORY_MIN,
				  CHAIN_CALL_MEMORY_MAX, 0);
	return status;
}
static enum chain_status step_timeout(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_step *step = s;
	enum chain_status status = chain_json_time(v, &step->timeout_us, p, e);
	return status || step->timeout_us ? status : chain_fail(e, CHAIN_E_CONFIG_RANGE, p->at, NULL, 0, 1, UINT64_MAX, 0);
}
static enum chain_status step_isolation(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "none", "svm" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	((struct chain_step *)s)->isolation = (enum chain_isolation)word;
	return status;
}
static enum chain_status step_retries(const json_t *v, void *s, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_number(v, CHAIN_CALL_RETRIES_MAX, &((struct chain_step *)s)->retries, p, e);
}

/* "call" and "boot" stand before what only one of them may have; see check_kind. */
static const struct chain_json_key step_keys[] = {
	{ "name", step_name, true },
	{ "when", step_when, false },
	{ "call", step_call, false },
	{ "boot", step_boot, false },
	{ "sha256", step_sha256, false },
	{ "unverified", step_unverified, false },
	{ "args", step_args, false },
	{ "modules", step_modules, false },
	{ "handoff", step_handoff, false },
	{ "fs", step_fs, false },
	{ "memory", step_memory, false },
	{ "timeout", step_timeout, false },
	{ "retries", step_retries, false },
	{ "isolation", step_isolation, false },
	{ "fanout", chain_config_read_fanout, false },
	{ "devices", chain_config_read_given, false },
	{ "expect", step_expect, false },
	{ "on_error", step_on_error, false },
};

/* Keys that mean nothing for the step's kind are refused rather than ignored. */
static enum chain_status check_kind(const json_t *value, const struct chain_step *step, struct chain_json_path *path,
				    struct chain_error *err)
{
	static const char *const call_only[] = { "memory", "timeout", "retries", "isolation", "fanout", "devices", NULL };
	static const char *const boot_only[] = { "fs", NULL }; /* "modules" and "handoff" hang on the kernel: chain_step_check_kind */
	bool call = step->kind == CHAIN_STEP_CALL;
	for (const char *const *key = call ? boot_only : call_only; *key; key++) {
		if (!json_object_get(value, *key))
			continue;
		chain_json_push_key(path, *key);
		return chain_fail(err, CHAIN_E_CONFIG_KIND, path->at, call ? "boot" : "call", 0, 0, 0, 0);
	}
	if (!call && step->on_error == CHAIN_ON_ERROR_CONTINUE)
		return chain_fail(err, CHAIN_E_CONFIG_KIND, path->at, "call", 0, 0, 0, 0);
	if (step->isolation && step->fanout.cpus > 1)
		return chain_fail(err, CHAIN_E_FANOUT_CPUS_ONE, path->at, "an isolated machine", step->fanout.cpus, 0, 0, 0);
	return CHAIN_OK;
}

static enum chain_status set_defaults(struct chain_step *step, const struct chain_json_path *path, struct chain_error *err)
{
	if (!step->memory_bytes)
		step->memory_bytes = step->isolation ? CHAIN_GUEST_MEMORY_DEFAULT : DEFAULT_CALL_MEMORY;
	if (!step->timeout_us)
		step->timeout_us = DEFAULT_CALL_TIMEOUT_US;
	if (!step->args)
		step->args = strdup("");
	if (!step->handoff_string)
		step->handoff_string = strdup("kchain-handoff");
	return step->args && step->handoff_string ? CHAIN_OK : chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, 16, 0, 0, 0);
}

enum chain_status chain_config_read_step(const json_t *value, struct chain_step *step, struct chain_json_path *path,
					 struct chain_error *err)
{
	enum chain_status status = chain_json_walk(value, ROWS(step_keys), step, path, err);
	if (!status && !step->source)
		status = chain_fail_subject(err, CHAIN_E_CONFIG_NO_ACTION, path->at);
	if (!status)
		status = check_pinned(step->source, step->pinned, step->unverified, path, err);
	if (!status)
		status = check_self(step, path, err);
	if (!status)
		status = check_kind(value, step, path, err);
	if (!status && step->kind == CHAIN_STEP_CALL && !json_object_get(value, "expect"))
		step->expect = CHAIN_EXPECT_SUCCESS; /* a called kernel says how it went; a booted one can't be asked */
	return status ? status : set_defaults(step, path, err);
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
	free(step->handoff_string);
	free(step->expect_console);
	json_decref(step->expect_result);
	json_decref(step->when);
	json_decref(step->fanout.list);
	free(step->fanout.path);
	chain_config_free_given(step);
	if (step->fallback)
		chain_config_free_step(step->fallback);
	free(step->fallback);
}
