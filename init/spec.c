/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "spec.h"

#include "chain/json_walk.h"
#include "chain/template.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct init_spec, member)

/* --- signals --- */

static const struct {
	const char *name;
	unsigned number;
} signals[] = {
	{ "HUP", SIGHUP },       { "INT", SIGINT },   { "QUIT", SIGQUIT },   { "ILL", SIGILL },   { "TRAP", SIGTRAP },
	{ "ABRT", SIGABRT },     { "BUS", SIGBUS },   { "FPE", SIGFPE },     { "KILL", SIGKILL }, { "USR1", SIGUSR1 },
	{ "SEGV", SIGSEGV },     { "USR2", SIGUSR2 }, { "PIPE", SIGPIPE },   { "ALRM", SIGALRM }, { "TERM", SIGTERM },
	{ "STKFLT", SIGSTKFLT }, { "CHLD", SIGCHLD }, { "CONT", SIGCONT },   { "STOP", SIGSTOP }, { "TSTP", SIGTSTP },
	{ "TTIN", SIGTTIN },     { "TTOU", SIGTTOU }, { "URG", SIGURG },     { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
	{ "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH }, { "IO", SIGIO },     { "PWR", SIGPWR },
	{ "SYS", SIGSYS },
};
enum { SIGNAL_NAMES = sizeof(signals) / sizeof(signals[0]), REALTIME_FIRST = 34 };

unsigned init_signal_number(const char *text)
{
	uint64_t number;
	if (chain_parse_count(text, &number))
		return number < INIT_SIGNALS ? (unsigned)number : 0;
	if (!strncmp(text, "SIG", 3))
		text += 3;
	for (size_t i = 0; i < SIGNAL_NAMES; i++)
		if (!strcmp(signals[i].name, text))
			return signals[i].number;
	if (!strncmp(text, "RTMIN+", 6) && chain_parse_count(text + 6, &number) &&
	    number < INIT_SIGNALS - REALTIME_FIRST)
		return REALTIME_FIRST + (unsigned)number;
	return 0;
}

const char *init_signal_name(unsigned number, char out[16])
{
	snprintf(out, 16, "signal %u", number);
	for (size_t i = 0; i < SIGNAL_NAMES; i++)
		if (signals[i].number == number)
			snprintf(out, 16, "SIG%s", signals[i].name);
	return out;
}

/* --- root.json --- */

static enum chain_status read_signal(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	char number[24];
	const char *text = json_string_value(value);
	(void)of;
	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	}
	*(unsigned *)into = text ? init_signal_number(text) : 0;
	return *(unsigned *)into ? CHAIN_OK : chain_json_wrong(value, "a signal", path, err);
}

static enum chain_status read_variable(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	return chain_json_read_text(value, &((struct init_variable *)into)->value, of, path, err);
}

static const struct chain_json_elements texts = { "an array of strings", 0, sizeof(char *), chain_json_read_text,
						  NULL };
static const struct chain_json_elements words = { "an array of at least one string", 1, sizeof(char *),
						  chain_json_read_text, NULL };
static const struct chain_json_elements variables = { "an object of strings", 0, sizeof(struct init_variable),
						      read_variable, NULL };
static_assert(AT(module_count) == AT(modules) + sizeof(void *) && AT(argc) == AT(argv) + sizeof(void *) &&
		      AT(env_count) == AT(env) + sizeof(void *),
	      "counts behind their elements");

static const char *const write_words[] = { "overlay", "tmp", "none" };
static const char *const end_words[] = { "poweroff", "reboot" };
static const struct chain_json_words writes = CHAIN_JSON_TABLE(write_words), ends = CHAIN_JSON_TABLE(end_words);

static chain_json_read read_known;
static const struct chain_json_key root_keys[] = {
	{ "device", chain_json_read_text, NULL, AT(device), true },
	{ "type", chain_json_read_text, NULL, AT(type), true },
	{ "options", chain_json_read_text, NULL, AT(options), false },
	{ "write", chain_json_read_word, &writes, AT(write), false },
};
static const struct chain_json_key entry_keys[] = {
	{ "argv", chain_json_read_list, &words, AT(argv), true },
	{ "env", chain_json_read_members, &variables, AT(env), false },
	{ "workdir", chain_json_read_text, NULL, AT(workdir), false },
	{ "user", chain_json_read_text, NULL, AT(user), false },
	{ "stop_signal", read_signal, NULL, AT(stop_signal), false },
};
static const struct chain_json_keys root = CHAIN_JSON_TABLE(root_keys), entry = CHAIN_JSON_TABLE(entry_keys);
static const struct chain_json_key spec_keys[] = {
	{ "modules", chain_json_read_list, &texts, AT(modules), false },
	{ "root", read_known, &root, 0, true },
	{ "entry", read_known, &entry, 0, true },
	{ "shell", chain_json_read_bool, NULL, AT(shell), false },
	{ "hostname", chain_json_read_text, NULL, AT(hostname), false },
	{ "end", chain_json_read_word, &ends, AT(end), false },
};
static const struct chain_json_keys document = CHAIN_JSON_TABLE(spec_keys);

/* The object's known keys; others are a later version's. */
static enum chain_status read_known(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	const struct chain_json_keys *keys = of;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object", path, err);
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; i < keys->count && !status; i++) {
		const struct chain_json_key *key = &keys->v[i];
		const json_t *member = json_object_get(value, key->name);
		if (!member && !key->required)
			continue;
		size_t mark = chain_json_push_key(path, key->name);
		status = member ? key->read(member, (char *)into + key->offset, key->of, path, err) :
				  chain_fail_subject(err, CHAIN_E_JSON_MISSING_KEY, path->at);
		chain_json_pop(path, mark);
	}
	return status;
}

