/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the command line says of a root, as "root" of a pipeline would. */

#include "bake_root_options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bake_root_options_rows(struct bake_root_options *o, struct cmd_opt out[BAKE_ROOT_OPTIONS])
{
	const struct cmd_opt rows[BAKE_ROOT_OPTIONS] = {
		{ "rootfs", 0, CMD_OPT_TEXT, "SOURCE",
		  "boot Linux with this root, which it uses where it lies: a folder, a tar, a container image (an OCI "
		  "layout, or what `docker save` writes; SOURCE:TAG), a file system, which is baked as it is, or "
		  "debian:PACKAGE,…",
		  &o->rootfs },
		{ "rootfs-type", 0, CMD_OPT_TEXT, "TYPE", "what SOURCE is, where its first bytes do not say",
		  &o->type },
		{ "rootfs-fs", 0, CMD_OPT_TEXT, "FS", "which file system SOURCE is, as `mount -t` has it", &o->fs },
		{ "platform", 0, CMD_OPT_TEXT, "OS/ARCH", "of a container image (default: linux/amd64)", &o->platform },
		{ "owner", 0, CMD_OPT_TEXT, "UID:GID", "everything in the root belongs to them", &o->owner },
		{ "kernel", 0, CMD_OPT_TEXT, "FILE",
		  "the Linux kernel (default: the root's own, else what `kchain kernel fetch` got)", &o->kernel },
		{ "modules", 0, CMD_OPT_TEXT, "FOLDER", "its modules, as in /lib/modules/RELEASE", &o->modules },
		{ "entrypoint", 0, CMD_OPT_TEXT, "COMMAND", "what is started in the root, with its arguments",
		  &o->entrypoint },
		{ "env", 'e', CMD_OPT_LIST, "NAME=VALUE", "its environment, beside what the source says", &o->env },
		{ "workdir", 0, CMD_OPT_TEXT, "FOLDER", "where it is started", &o->workdir },
		{ "user", 0, CMD_OPT_TEXT, "USER", "as whom: NAME, UID, NAME:GROUP or UID:GID", &o->user },
		{ "hostname", 0, CMD_OPT_TEXT, "NAME", "the machine's name", &o->hostname },
		{ "stop-signal", 0, CMD_OPT_TEXT, "SIGNAL", "what asks it to end", &o->stop_signal },
		{ "write", 0, CMD_OPT_TEXT, "HOW",
		  "what may be written: overlay (all of it, in memory; default), tmp or none", &o->write },
	};

	memcpy(out, rows, sizeof(rows));
}

/* What a pipeline says is relative to its folder, and this to where we are. */
static json_t *path_json(const char *path, bool beside_pipeline)
{
	char *here = beside_pipeline && *path != '/' ? getcwd(NULL, 0) : NULL, *joined = NULL;
	json_t *value;

	if (here && asprintf(&joined, "%s/%s", here, path) < 0)
		joined = NULL;
	value = json_string(joined ? joined : path);
	free(joined);
	free(here);
	return value;
}

static json_t *env_json(const struct cmd_list *env)
{
	json_t *object = json_object();

	for (size_t i = 0; i < env->count; i++) {
		const char *equals = strchr(env->v[i], '=');
		char *name = equals ? strndup(env->v[i], (size_t)(equals - env->v[i])) : strdup(env->v[i]);
		const char *own = equals ? equals + 1 : getenv(env->v[i]);

		if (name)
			json_object_set_new(object, name, json_string(own ? own : ""));
		free(name);
	}
	return object;
}

json_t *bake_root_options_json(const struct bake_root_options *options, bool beside_pipeline)
{
	const struct {
		const char *key, *value;
		bool path;
	} members[] = {
		{ "from", options->rootfs, true },
		{ "type", options->type, false },
		{ "fs", options->fs, false },
		{ "platform", options->platform, false },
		{ "owner", options->owner, false },
		{ "kernel", options->kernel, true },
		{ "modules", options->modules, true },
		{ "entrypoint", options->entrypoint, false },
		{ "workdir", options->workdir, false },
		{ "user", options->user, false },
		{ "hostname", options->hostname, false },
		{ "write", options->write, false },
		{ "stop_signal", options->stop_signal, false },
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (members[i].value)
			json_object_set_new(object, members[i].key,
					    members[i].path ? path_json(members[i].value, beside_pipeline) :
							      json_string(members[i].value));
	if (options->env.count > 0)
		json_object_set_new(object, "env", env_json(&options->env));
	if (json_object_size(object) > 0)
		return object;
	json_decref(object);
	return NULL;
}
