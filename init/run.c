/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run.h"

#include "leases.h"
#include "processes.h"
#include "say.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STOP_WAIT_MS = 10000, LOOK_EVERY_MS = 2000, FULL_PERCENT = 95 };
/* A serial line of 115200 baud takes 11 KiB a second, and some programs are quicker: so much is written at once, then
 * so much a second. */
enum { OUTPUT_BURST_BYTES = 1 << 20, OUTPUT_RATE_BYTES = 8 << 10 };

struct stream {
	int fd; /* -1: it has ended */
	struct init_stream say;
	struct init_tail *tail;
};

struct run {
	const struct init_world *world;
	struct init_app app;
	struct init_outcome *out;
	struct stream streams[2];
	struct init_leases leases;
	int signals;
	uint64_t begun_ms, looked_ms;
	uint64_t kill_at_ms; /* UINT64_MAX: nobody asked the program to stop */
	bool killed;         /* it did not, and was killed */
	bool ended;
	uint64_t budget_bytes, budget_ms, left_out_bytes;
	bool flooding, forged, full;
};

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static sigset_t our_signals(void)
{
	static const int ours[] = { SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPWR, SIGWINCH };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&set, ours[i]);
	return set;
}

void init_run_prepare(void)
{
	sigset_t set = our_signals();
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* --- output --- */

/* How much of `count` bytes is written to the console. */
static size_t afford(struct run *run, size_t count, uint64_t now)
{
	run->budget_bytes += (now - run->budget_ms) * OUTPUT_RATE_BYTES / 1000;
	run->budget_ms = now;
	if (run->budget_bytes > OUTPUT_BURST_BYTES)
		run->budget_bytes = OUTPUT_BURST_BYTES;
	/* Not in crumbs: when it begins again there is room for a screen. */
	if (run->flooding && run->budget_bytes < OUTPUT_RATE_BYTES)
		return 0;
	return run->budget_bytes < count ? (size_t)run->budget_bytes : count;
}

static void end_flood(struct run *run)
{
	if (run->flooding)
		init_say("(%llu bytes of the program's output are left out)", (unsigned long long)run->left_out_bytes);
	run->flooding = false;
}

static void put_output(struct run *run, struct stream *stream, const char *bytes, size_t count)
{
	size_t shown = afford(run, count, now_ms());
	if (shown)
		end_flood(run);
	run->budget_bytes -= shown;
	if (init_say_bytes(&stream->say, bytes, shown, false) && !run->forged) {
		run->forged = true;
		init_say("the program wrote what looks like a record of the chain's; it stands behind \"> \"");
	}
	init_tail_add(stream->tail, bytes, count);
	if (shown == count)
		return;
	if (!run->flooding) {
		run->left_out_bytes = 0;
		init_say("the program writes faster than the console: more than %u KiB a second are left out",
			 OUTPUT_RATE_BYTES >> 10);
	}
	run->flooding = true;
	run->left_out_bytes += count - shown;
}

/* What there is to be read, up to a limit, so that nothing else starves. */
static void take_output(struct run *run, struct stream *stream)
{
	static char bytes[64 << 10];
	ssize_t count = read(stream->fd, bytes, sizeof(bytes));
	if (count > 0)
		put_output(run, stream, bytes, (size_t)count);
	if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	init_say_bytes(&stream->say, "", 0, true);
	close(stream->fd);
	stream->fd = -1;
}

/* The program has ended; what it wrote is in the pipes. Others may still write to them. */
static void drain(struct run *run)
{
	enum { LIMIT_BYTES = 1 << 20 };
	for (size_t i = 0; i < 2; i++) {
		struct stream *stream = &run->streams[i];
		size_t before = stream->tail->total;
		for (struct pollfd ready = { .fd = stream->fd, .events = POLLIN };
		     stream->fd >= 0 && stream->tail->total - before < LIMIT_BYTES && poll(&ready, 1, 0) > 0;)
			take_output(run, stream);
		if (stream->fd >= 0)
			init_say_bytes(&stream->say, "", 0, true);
	}
}

/* --- signals and ends --- */

static void ask_to_stop(struct run *run, uint64_t now)
{
	char name[16];
	if (run->kill_at_ms != UINT64_MAX)
		return;
	init_say("stopping the program by %s", init_signal_name(run->world->spec->stop_signal, name));
	run->kill_at_ms = now + STOP_WAIT_MS;
	kill(run->app.pid, (int)run->world->spec->stop_signal);
}

static void kill_it(struct run *run)
{
	char name[16];
	init_say("the program ignores %s: it is killed after %u s",
		 init_signal_name(run->world->spec->stop_signal, name), STOP_WAIT_MS / 1000);
	run->killed = true;
	kill(-run->app.pid, SIGKILL);
	kill(run->app.pid, SIGKILL);
}

static void say_reason(struct init_outcome *out, const char *text)
{
	size_t used = strlen(out->reason);
	snprintf(out->reason + used, sizeof(out->reason) - used, "%s%s", used ? "; " : "", text);
}

static void take_end(struct run *run, int status, uint64_t now)
{
	char name[16], text[96];
	run->ended = true;
	run->out->ran_ms = now - run->begun_ms;
	if (WIFEXITED(status)) {
		run->out->status = WEXITSTATUS(status);
		if (!run->out->status)
			return;
		snprintf(text, sizeof(text), "ended with status %d after %llu ms", run->out->status,
			 (unsigned long long)run->out->ran_ms);
		say_reason(run->out, text);
		if (init_out_of_memory())
			say_reason(run->out, "the machine ran out of memory");
		return;
	}
	run->out->status = 128 + WTERMSIG(status);
	snprintf(text, sizeof(text), "killed by %s after %llu ms", init_signal_name((unsigned)WTERMSIG(status), name),
		 (unsigned long long)run->out->ran_ms);
	say_reason(run->out, text);
	if (run->killed)
		say_reason(run->out, "it ignored its stop signal");
	else if (init_out_of_memory())
		say_reason(run->out, "the machine ran out of memory");
}

static void reap(struct run *run, uint64_t now)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (pid == run->app.pid && !run->ended)
			take_end(run, status, now);
}

