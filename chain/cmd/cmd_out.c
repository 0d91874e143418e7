/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "cmd_out.h"
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal handler may touch: the name of the file to be removed. */
static char *volatile pending;

static void interrupted(int signal_number)
{
	char *name = pending;

	if (name)
		(void)unlink(name);
	_exit(signal_number == SIGINT ? CMD_INTERRUPTED : 128 + signal_number);
}

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	if (number == ENOMEM)
		return chain_fail_no_memory(err, path, strlen(path) + sizeof(".XXXXXX"));
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

/* What the caller's parent had ignored (nohup, a shell's background) stays ignored. */
static void catch_one(int signal_number, const struct sigaction *action, struct sigaction *before)
{
	(void)sigaction(signal_number, NULL, before);
	if (before->sa_handler != SIG_IGN)
		(void)sigaction(signal_number, action, NULL);
}

static void signals_catch(struct cmd_out *out)
{
	struct sigaction action = { .sa_handler = interrupted };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigemptyset(&action.sa_mask);
	catch_one(SIGINT, &action, &out->int_before);
	catch_one(SIGTERM, &action, &out->term_before);
	catch_one(SIGHUP, &action, &out->hup_before);
	(void)sigaction(SIGXFSZ, &ignore, &out->size_before);
}

static void signals_release(const struct cmd_out *out)
{
	(void)sigaction(SIGINT, &out->int_before, NULL);
	(void)sigaction(SIGTERM, &out->term_before, NULL);
	(void)sigaction(SIGHUP, &out->hup_before, NULL);
	(void)sigaction(SIGXFSZ, &out->size_before, NULL);
}

static void link_of(int fd, char out[32])
{
	(void)snprintf(out, 32, "/proc/self/fd/%d", fd);
}

/* Without a name, and such that it can get one; -1: not here. */
static int open_nameless(const char *folder)
{
	char link[32];
	const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);

	link_of(fd, link);
	if (fd >= 0 && faccessat(AT_FDCWD, link, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Beside `path`, by a name that nobody has. */
static enum chain_status open_beside(struct cmd_out *out, const char *path, struct chain_error *err)
{
	if (asprintf(&out->beside, "%s.XXXXXX", path) < 0) {
		out->beside = NULL;
		return io(path, ENOMEM, err);
	}
	out->fd = mkostemp(out->beside, O_CLOEXEC);
	if (out->fd >= 0)
		return CHAIN_OK;
	const int number = errno;

	free(out->beside);
	out->beside = NULL;
	return io(path, number, err);
}

static void signals_block(sigset_t *before)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, before);
}

enum chain_status cmd_out_open(struct cmd_out *out, const char *path, struct chain_error *err)
{
	char *copy = strdup(path);
	enum chain_status status = CHAIN_OK;
	sigset_t before;

	*out = (struct cmd_out){ .path = path, .fd = -1 };
	if (!copy)
		return io(path, ENOMEM, err);
	out->fd = open_nameless(dirname(copy));
	free(copy);
	signals_block(&before);
	if (out->fd < 0)
		status = open_beside(out, path, err);
	if (!status) {
		pending = out->beside;
		signals_catch(out);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

enum chain_status cmd_out_open_unnamed(struct cmd_out *out, const char *folder, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	char path[4096];
	sigset_t before;

	*out = (struct cmd_out){ .fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600) };
	signals_block(&before);
	if (out->fd < 0) {
		if (snprintf(path, sizeof(path), "%s/kchain", folder) >= (int)sizeof(path))
			status = io(folder, ENAMETOOLONG, err);
		else
			status = open_beside(out, path, err);
		if (!status)
			(void)unlink(out->beside);
		free(out->beside);
		out->beside = NULL;
	}
	if (!status)
		signals_catch(out);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

static void finish(struct cmd_out *out)
{
	pending = NULL;
	signals_release(out);
	free(out->beside);
	out->beside = NULL;
}

/* What a network's file system only says when a descriptor is closed. Zero or the error's number. */
static int write_back(int fd)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 || close(copy) < 0 ? errno : 0;
}

/* Makes a name of "….XXXXXX" that is likely to be new. */
static bool name_make(char *template)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	char *at = template + strlen(template) - 6;
	uint8_t random[6];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return false;
	for (size_t i = 0; i < sizeof(random); i++)
		at[i] = letters[random[i] % (sizeof(letters) - 1)];
	return true;
}

/* Gives the file a name beside its place. Zero or the error's number. */
static int link_beside(struct cmd_out *out, const char *link)
{
	enum { TRIALS = 100 };
	int number = EEXIST;

	if (asprintf(&out->beside, "%s.XXXXXX", out->path) < 0) {
		out->beside = NULL;
		return ENOMEM;
	}
	for (int i = 0; number == EEXIST && i < TRIALS; i++) {
		if (!name_make(out->beside))
			return errno;
		number = linkat(AT_FDCWD, link, AT_FDCWD, out->beside, AT_SYMLINK_FOLLOW) < 0 ? errno : 0;
	}
	return number;
}

/* A file without a name. Zero or the error's number; then it has none. */
static int place_nameless(struct cmd_out *out)
{
	char link[32];

	link_of(out->fd, link);
	if (linkat(AT_FDCWD, link, AT_FDCWD, out->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST)
		return errno;
	int number = link_beside(out, link);

	if (number)
		return number;
	number = rename(out->beside, out->path) < 0 ? errno : 0;
	if (number)
		(void)unlink(out->beside);
	return number;
}

static int place_beside(struct cmd_out *out)
{
	const mode_t mask = umask(0);

	(void)umask(mask);
	if (fchmod(out->fd, 0666 & ~mask) < 0 || rename(out->beside, out->path) < 0)
		return errno;
	return 0;
}

enum chain_status cmd_out_commit(struct cmd_out *out, int *out_fd, struct chain_error *err)
{
	int number = write_back(out->fd);
	sigset_t before;

	signals_block(&before);
	if (!number && out->path)
		number = out->beside ? place_beside(out) : place_nameless(out);
	if (number && pending)
		(void)unlink(pending);
	if (out_fd && !number)
		*out_fd = out->fd;
	else
		(void)close(out->fd);
	out->fd = -1;
	finish(out);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return number ? io(out->path ? out->path : "a file without a name", number, err) : CHAIN_OK;
}

void cmd_out_drop(struct cmd_out *out)
{
	if (out->fd < 0)
		return;
	(void)close(out->fd);
	out->fd = -1;
	if (out->beside)
		(void)unlink(out->beside);
	finish(out);
}
