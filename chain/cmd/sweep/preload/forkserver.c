/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what makes a QEMU a fork server: a library that is loaded before it and takes the place of its main(). When the
 * loader is done with QEMU and its libraries it waits, and forks for each instance that is asked for; the copy runs
 * main() with the arguments that are the same for all, and finds its own descriptors under the numbers in them. So each
 * instance is spared the loading, which is a quarter of its time, and shares the pages that it writes to.
 *
 * Nothing of QEMU is relied on but that it may be forked before main(), as its own -daemonize does later. */

#include "chain/cmd/sweep/forkserver_wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int main_function(int argc, char **argv, char **environment);
typedef int start_function(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
			   void (*rtld_fini)(void), void *stack_end);

static main_function *program;

/* The request's descriptors, as many as there are; -1: the other side is gone, or it is none. */
static int receive(struct forkserver_message *request, int fds[FORKSERVER_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FORKSERVER_FDS)];
	} control;
	struct iovec io = { .iov_base = request, .iov_len = sizeof(*request) };
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	ssize_t got;
	do
		got = recvmsg(FORKSERVER_FD, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got != sizeof(*request))
		return -1;
	const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	if (!head)
		return 0;
	const size_t bytes = head->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(head), bytes);
	return (int)(bytes / sizeof(int));
}

static void answer(enum forkserver_what what, int value)
{
	const struct forkserver_message message = { .what = what, .value = value };
	if (send(FORKSERVER_FD, &message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
		_exit(0);
}

/* In the copy: its descriptors under their numbers, and an end that comes with the server's. */
static void become_instance(const int fds[FORKSERVER_FDS], pid_t server)
{
	static const int TO[FORKSERVER_FDS] = { MACHINE_FD_CONSOLE, MACHINE_FD_RECORDS, 2, MACHINE_FD_HANDOFF };
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != server)
		_exit(127);
	/* What was received has numbers above all of these, since the server keeps its own end behind them. */
	for (int i = 0; i < FORKSERVER_FDS; i++)
		if (dup2(fds[i], TO[i]) < 0 || close(fds[i]) < 0)
			_exit(127);
	close(FORKSERVER_FD);
}

/* QEMU's variables are those that it would have without this library. */
static void hide_library(void)
{
	const char *list = getenv("LD_PRELOAD"), *rest = list ? strchr(list, ':') : NULL;
	if (rest)
		setenv("LD_PRELOAD", rest + 1, 1);
	else
		unsetenv("LD_PRELOAD");
}

static int serve(int argc, char **argv, char **environment)
{
	(void)environment;
	hide_library();
	close(FORKSERVER_FD_LIBRARY);
	answer(FORKSERVER_READY, 0);
	for (;;) {
		struct forkserver_message request = { 0 };
		int fds[FORKSERVER_FDS], status = 0;
		const int count = receive(&request, fds);
		const pid_t server = getpid();
		if (count < 0)
			_exit(0);
		if (request.what == FORKSERVER_REAP) {
			while (waitpid(request.value, &status, 0) < 0 && errno == EINTR)
				;
			answer(FORKSERVER_REAP, status);
			continue;
		}
		const pid_t pid = count == FORKSERVER_FDS ? fork() : -1;
		if (pid == 0) {
			become_instance(fds, server);
			return program(argc, argv, environ);
		}
		answer(FORKSERVER_FORK, pid > 0 ? pid : -errno);
		for (int i = 0; i < count; i++)
			close(fds[i]);
	}
}

/* The C library's, by which each program is entered. */
__attribute__((visibility("default"))) start_function __libc_start_main;
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*rtld_fini)(void), void *stack_end)
{
	start_function *real;
	void *found = dlsym(RTLD_NEXT, "__libc_start_main");
	memcpy(&real, &found, sizeof(real));
	program = main;
	return real(serve, argc, argv, init, fini, rtld_fini, stack_end);
}
