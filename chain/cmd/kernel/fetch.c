/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char cmd_kernel_fetch_sh[]; /* kernel_blob.S */

/* All names together name a folder, which has at most 255 bytes of name. */
enum { NAMES_MAX = 64, NAMES_BYTES_MAX = 200, NAME_FIRST = 7 };

/* What the script prints goes to where progress goes. `words` ends with null. */
static int script_run(char *const words[])
{
	int status = 0;
	const pid_t child = fork();

	if (child == 0) {
		if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
			(void)execvp("sh", words);
		_exit(CMD_REFUSED);
	}
	if (child < 0)
		return CMD_REFUSED;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CMD_INTERRUPTED;
}

static char *own(const char *text)
{
	return (char *)(uintptr_t)text;
}

int fetch_kernel(const char *folder, const char *package)
{
	char *const words[] = { own("sh"),    own("-c"),   own(cmd_kernel_fetch_sh),
				own("fetch"), own(folder), own("kernel"),
				own(package), NULL };

	return script_run(words);
}

/* As Debian's policy has names of packages (section 5.6.1). */
static bool is_name(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789", others[] = "+-.";

	if (!*name || !strchr(first, *name))
		return false;
	for (; *name; name++)
		if (!strchr(first, *name) && !strchr(others, *name))
			return false;
	return true;
}

/* Takes `copy` apart into words behind those of the script. */
static enum chain_status names_take(const char *packages, char *copy, char *words[NAME_FIRST + NAMES_MAX + 1],
				    struct chain_error *err)
{
	size_t count = 0;

	if (strlen(packages) > NAMES_BYTES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = packages, .detail = "bytes of packages' names",
				  .value = strlen(packages), .limit = NAMES_BYTES_MAX);
	for (char *at = copy, *name; (name = strsep(&at, ",")) != NULL; count++) {
		if (!is_name(name))
			return chain_fail_subject(err, CHAIN_E_ROOT_PACKAGES, packages);
		if (count == NAMES_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = packages, .detail = "packages", .value = count + 1,
					  .limit = NAMES_MAX);
		words[NAME_FIRST + count] = name;
	}
	return CHAIN_OK;
}

enum chain_status fetch_root(const char *packages, char out[FETCH_PATH_BYTES], struct chain_error *err)
{
	char folder[FETCH_PATH_BYTES], *copy = strdup(packages);
	char *words[NAME_FIRST + NAMES_MAX + 1] = { own("sh"),    own("-c"), own(cmd_kernel_fetch_sh),
						    own("fetch"), folder,    own("root"),
						    own(packages) };
	struct stat about;
	enum chain_status status = copy ? names_take(packages, copy, words, err) :
					  chain_fail_no_memory(err, packages, strlen(packages) + 1);

	if (!status && (!cmd_cache_path("roots", folder, sizeof(folder)) ||
			snprintf(out, FETCH_PATH_BYTES, "%s/%s", folder, packages) >= FETCH_PATH_BYTES))
		status = chain_fail_text(err, CHAIN_E_ROOT_FETCH, packages,
					 "neither XDG_CACHE_HOME nor HOME names a place for it");
	if (!status && stat(out, &about) < 0 && script_run(words) != 0)
		status = chain_fail_text(err, CHAIN_E_ROOT_FETCH, packages, "standard error says why");
	free(copy);
	return status;
}
