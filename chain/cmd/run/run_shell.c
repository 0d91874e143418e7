/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a person's terminal as that of a shell in the machine (docs/ROOTS.md): what is typed goes to its serial port,
 * which is shown as it is, from the moment at which the shell is started. */

#include "run.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { END_OF_TEXT = 4 /* Ctrl-D */, ESCAPE = 0x1d /* Ctrl-] */, AGAIN_MS = 300 };

/* The shell has just been started: nothing that was typed before is lost, it was not read. */
static void begin(struct run *run)
{
	struct termios raw;

	run->session.view.through = true;
	run_view_note(&run->session.view, CMD_DIM, "shell", "Ctrl-] ends the machine");
	run->shell_on = true;
	if (tcgetattr(STDIN_FILENO, &run->terminal) < 0)
		return;
	raw = run->terminal;
	cfmakeraw(&raw);
	run->terminal_kept = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

int run_shell_input(struct run *run)
{
	if (run->shell && !run->shell_on && !run->shell_over && run->session.judge.shell)
		begin(run);
	struct pollfd room = { .fd = run->qemu.console, .events = POLLOUT };
	/* Not read until the machine takes it: one that is stuck keeps neither signals nor the timeout out. */
	return run->shell_on && !run->shell_left && poll(&room, 1, 0) > 0 && (room.revents & POLLOUT) ? STDIN_FILENO :
													-1;
}

static void type(struct run *run, const char *bytes, ssize_t count)
{
	for (ssize_t done = 0, put; done < count && run->qemu.console >= 0; done += put) {
		put = send(run->qemu.console, bytes + done, (size_t)(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put <= 0)
			break; /* the machine is gone: its end is seen elsewhere */
	}
}

bool run_shell_take(struct run *run)
{
	char bytes[256];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (got <= 0) { /* an end that comes while a program changes how it is read can be lost: it is said again */
		run->shell_left = true;
		return true;
	}
	for (ssize_t i = 0; i < got; i++)
		if (bytes[i] == ESCAPE)
			return false;
	type(run, bytes, got);
	return true;
}

int run_shell_wait_ms(struct run *run, int wait_ms)
{
	static const char end = END_OF_TEXT;

	if (!run->shell_left)
		return wait_ms;
	if (run_clock_us() - run->shell_left_us >= AGAIN_MS * 1000) {
		run->shell_left_us = run_clock_us();
		type(run, &end, 1);
	}
	return wait_ms < 0 || wait_ms > AGAIN_MS ? AGAIN_MS : wait_ms;
}

void run_shell_end(struct run *run)
{
	if (run->terminal_kept)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &run->terminal);
	run->terminal_kept = run->shell_on = run->shell_left = false;
	run->shell_over = true;
}
