/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: hearing a machine: its records, its console, QEMU's monitor and QEMU's own words. */

#include "run.h"

#include "chain/json.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUIT_MS = 3000, LAST_LINE_US = 50000 }; /* so that the line that was waited for is shown whole */

/* --- the monitor --- */

static void on_monitor_line(struct run *run, const char *line, size_t count)
{
	json_t *doc;
	if (chain_json_any(line, count, CHAIN_JSON_DEPTH_MAX, "", &doc, NULL))
		return;
	const char *event = json_string_value(json_object_get(doc, "event")),
		   *id = json_string_value(json_object_get(doc, "id"));
	if (json_object_get(doc, "QMP"))
		qemu_tell(&run->qemu, "{\"execute\":\"qmp_capabilities\",\"id\":\"ready\"}\n");
	if (id && strcmp(id, "ready") == 0) { /* answered by its main loop: the machine is built, all files are open */
		run->ready = true;
		qemu_forget_files(&run->qemu);
	}
	if (event && strcmp(event, "SHUTDOWN") == 0) {
		const char *reason = json_string_value(json_object_get(json_object_get(doc, "data"), "reason"));
		run->shut_down = true;
		run->was_reset = reason && strcmp(reason, "guest-reset") == 0;
	}
	if (id && strcmp(id, "screen") == 0) {
		run->shot_done = true;
		run->shot_failed = json_object_get(doc, "error") != NULL;
	}
	json_decref(doc);
}

static void on_monitor(struct run *run, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			on_monitor_line(run, run->monitor, run->monitor_used);
			run->monitor_used = 0;
		} else if (run->monitor_used < sizeof(run->monitor)) {
			run->monitor[run->monitor_used++] = bytes[i];
		}
	}
}

static void on_errors(struct run *run, const char *bytes, size_t count)
{
	size_t room = sizeof(run->errors) - 1 - run->errors_used;
	if (count > room)
		count = room;
	memcpy(run->errors + run->errors_used, bytes, count);
	run->errors_used += count;
	run->errors[run->errors_used] = '\0';
}

/* --- following it --- */

enum stream { STREAM_RECORDS, STREAM_CONSOLE, STREAM_MONITOR, STREAM_ERRORS, STREAM_COUNT };

static void take(struct run *run, enum stream stream, const char *bytes, size_t count)
{
	switch (stream) {
	case STREAM_RECORDS:
		run_session_debug(&run->session, bytes, count);
		break;
	case STREAM_CONSOLE:
		run_session_console(&run->session, bytes, count);
		break;
	case STREAM_MONITOR:
		on_monitor(run, bytes, count);
		break;
	default:
		on_errors(run, bytes, count);
		break;
	}
}

/* Records first: a kernel's text must not be judged before the record that announces the kernel. Returns whether
 * anything came. */
static bool pump(struct run *run, int wait_ms)
{
	int *fds[STREAM_COUNT] = { &run->qemu.records, &run->qemu.console, &run->qemu.monitor, &run->qemu.errors };
	struct pollfd polls[STREAM_COUNT + 2];
	static char bytes[65536];
	bool came = false;
	for (int i = 0; i < STREAM_COUNT; i++)
		polls[i] = (struct pollfd){ .fd = *fds[i], .events = POLLIN };
	polls[STREAM_COUNT] = (struct pollfd){ .fd = run->session.signals, .events = POLLIN };
	polls[STREAM_COUNT + 1] = (struct pollfd){ .fd = run_shell_input(run), .events = POLLIN };
	if (poll(polls, STREAM_COUNT + 2, wait_ms) <= 0) {
		run_view_flush(&run->session.view);
		return false;
	}
	if (polls[STREAM_COUNT + 1].revents && !run_shell_take(run))
		run->session.signal = "Ctrl-]";
	for (int i = 0; i < STREAM_COUNT; i++) {
		if (*fds[i] < 0 || !(polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		ssize_t got = read(*fds[i], bytes, sizeof(bytes));
		if (got > 0) {
			take(run, (enum stream)i, bytes, (size_t)got);
			came = true;
		} else {
			close(*fds[i]);
			*fds[i] = -1;
		}
	}
	return came;
}

/* Without waiting for it: its status stays to be read by qemu_stop. */
static bool process_ended(const struct run *run)
{
	siginfo_t info = { 0 };
	return waitid(P_PID, (id_t)run->qemu.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == run->qemu.pid;
}

enum run_end run_follow(struct run *run)
{
	enum run_end end;
	for (;;) {
		pump(run, run_shell_wait_ms(run, run_session_wait_ms(&run->session)));
		if (run_session_interrupted(&run->session))
			return RUN_END_INTERRUPTED;
		if (process_ended(run)) {
			while (pump(run, 0)) /* what it said last */
				;
			run->ended = true;
			return RUN_END_MACHINE;
		}
		if (run->shut_down && run->screenshot)
			return RUN_END_MACHINE;
		if (run_session_stop(&run->session, &end))
			return end;
	}
}

/* Ready and wanted for a while longer; the console goes on. */
void run_hold(struct run *run)
{
	uint64_t start = run_clock_us(), hold_us = run->hold_us ? run->hold_us : LAST_LINE_US;
	while (!run->ended && !run->session.closed && run_clock_us() - start < hold_us) {
		uint64_t left_ms = (hold_us - (run_clock_us() - start)) / 1000 + 1;
		pump(run, left_ms < 100 ? (int)left_ms : 100);
		run->ended = process_ended(run);
		if (run_session_interrupted(&run->session))
			return;
	}
}

/* --- screenshot --- */

enum chain_status run_screenshot(struct run *run, struct chain_error *err)
{
	char command[256];
	size_t name = strlen(run->screenshot);
	bool ppm = name > 4 && strcmp(run->screenshot + name - 4, ".ppm") == 0;
	uint64_t start = run_clock_us();
	if (run->ended)
		return chain_fail_text(err, CHAIN_E_CMD_NO_SCREEN, run->screenshot,
				       "the machine left by its exit port");
	/* The descriptor is ours: QEMU opens it by our process's number. */
	snprintf(command, sizeof(command),
		 "{\"execute\":\"screendump\",\"id\":\"screen\",\"arguments\":{\"filename\":\"/proc/%ld/fd/%d\"%s}}\n",
		 (long)getpid(), run->shot_fd, ppm ? "" : ",\"format\":\"png\"");
	qemu_tell(&run->qemu, command);
	while (!run->shot_done && run_clock_us() - start < QUIT_MS * 1000 && run->qemu.monitor >= 0)
		pump(run, 100);
	if (!run->shot_done || run->shot_failed)
		return chain_fail_text(err, CHAIN_E_CMD_NO_SCREEN, run->screenshot, "QEMU gave no picture");
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", run->shot_fd);
	struct cmd_file file;
	enum chain_status status = cmd_file_load(path, 0, &file, err);
	if (status)
		return status;
	status = cmd_file_write(run->screenshot, file.bytes, file.bytes_count, err);
	cmd_file_free(&file);
	return status;
}
