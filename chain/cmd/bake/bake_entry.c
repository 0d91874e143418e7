/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how a root's program is started, and whether it can be: what the pipeline says goes before what the root's
 * source says. */

#include "bake_root.h"
#include "chain/args.h"
#include "chain/json_write.h"
#include "rootfs/program.h"

#include <stdlib.h>
#include <string.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- the words --- */

/* A text is taken apart as a native kernel's arguments are. */
static json_t *words_of(const char *text)
{
	char *copy = strdup(text), *words[CHAIN_ARGS_MAX];
	json_t *list = json_array();
	const size_t count = copy ? chain_args_split(copy, words, CHAIN_ARGS_MAX) : 0;

	for (size_t i = 0; i < count && i < CHAIN_ARGS_MAX; i++)
		json_array_append_new(list, json_string(words[i]));
	free(copy);
	return list;
}

static json_t *argv_of(const struct bake_root *root)
{
	const json_t *said = root->spec.entrypoint;
	json_t *list;

	if (json_is_string(said))
		return words_of(json_string_value(said));
	if (said)
		return chain_json_shallow(said);
	list = json_array();
	for (const char **at = root->rootfs.entry.argv; at && *at; at++)
		json_array_append_new(list, json_string(*at));
	return list;
}

static json_t *env_of(const struct bake_root *root)
{
	json_t *env = json_object();

	for (const char **at = root->rootfs.entry.env; at && *at; at++) {
		const char *equals = strchr(*at, '=');
		char *name = equals ? strndup(*at, (size_t)(equals - *at)) : NULL;

		if (name)
			json_object_set_new(env, name, json_string(equals + 1));
		free(name);
	}
	if (root->spec.env)
		json_object_update(env, root->spec.env);
	if (!json_object_get(env, "PATH"))
		json_object_set_new(env, "PATH", json_string(PATH_DEFAULT));
	return env;
}

/* --- whether it can be started --- */

/* What is checked is what will be started: the pipeline's words and environment. What is a template is not known yet,
 * and what is in a file system that is baked as it is is not looked at. */
static enum chain_status program_check(const struct bake_root *root, const json_t *argv, const json_t *env,
				       const char *workdir, struct chain_error *err)
{
	const char *program = json_string_value(json_array_get(argv, 0)), *words[] = { program, NULL };
	const char *path = json_string_value(json_object_get(env, "PATH")), *variables[] = { NULL, NULL };
	struct rootfs_entry entry = { .argv = words, .env = variables, .workdir = workdir };
	char *said = NULL;

	if (!program)
		return chain_fail_subject(err, CHAIN_E_ROOT_NO_ENTRY, root->spec.from);
	if (root->rootfs.image >= 0 || strstr(program, "{{"))
		return CHAIN_OK;
	if (asprintf(&said, "PATH=%s", path ? path : "") < 0)
		return chain_fail_no_memory(err, root->spec.from, sizeof("PATH="));
	variables[0] = said;
	const enum chain_status status = rootfs_program_check(&root->rootfs, &entry, root->spec.from, err);

	free(said);
	return status;
}

/* Null: no memory. */
static json_t *ports_of(const struct bake_root *root)
{
	const struct rootfs_entry *entry = &root->rootfs.entry;
	json_t *list;

	if (root->spec.ports)
		return chain_json_shallow(root->spec.ports);
	list = json_array();
	for (size_t i = 0; i < entry->port_count; i++)
		json_array_append_new(list, json_sprintf("%u/%s", (unsigned)entry->ports[i].number,
							 entry->ports[i].udp ? "udp" : "tcp"));
	return list;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a ? a : b ? b : c;
}

enum chain_status bake_entry_make(const struct bake_root *root, json_t **out, struct chain_error *err)
{
	const struct rootfs_entry *entry = &root->rootfs.entry;
	const struct bake_root_spec *spec = &root->spec;
	json_t *argv = argv_of(root), *env = env_of(root);
	const char *workdir = first_of(spec->workdir, entry->workdir, "/");
	const enum chain_status status = program_check(root, argv, env, workdir, err);

	*out = !status ? chain_json_object(CHAIN_STEAL("argv", argv), CHAIN_STEAL("env", env),
					   CHAIN_TEXT("workdir", workdir), CHAIN_STEAL("ports", ports_of(root)),
					   CHAIN_TEXT("user", first_of(spec->user, entry->user, "0:0")),
					   CHAIN_TEXT("stop_signal",
						      first_of(spec->stop_signal, entry->stop_signal, "SIGTERM"))) :
			 NULL;
	if (status) {
		json_decref(argv);
		json_decref(env);
		return status;
	}
	return *out ? CHAIN_OK : chain_fail_no_memory(err, spec->from, 1);
}
