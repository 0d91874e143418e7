/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "app.h"

#include "say.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char default_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* What the child tells before it is the program. */
enum part { PART_USER, PART_FOLDER, PART_PROGRAM };
struct report {
	enum part part;
	int error;
	char path[512]; /* of a program that was found */
};

/* --- the environment --- */

static const char *value_of(char *const *env, const char *name)
{
	size_t bytes = strlen(name);
	for (; *env; env++)
		if (!strncmp(*env, name, bytes) && (*env)[bytes] == '=')
			return *env + bytes + 1;
	return NULL;
}

/* New, with its texts: init never frees it. Null: no memory. */
static char **make_env(const struct init_spec *spec, const char *home)
{
	char **env = calloc(spec->env_count + 3, sizeof(*env));
	size_t used = 0;
	for (size_t i = 0; env && i < spec->env_count; i++)
		if (asprintf(&env[used++], "%s=%s", spec->env[i].name, spec->env[i].value) < 0)
			return NULL;
	if (env && !value_of(env, "PATH"))
		env[used++] = strdup(default_path);
	if (env && !value_of(env, "HOME") && asprintf(&env[used++], "HOME=%s", home) < 0)
		return NULL;
	return env;
}

/* What execve takes: ends in a null. The texts are borrowed. Null: no memory. */
static char **make_argv(const struct init_spec *spec)
{
	char **argv = calloc(spec->argc + 1, sizeof(*argv));
	if (argv)
		memcpy(argv, spec->argv, spec->argc * sizeof(*argv));
	return argv;
}

/* --- the child --- */

static void restore_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < INIT_SIGNALS; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* It may be root in its own file system, but the ports of the machine are init's, by which it tells how the program
 * ended. */
static void drop_ports(void)
{
	enum { CAP_SYS_RAWIO = 17 };
	init_say_forget_port();
	prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO, 0, 0, 0);
}

/* Tries the program in each folder of PATH, as execvp(3) does; returns errno. */
static int execute(char *const *argv, char *const *env, char path[512])
{
	int error = ENOENT;
	if (strchr(argv[0], '/')) {
		snprintf(path, 512, "%s", argv[0]);
		execve(path, argv, env);
		return errno;
	}
	for (const char *at = value_of(env, "PATH"); at; at = *at ? at + 1 : NULL) {
		char tried[512];
		size_t bytes = strcspn(at, ":");
		snprintf(tried, sizeof(tried), "%.*s/%s", (int)bytes, at, argv[0]);
		at += bytes;
		execve(tried, argv, env);
		if (errno == ENOENT && access(tried, F_OK))
			continue;
		error = errno;
		snprintf(path, 512, "%s", tried);
		if (error != EACCES)
			break;
	}
	return error;
}

static void become(const struct init_spec *spec, const struct init_user *user, char *const *argv, char *const *env,
		   int report_fd)
{
	struct report report = { .part = PART_USER };
	gid_t groups[INIT_GROUPS_MAX];
	for (size_t i = 0; i < user->group_count; i++)
		groups[i] = user->groups[i];
	restore_signals();
	setsid();
	drop_ports();
	/* Of this thread, which is the only one: musl's functions would look for others. */
	if (!syscall(SYS_setgroups, user->group_count, groups) && !syscall(SYS_setgid, user->gid) &&
	    !syscall(SYS_setuid, user->uid)) {
		report.part = PART_FOLDER;
		if (!chdir(spec->workdir && *spec->workdir ? spec->workdir : "/")) {
			report.part = PART_PROGRAM;
			errno = execute(argv, env, report.path);
		}
	}
	report.error = errno;
	if (write(report_fd, &report, sizeof(report)) < 0)
		_exit(126);
	_exit(127);
}

static enum chain_status explain(const struct init_spec *spec, const struct report *report, struct chain_error *err)
{
	char why[CHAIN_SUBJECT_BYTES];
	if (report->part == PART_USER)
		snprintf(why, sizeof(why), "can't become its user: %s", strerror(report->error));
	else if (report->part == PART_FOLDER)
		snprintf(why, sizeof(why), "can't enter its folder %.100s: %s", spec->workdir, strerror(report->error));
	else if (!report->path[0])
		snprintf(why, sizeof(why), "not in the root's PATH");
	else
		init_exec_why(report->path, report->error, why, sizeof(why));
	return chain_fail_text(err, CHAIN_E_INIT_START, report->path[0] ? report->path : spec->argv[0], why);
}