enum chain_status init_spec_parse(const char *text, uint64_t bytes, struct init_spec *out, struct chain_error *err)
{
	json_t *doc;
	struct chain_json_path path = { .at = "" };
	*out = (struct init_spec){ .stop_signal = SIGTERM };
	enum chain_status status = chain_json_load(text, bytes, INIT_SPEC_MAX_BYTES, "root.json", &doc, err);
	if (status)
		return status;
	status = read_known(doc, out, &document, &path, err);
	json_decref(doc);
	return status;
}

void init_spec_free(struct init_spec *spec)
{
	char *const own[] = { spec->device, spec->type, spec->options, spec->workdir, spec->user, spec->hostname };
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		free(own[i]);
	for (size_t i = 0; i < spec->module_count; i++)
		free(spec->modules[i]);
	for (size_t i = 0; i < spec->argc; i++)
		free(spec->argv[i]);
	for (size_t i = 0; i < spec->env_count; i++) {
		free(spec->env[i].name);
		free(spec->env[i].value);
	}
	free(spec->modules);
	free(spec->argv);
	free(spec->env);
	*spec = (struct init_spec){ 0 };
}

/* --- the command line --- */

static const char *const switch_words[] = { "0", "1" };
static const struct chain_json_words switches = CHAIN_JSON_TABLE(switch_words);
static const struct chain_json_key cmdline_keys[] = {
	{ "shell", chain_json_read_choice, &switches, AT(shell), false },
	{ "hostname", chain_json_read_text, NULL, AT(hostname), false },
	{ "write", chain_json_read_word, &writes, AT(write), false },
	{ "end", chain_json_read_word, &ends, AT(end), false },
};

static enum chain_status take_word(const char *name, const char *value, struct init_spec *spec, struct chain_error *err)
{
	struct chain_json_path path = { .at = "kchain" };
	enum chain_status status = CHAIN_E_JSON_UNKNOWN_KEY;
	chain_json_push_key(&path, name);
	for (size_t i = 0; i < sizeof(cmdline_keys) / sizeof(cmdline_keys[0]); i++) {
		if (strcmp(cmdline_keys[i].name, name))
			continue;
		json_t *text = json_string(value);
		status = cmdline_keys[i].read(text, (char *)spec + cmdline_keys[i].offset, cmdline_keys[i].of, &path,
					      err);
		json_decref(text);
		return status;
	}
	return chain_fail_subject(err, status, path.at);
}

enum chain_status init_spec_cmdline(const char *cmdline, struct init_spec *spec, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (const char *at = cmdline; *at && !status;) {
		size_t bytes = strcspn(at, " \t\n");
		char word[128];
		if (bytes > 7 && bytes < sizeof(word) && !strncmp(at, "kchain.", 7)) {
			memcpy(word, at + 7, bytes - 7);
			word[bytes - 7] = '\0';
			char *value = strchr(word, '=');
			if (value)
				*value++ = '\0';
			status = take_word(word, value ? value : "1", spec, err);
		}
		at += bytes;
		at += strspn(at, " \t\n");
	}
	return status;
}

/* --- facts --- */

enum chain_status init_spec_expand(struct init_spec *spec, const json_t *handoff, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; i < spec->env_count && !status; i++) {
		char *value = NULL;
		status = chain_template_expand(spec->env[i].value, handoff, spec->env[i].name, &value, err);
		if (status)
			break;
		free(spec->env[i].value);
		spec->env[i].value = value;
	}
	return status;
}
