/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain kernel`: a Linux kernel with its modules for roots, in the user's cache. */

#include "chain/cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char cmd_kernel_fetch_sh[]; /* kernel_blob.S */

enum { PATH_BYTES = 4096 };

/* The script's exit status; what it prints goes to where progress goes. */
static int script_run(const char *folder, const char *package)
{
	int status = 0;
	const pid_t child = fork();

	if (child == 0) {
		if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
			(void)execlp("sh", "sh", "-c", cmd_kernel_fetch_sh, "fetch", folder, package, (char *)NULL);
		_exit(CMD_REFUSED);
	}
	if (child < 0)
		return CMD_REFUSED;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CMD_INTERRUPTED;
}

static int tell(const char *folder, const char *package, bool json)
{
	char path[PATH_BYTES];
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
	const char *package = "linux-image-cloud-amd64";
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "package", 0, CMD_OPT_TEXT, "NAME", "of Debian (default: linux-image-cloud-amd64)", &package },
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
	char folder[PATH_BYTES];
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
		code = script_run(folder, package);
	cmd_args_free(&args);
	return code == CMD_OK ? tell(folder, package, json) : code;
}