/* --- the parent --- */

static enum chain_status open_pipes(int pipes[3][2], const struct init_user *user, struct chain_error *err)
{
	for (int i = 0; i < 3; i++) {
		if (pipe2(pipes[i], O_CLOEXEC))
			return init_fail(err, "a pipe");
		/* Programs open /dev/stdout by its name. */
		if (i < 2 && fchown(pipes[i][1], user->uid, user->gid))
			return init_fail(err, "a pipe");
	}
	return CHAIN_OK;
}

enum chain_status init_app_start(const struct init_spec *spec, const struct init_user *user, struct init_app *out,
				 struct chain_error *err)
{
	int pipes[3][2], none = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct report report;
	char **env = make_env(spec, user->home), **argv = make_argv(spec);
	if (!env || !argv || none < 0)
		return env && argv ? init_fail(err, "/dev/null") : chain_fail_no_memory(err, "the environment", 1);
	enum chain_status status = open_pipes(pipes, user, err);
	if (status)
		return status;
	out->pid = fork();
	if (out->pid < 0)
		return init_fail(err, "a process");
	if (!out->pid) {
		dup2(none, STDIN_FILENO);
		dup2(pipes[0][1], STDOUT_FILENO);
		dup2(pipes[1][1], STDERR_FILENO);
		become(spec, user, argv, env, pipes[2][1]);
	}
	close(none);
	for (int i = 0; i < 3; i++)
		close(pipes[i][1]);
	out->out = pipes[0][0];
	out->err = pipes[1][0];
	/* Nothing comes when it is executed: the pipe is closed then. */
	ssize_t bytes = read(pipes[2][0], &report, sizeof(report));
	close(pipes[2][0]);
	return bytes == sizeof(report) ? explain(spec, &report, err) : CHAIN_OK;
}

/* --- a shell --- */

/* A terminal that can be a session's own: the last of those that are the console. */
static void console_terminal(char *out, size_t size)
{
	char *text;
	uint64_t bytes;
	snprintf(out, size, "/dev/console");
	if (init_read("/sys/class/tty/console/active", 256, &text, &bytes, NULL))
		return;
	text[strcspn(text, "\n")] = '\0';
	const char *last = strrchr(text, ' ');
	last = last ? last + 1 : text;
	if (*last)
		snprintf(out, size, "/dev/%.60s", strcmp(last, "tty0") ? last : "tty1");
	free(text);
}

enum chain_status init_shell_start(const struct init_spec *spec, struct init_app *out, struct chain_error *err)
{
	static const char *const shells[][2] = { { "/bin/bash", NULL },
						 { "/bin/sh", NULL },
						 { "/bin/ash", NULL },
						 { "/bin/busybox", "sh" },
						 { "/busybox/sh", NULL } };
	char terminal[80], **env = make_env(spec, "/root");
	size_t i = 0, count = sizeof(shells) / sizeof(shells[0]);
	while (i < count && access(shells[i][0], X_OK))
		i++;
	if (i == count || !env)
		return chain_fail_text(err, CHAIN_E_INIT_START, "a shell",
				       "the root has none of /bin/bash, sh, ash and busybox");
	console_terminal(terminal, sizeof(terminal));
	*out = (struct init_app){ .pid = fork(), .out = -1, .err = -1 };
	if (out->pid)
		return out->pid < 0 ? init_fail(err, "a process") : CHAIN_OK;
	restore_signals();
	setsid();
	int fd = open(terminal, O_RDWR);
	ioctl(fd, TIOCSCTTY, 1);
	for (int k = 0; k < 3; k++)
		dup2(fd, k);
	char *argv[] = { (char *)(uintptr_t)shells[i][0], (char *)(uintptr_t)shells[i][1], NULL };
	execve(argv[0], argv, env);
	_exit(127);
}
