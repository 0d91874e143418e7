/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain kernel`: a Linux kernel with its modules for roots, in the user's cache. */

#include "fetch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int tell(const char *folder, const char *package, bool json)
{
	char path[FETCH_PATH_BYTES];
	json_t *doc, *said;

	/* Another run of the script may be about to put its own in the same place. */
	(void)snprintf(path, sizeof(path), "%.3000s/lock", folder);
	const int lock = open(path, O_RDONLY | O_CLOEXEC);

	if (lock >= 0)
		(void)flock(lock, LOCK_SH);
	(void)snprintf(path, sizeof(path), "%.3000s/%.900s/kernel.json", folder, package);
	said = json_load_file(path, 0, NULL);
	if (lock >= 0)
		(void)close(lock);
	path[strlen(path) - sizeof("/kernel.json") + 1] = '\0';
	doc = said ? json_pack("{s:o, s:s}", "kernel", said, "folder", path) : NULL;
	if (!doc) {
		struct chain_error err = { .status = CHAIN_OK };

		(void)CHAIN_FAIL(&err, IO, .subject = path, .detail = "nothing can be read of what was fetched");
		return cmd_refuse(&err, json);
	}
	if (json)
		return cmd_json_print(doc) ? CMD_OK : CMD_REFUSED;
	printf("%s %s\n  sha256:%s\n  in ", json_string_value(json_object_get(said, "package")),
	       json_string_value(json_object_get(said, "version")), json_string_value(json_object_get(said, "sha256")));
	cmd_text_put(stdout, path);
	putchar('\n');
	json_decref(doc);
	return CMD_OK;
}

int cmd_kernel(int argc, char **argv)
{
	const char *package = FETCH_KERNEL;
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "package", 0, CMD_OPT_TEXT, "NAME", "of Debian (default: " FETCH_KERNEL ")", &package },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print a JSON object instead of text", &json },
	};
	const struct cmd_spec spec = {
		.command = "kernel",
		.operands = "fetch",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 1,
		.most = 1,
		.about = "Puts Debian's newest Linux kernel with its modules into the user's cache, where `kchain bake "
			 "--rootfs` finds it: by apt's own means and verification, from the archives that this "
			 "machine's "
			 "apt knows; nothing is installed, and no root is needed. What was fetched is recorded by "
			 "version "
			 "and digest.",
	};
	char folder[FETCH_PATH_BYTES];
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (strcmp(args.v[0], "fetch") != 0)
		code = cmd_usage("kernel", "'%s' is not fetch", args.v[0]);
	else if (!*package || strchr(package, '/') || *package == '-')
		code = cmd_usage("kernel", "--package: '%s' is no package's name", package);
	else if (!cmd_cache_path("kernels", folder, sizeof(folder)))
		code = cmd_usage("kernel", "neither XDG_CACHE_HOME nor HOME names a place for what is fetched");
	else
		code = fetch_kernel(folder, package);
	cmd_args_free(&args);
	return code == CMD_OK ? tell(folder, package, json) : code;
}
