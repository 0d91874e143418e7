/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "forkserver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BEGIN_LIMIT_MS = 10000, ANSWER_LIMIT_MS = 60000 };

extern const char cmd_forkserver_so[], cmd_forkserver_so_end[]; /* forkserver_blob.S */

int forkserver_library(void)
{
	const size_t bytes = (size_t)(cmd_forkserver_so_end - cmd_forkserver_so);
	int fd = memfd_create("kchain-forkserver", MFD_CLOEXEC);
	if (fd < 0 || write(fd, cmd_forkserver_so, bytes) == (ssize_t)bytes)
		return fd;
	close(fd);
	return -1;
}

/* False: it is gone, does not answer, or answers something else. */
static bool answer(const struct forkserver *server, enum forkserver_what what, int limit_ms, int *out_value)
{
	struct forkserver_message message = { 0 };
	struct pollfd wait = { .fd = server->fd, .events = POLLIN };
	int ready;
	do
		ready = poll(&wait, 1, limit_ms);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0 || recv(server->fd, &message, sizeof(message), 0) != sizeof(message) ||
	    message.what != (int32_t)what)
		return false;
	*out_value = message.value;
	return true;
}

static bool request(const struct forkserver *server, enum forkserver_what what, int value, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FORKSERVER_FDS)];
	} control = { 0 };
	struct forkserver_message text = { .what = (int32_t)what, .value = value };
	struct iovec io = { .iov_base = &text, .iov_len = sizeof(text) };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };
	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	}
	return sendmsg(server->fd, &message, MSG_NOSIGNAL) == sizeof(text);
}

bool forkserver_begin(struct forkserver *server, pid_t pid, int fd)
{
	int value;
	*server = (struct forkserver){ .pid = pid, .fd = fd };
	if (pid > 0 && answer(server, FORKSERVER_READY, BEGIN_LIMIT_MS, &value))
		return true;
	forkserver_end(server);
	return false;
}

pid_t forkserver_fork(struct forkserver *server, const int fds[FORKSERVER_FDS])
{
	int value;
	if (!request(server, FORKSERVER_FORK, 0, fds, FORKSERVER_FDS) ||
	    !answer(server, FORKSERVER_FORK, ANSWER_LIMIT_MS, &value)) {
		forkserver_end(server);
		errno = ECHILD;
		return -1;
	}
	if (value > 0)
		return value;
	errno = -value;
	return -1;
}

int forkserver_reap(struct forkserver *server, pid_t pid)
{
	int status;
	if (server->pid > 0 && request(server, FORKSERVER_REAP, pid, NULL, 0) &&
	    answer(server, FORKSERVER_REAP, ANSWER_LIMIT_MS, &status))
		return status;
	forkserver_end(server);
	return SIGKILL;
}

void forkserver_end(struct forkserver *server)
{
	if (server->fd >= 0)
		close(server->fd);
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*server = (struct forkserver){ .pid = -1, .fd = -1 };
}