static void take_signal(struct run *run, uint64_t now)
{
	struct signalfd_siginfo info;
	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(run, now);
	else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGPWR)
		ask_to_stop(run, now);
	else
		kill(run->app.pid, (int)info.ssi_signo);
}

/* --- what a program may do to its machine --- */

static void look(struct run *run, uint64_t now)
{
	unsigned percent;
	uint64_t bytes;
	run->looked_ms = now;
	if (run->full || !init_root_fill(&percent, &bytes) || percent < FULL_PERCENT)
		return;
	run->full = true;
	init_say("the memory for what is written to the root is nearly full: %u %% of %llu MiB", percent,
		 (unsigned long long)(bytes >> 20));
}

/* What it left running ends with it. */
static void end_others(struct run *run)
{
	char names[128];
	unsigned count = init_processes(names, sizeof(names));
	if (count) {
		init_say("the program has ended, and left %u process%s behind, which end with it: %s", count,
			 count == 1 ? "" : "es", names);
		say_reason(run->out, "it left processes behind: it should stay in the foreground");
	}
	init_processes_end();
}

/* --- the loop --- */

static int wait_ms(const struct run *run, uint64_t now)
{
	uint64_t next = run->looked_ms + LOOK_EVERY_MS, lease = init_leases_next_ms(&run->leases);
	if (run->kill_at_ms < next && !run->killed)
		next = run->kill_at_ms;
	if (lease < next)
		next = lease;
	return next > now ? (int)(next - now) : 0;
}

static void turn(struct run *run)
{
	struct pollfd fds[3 + INIT_INTERFACES_MAX] = { { .fd = run->signals, .events = POLLIN } };
	for (size_t i = 0; i < 2; i++)
		fds[1 + i] = (struct pollfd){ .fd = run->streams[i].fd, .events = POLLIN };
	for (size_t i = 0; i < INIT_INTERFACES_MAX; i++)
		fds[3 + i] = (struct pollfd){ .fd = run->leases.of[i].socket, .events = POLLIN };
	int ready = poll(fds, 3 + INIT_INTERFACES_MAX, wait_ms(run, now_ms()));
	uint64_t now = now_ms();
	for (size_t i = 0; i < 2 && ready > 0; i++)
		if (fds[1 + i].revents)
			take_output(run, &run->streams[i]);
	for (size_t i = 0; i < INIT_INTERFACES_MAX && ready > 0; i++)
		if (fds[3 + i].revents)
			init_leases_answer(&run->leases, i, now);
	if (ready > 0 && fds[0].revents)
		take_signal(run, now);
	init_leases_turn(&run->leases, now);
	if (now >= run->kill_at_ms && !run->killed && !run->ended)
		kill_it(run);
	if (now - run->looked_ms >= LOOK_EVERY_MS)
		look(run, now);
}

void init_run(const struct init_world *world, const struct init_app *app, struct init_outcome *out)
{
	static struct run run;
	sigset_t set = our_signals();
	uint64_t now = now_ms();
	*out = (struct init_outcome){ .status = 0 };
	run = (struct run){ .world = world, .app = *app, .out = out, .begun_ms = now, .looked_ms = now };
	run.kill_at_ms = UINT64_MAX;
	run.budget_bytes = OUTPUT_BURST_BYTES;
	run.budget_ms = now;
	run.streams[0] = (struct stream){ .fd = app->out, .tail = &out->out };
	run.streams[1] = (struct stream){ .fd = app->err, .tail = &out->err };
	for (size_t i = 0; i < 2; i++)
		if (run.streams[i].fd >= 0)
			fcntl(run.streams[i].fd, F_SETFL, O_NONBLOCK);
	run.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	init_leases_begin(&run.leases, world->interfaces, world->index, world->age_s, now);
	reap(&run, now); /* its signal may have come before there was anybody to take it */
	while (!run.ended)
		turn(&run);
	drain(&run);
	end_flood(&run);
	look(&run, now_ms());
	if (run.full) /* behind how it ended */
		say_reason(out, "it filled the memory for what is written to the root");
	end_others(&run);
}
