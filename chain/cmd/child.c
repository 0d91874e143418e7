/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CPU_SECONDS = 10, WAIT_SECONDS = 30, ANSWER_BYTES_MAX = 64 << 20, PIECE_BYTES = 65536 };
#define MEMORY_BYTES (4ull << 30) /* address space: files are mapped */

/* --- the child --- */

static void bound_it(void)
{
	static const int FATAL[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGPIPE };
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < sizeof(FATAL) / sizeof(FATAL[0]); i++)
		signal(FATAL[i], SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_CPU, &(struct rlimit){ CPU_SECONDS, CPU_SECONDS + 1 });
#ifndef __SANITIZE_ADDRESS__ /* which takes more than there is */
	setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY_BYTES, MEMORY_BYTES });
#endif
}

static _Noreturn void be_child(child_work *work, void *ctx, int to)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(1);
	bound_it();
	json_t *doc = work(ctx);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	size_t count = text ? strlen(text) : 0;
	for (size_t at = 0; at < count;) {
		ssize_t put = write(to, text + at, count - at);
		if (put <= 0)
			_exit(1);
		at += (size_t)put;
	}
	_exit(count ? 0 : 1);
}

/* --- the parent --- */

struct answer {
	char *bytes; /* owned */
	size_t used, room;
};

static bool more(struct answer *answer, int from)
{
	if (answer->room - answer->used < PIECE_BYTES) {
		size_t room = answer->room ? 2 * answer->room : 2 * PIECE_BYTES;
		char *grown = room > ANSWER_BYTES_MAX ? NULL : realloc(answer->bytes, room);
		if (!grown)
			return false;
		answer->bytes = grown;
		answer->room = room;
	}
	ssize_t got = read(from, answer->bytes + answer->used, PIECE_BYTES);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	answer->used += got > 0 ? (size_t)got : 0;
	return got > 0;
}

static long elapsed_ms(const struct timespec *since)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)(now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* Until its end, or until it has taken too long. */
static void hear(struct answer *answer, int from)
{
	struct timespec begun;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (;;) {
		struct pollfd wait = { .fd = from, .events = POLLIN };
		long left = WAIT_SECONDS * 1000 - elapsed_ms(&begun);
		if (left <= 0 || (poll(&wait, 1, (int)left) > 0 && !more(answer, from)))
			return;
	}
}

static bool went_well(pid_t pid)
{
	int status = 0;
	kill(pid, SIGKILL); /* one that has ended keeps its status */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

enum chain_status child_run(child_work *work, void *ctx, const char *what, json_t **out, struct chain_error *err)
{
	struct answer answer = { 0 };
	int ends[2];
	*out = NULL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return chain_fail_text(err, CHAIN_E_IO, what, strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		be_child(work, ctx, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return chain_fail_text(err, CHAIN_E_IO, what, strerror(errno));
	}
	hear(&answer, ends[0]);
	close(ends[0]);
	if (went_well(pid) && answer.used)
		*out = json_loadb(answer.bytes, answer.used, JSON_REJECT_DUPLICATES, NULL);
	free(answer.bytes);
	return *out ? CHAIN_OK : chain_fail_subject(err, CHAIN_E_CMD_CHILD, what);
}
