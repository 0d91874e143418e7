/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "slurm_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, MOST_BYTES = 64 << 20 };

bool slurm_has_command(const char *name)
{
	const char *path = getenv("PATH");
	char file[4096];
	for (const char *at = path ? path : ""; *at;) {
		int folder = (int)strcspn(at, ":");
		snprintf(file, sizeof(file), "%.*s/%s", folder, at, name);
		if (folder && access(file, X_OK) == 0)
			return true;
		at += folder + (at[folder] == ':');
	}
	return false;
}

static _Noreturn void become(char **words, int out)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	execvp(words[0], words);
	dprintf(2, "%s: %s\n", words[0], strerror(errno));
	_exit(127);
}

/* Null: no memory, or more than can be. */
static char *read_all(int fd)
{
	size_t used = 0, room = 4096;
	char *text = malloc(room);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (text && poll(&wait, 1, LIMIT_MS) > 0) {
		ssize_t got = read(fd, text + used, room - used - 1);
		if (got <= 0)
			break;
		used += (size_t)got;
		if (used < room - 1)
			continue;
		char *grown = room < MOST_BYTES ? realloc(text, 2 * room) : NULL;
		if (!grown)
			free(text);
		text = grown;
		room *= 2;
	}
	if (text)
		text[used] = '\0';
	return text;
}

bool slurm_command(struct words *words, char **out_text)
{
	int ends[2], status = -1;
	*out_text = NULL;
	if (words->lacking || pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid == 0)
		become(words->v, ends[1]);
	close(ends[1]);
	*out_text = read_all(ends[0]);
	close(ends[0]);
	if (pid <= 0)
		return false;
	/* It has closed its output: it has ended, or hangs. */
	for (int waited = 0; waitpid(pid, &status, WNOHANG) == 0; waited++) {
		if (waited == LIMIT_MS / 10)
			kill(-pid, SIGKILL);
		usleep(10000);
	}
	return *out_text && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
