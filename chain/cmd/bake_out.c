/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: writing an image beside its place and moving it there in one step. */

#include "bake_host.h"
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
	return chain_fail(err, CHAIN_E_IO, path, strerror(number), 0, 0, 0, 0);
}

enum chain_status bake_out_open(struct bake_out *out, const char *path, bool progress, struct chain_error *err)
{
	struct sigaction action = {.sa_handler = interrupted};
	struct stat about;

	*out = (struct bake_out){.path = path, .fd = -1, .shows = progress};
	if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
		return chain_fail(err, CHAIN_E_NOT_SUPPORTED, path, "an image can only be written to a regular file", 0,
				  0, 0, 0);
	if (asprintf(&out->beside, "%s.XXXXXX", path) < 0) {
		out->beside = NULL;
		return chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, strlen(path) + 8, 0, 0, 0);
	}
	cmd_progress_start(&out->progress, "written");
	out->fd = mkostemp(out->beside, O_CLOEXEC);
	if (out->fd < 0) {
		const int number = errno;

		free(out->beside);
		out->beside = NULL;
		return io(path, number, err);
	}
	pending = out->beside;
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, &out->int_before);
	(void)sigaction(SIGTERM, &action, &out->term_before);
	(void)sigaction(SIGHUP, &action, &out->hup_before);
	action.sa_handler = SIG_IGN; /* a limit on the size of files is an error of write(2) like any other */
	(void)sigaction(SIGXFSZ, &action, &out->size_before);
	return CHAIN_OK;
}

enum chain_status bake_out_write(struct bake_out *out, uint64_t offset, const void *bytes, size_t count,
				 struct chain_error *err)
{
	const char *at = bytes;

	while (count > 0) {
		const ssize_t put = pwrite(out->fd, at, count, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return io(out->path, errno, err);
		at += put;
		offset += (uint64_t)put;
		count -= (size_t)put;
		if (out->shows)
			cmd_progress_add(&out->progress, (uint64_t)put);
	}
	return CHAIN_OK;
}

/* The kernel's own copy is not to be had between all files: then the bytes come this way. */
static ssize_t copy_by_hand(int from_fd, int to_fd, uint64_t from, uint64_t to, size_t count)
{
	char buf[65536];
	const ssize_t got = pread(from_fd, buf, count < sizeof(buf) ? count : sizeof(buf), (off_t)from);

	return got > 0 ? pwrite(to_fd, buf, (size_t)got, (off_t)to) : got;
}

static ssize_t copy_some(int from_fd, int to_fd, uint64_t from, uint64_t to, size_t count)
{
	off_t in = (off_t)from, at = (off_t)to;
	const ssize_t copied = copy_file_range(from_fd, &in, to_fd, &at, count, 0);

	if (copied >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
		return copied;
	return copy_by_hand(from_fd, to_fd, from, to, count);
}

enum chain_status bake_out_flush(struct bake_out *out, struct chain_error *err)
{
	/* In pieces that end at round places of the output: there the page cache takes more pages at a time. */
	enum { PIECE = 1 << 27 };
	struct bake_copy *copy = &out->copy;

	while (copy->count > 0) {
		const uint64_t round = PIECE - copy->to % PIECE;
		const size_t piece = (size_t)(copy->count < round ? copy->count : round);
		const ssize_t copied = copy_some(copy->fd, out->fd, copy->from, copy->to, piece);

		if (copied < 0 && errno == EINTR)
			continue;
		if (copied < 0)
			return io(out->path, errno, err);
		if (copied == 0)
			return chain_fail(err, CHAIN_E_BAKE_CHANGED, copy->name ? copy->name : out->path,
					  copy->name ? "it became shorter" : "the image baked before it became shorter",
					  0, 0, 0, 0);
		copy->from += (uint64_t)copied;
		copy->to += (uint64_t)copied;
		copy->count -= (uint64_t)copied;
		if (out->shows)
			cmd_progress_add(&out->progress, (uint64_t)copied);
	}
	return CHAIN_OK;
}

enum chain_status bake_out_copy(struct bake_out *out, const char *name, int fd, uint64_t from, uint64_t to, uint64_t count,
				struct chain_error *err)
{
	struct bake_copy *copy = &out->copy;

	if (copy->count > 0 && copy->fd == fd && copy->from + copy->count == from && copy->to + copy->count == to) {
		copy->count += count;
		return CHAIN_OK;
	}
	const enum chain_status status = bake_out_flush(out, err);

	*copy = (struct bake_copy){name, fd, from, to, count};
	return status;
}

static void finish(struct bake_out *out)
{
	if (out->shows)
		cmd_progress_end(&out->progress);
	pending = NULL;
	(void)sigaction(SIGINT, &out->int_before, NULL);
	(void)sigaction(SIGTERM, &out->term_before, NULL);
	(void)sigaction(SIGHUP, &out->hup_before, NULL);
	(void)sigaction(SIGXFSZ, &out->size_before, NULL);
	free(out->beside);
	out->beside = NULL;
}

enum chain_status bake_out_commit(struct bake_out *out, int *out_fd, struct chain_error *err)
{
	const mode_t mask = umask(0);
	int number = 0;

	(void)umask(mask);
	if (fchmod(out->fd, 0666 & ~mask) < 0)
		number = errno;
	if (out_fd)
		*out_fd = out->fd;
	else if (close(out->fd) < 0 && !number)
		number = errno;
	out->fd = -1;
	if (!number && rename(out->beside, out->path) < 0)
		number = errno;
	if (number) {
		if (out_fd)
			(void)close(*out_fd);
		bake_out_drop(out);
		return io(out->path, number, err);
	}
	finish(out);
	return CHAIN_OK;
}

void bake_out_drop(struct bake_out *out)
{
	if (out->fd >= 0)
		(void)close(out->fd);
	out->fd = -1;
	if (!out->beside)
		return;
	(void)unlink(out->beside);
	finish(out);
}
