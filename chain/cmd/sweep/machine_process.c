/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: QEMU as a process: its descriptors, its end, and that it does not outlive this one. */

#include "machine.h"
#include "machine_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES_MOST = 8, BEHIND_ALL = FORKSERVER_FD_LIBRARY + 1 };

/* In the child. First all are moved out of the way of the numbers that they shall have. */
static bool place(const int from[], const int to[], size_t count)
{
	int moved[PLACES_MOST];
	for (size_t i = 0; i < count; i++)
		if ((moved[i] = fcntl(from[i], F_DUPFD_CLOEXEC, BEHIND_ALL)) < 0)
			return false;
	for (size_t i = 0; i < count; i++)
		if (dup2(moved[i], to[i]) < 0)
			return false;
	return true;
}

static _Noreturn void become(char **words, const int from[], const int to[], size_t count, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Pages of 2 MiB would be cleared whole, and be private whole, for what an instance touches of them. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (getppid() != parent || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || !place(from, to, count) ||
	    chdir("/") < 0)
		_exit(127);
	execv(words[0], words);
	dprintf(2, "%s: %s\n", words[0], strerror(errno));
	_exit(127);
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int handoff_file(const char *text, size_t bytes)
{
	int fd = memfd_create("kchain-handoff", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, text, bytes) != (ssize_t)bytes)
		close_all(&fd, 1);
	return fd;
}

static bool open_pair(int *out_ours, int *out_theirs)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*out_ours = pair[0];
	*out_theirs = pair[1];
	return true;
}

/* A program that loads libraries loads this one first. */
static void preload(void)
{
	char list[8192];
	const char *own = getenv("LD_PRELOAD");
	snprintf(list, sizeof(list), "/proc/self/fd/%d%s%s", FORKSERVER_FD_LIBRARY, own ? ":" : "", own ? own : "");
	setenv("LD_PRELOAD", list, 1);
}

void machine_load(struct machine_template *made)
{
	/* What an instance is given has a number already, so that what the server receives gets others. */
	static const int TO[] = { MACHINE_FD_CONSOLE, MACHINE_FD_RECORDS, MACHINE_FD_HANDOFF,    MACHINE_FD_RAM,
				  MACHINE_FD_KERNEL,  FORKSERVER_FD,      FORKSERVER_FD_LIBRARY, STDERR_FILENO };
	enum { COUNT = sizeof(TO) / sizeof(TO[0]), RAM = 3, KERNEL, SERVER, LIBRARY };
	int pair[2] = { -1, -1 }, library = forkserver_library();
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int from[COUNT] = { null, null, null, made->ram_fd, made->kernel_fd, 0, library, null };
	const pid_t parent = getpid();
	int places[COUNT];
	pid_t pid = -1;
	if (library >= 0 && null >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
		pid = fork();
	if (pid == 0) {
		memcpy(places, from, sizeof(places));
		places[SERVER] = pair[1];
		preload();
		become(made->words.v, places, TO, COUNT, parent);
	}
	close_all((int[]){ pair[1], library, null }, 3);
	(void)forkserver_begin(&made->server, pid, pair[0]);
}

/* A child of ours, or of the template's. */
static pid_t start(struct machine_template *made, const int from[], const int to[], size_t count,
		   struct forkserver **out_server)
{
	const pid_t parent = getpid();
	pid_t pid = made->server.pid > 0 ? forkserver_fork(&made->server, from) : -1;
	*out_server = pid > 0 ? &made->server : NULL;
	if (pid > 0)
		return pid;
	pid = fork();
	if (pid == 0)
		become(made->words.v, from, to, count, parent);
	return pid;
}

static bool open_pipe(int *out_ours, int *out_theirs)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*out_ours = ends[0];
	*out_theirs = ends[1];
	return true;
}

enum chain_status machine_start(struct machine_template *made, const char *handoff, size_t bytes, struct machine *out,
				struct chain_error *err)
{
	static const int TO[] = { MACHINE_FD_CONSOLE, MACHINE_FD_RECORDS, 2,
				  MACHINE_FD_HANDOFF, MACHINE_FD_RAM,     MACHINE_FD_KERNEL };
	enum { COUNT = sizeof(TO) / sizeof(TO[0]), OWN = FORKSERVER_FDS };
	int from[COUNT] = { -1, -1, -1, handoff_file(handoff, bytes), made->ram_fd, made->kernel_fd };
	*out = (struct machine){ .pid = -1, .process = -1, .console = -1, .records = -1, .errors = -1 };
	bool good = from[3] >= 0 && open_pair(&out->console, &from[0]) && open_pipe(&out->records, &from[1]) &&
		    open_pair(&out->errors, &from[2]);
	if (good)
		out->pid = start(made, from, TO, COUNT, &out->server);
	int number = errno;
	if (out->pid > 0) {
		out->process = (int)syscall(SYS_pidfd_open, out->pid, 0);
		number = errno;
	}
	close_all(from, OWN);
	if (out->process >= 0)
		return CHAIN_OK;
	machine_kill(out);
	machine_reap(out);
	return chain_fail_text(err, CHAIN_E_IO, made->words.v[0], strerror(number));
}

bool machine_has_ended(const struct machine *machine)
{
	struct pollfd ended = { .fd = machine->process, .events = POLLIN };
	return poll(&ended, 1, 0) > 0;
}

void machine_kill(const struct machine *machine)
{
	/* The server's children have their numbers as long as it lives, and are reaped by others behind it. */
	if (machine->process >= 0)
		syscall(SYS_pidfd_send_signal, machine->process, SIGKILL, NULL, 0);
	else if (machine->pid > 0)
		kill(machine->pid, SIGKILL);
}

int machine_reap(struct machine *machine)
{
	int status = 0, fds[] = { machine->process, machine->console, machine->records, machine->errors };
	if (machine->server)
		status = forkserver_reap(machine->server, machine->pid);
	else
		while (machine->pid > 0 && waitpid(machine->pid, &status, 0) < 0 && errno == EINTR)
			;
	close_all(fds, sizeof(fds) / sizeof(fds[0]));
	*machine = (struct machine){ .pid = -1, .process = -1, .console = -1, .records = -1, .errors = -1 };
	return status;
}

/* --- its version --- */

enum { VERSION_LIMIT_MS = 10000 };

static size_t read_words(int fd, char *out, size_t size)
{
	size_t used = 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (used < size - 1 && poll(&wait, 1, VERSION_LIMIT_MS) > 0) {
		ssize_t got = read(fd, out + used, size - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	out[used] = '\0';
	return used;
}

enum chain_status machine_version(const char *program, char out[MACHINE_VERSION_BYTES], struct chain_error *err)
{
	char words[1024], *argv[] = { (char *)(uintptr_t)program, (char[]){ "--version" }, NULL };
	static const char BEFORE[] = "QEMU emulator version ";
	int ours, theirs, to[] = { 1 };
	const pid_t parent = getpid();
	if (!open_pair(&ours, &theirs))
		return chain_fail_text(err, CHAIN_E_IO, program, strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		become(argv, &theirs, to, 1, parent);
	close(theirs);
	read_words(ours, words, sizeof(words));
	close(ours);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	const char *at = strstr(words, BEFORE);
	if (!at)
		return chain_fail_text(err, CHAIN_E_CMD_QEMU_FAILED, program, "it does not say its version");
	at += sizeof(BEFORE) - 1;
	snprintf(out, MACHINE_VERSION_BYTES, "%.*s", (int)strcspn(at, "\r\n"), at);
	return CHAIN_OK;
}
