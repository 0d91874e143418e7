/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain watch`: the display and the verdict of `run` for a machine that is somewhere else, at the other end of
 * a serial line or a pipe. */

#include "run_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct watch {
	uint64_t baud;
	struct run_session_options session_options;
	struct run_session session;
	struct cmd_list symbols;
	struct fault_places places;
	int fd;
	bool begun, records; /* heard something; it is a log of the records' own channel */
	bool terminal;
	struct termios before;
};

static const struct {
	uint64_t baud;
	speed_t speed;
} SPEEDS[] = {
	{ 9600, B9600 },     { 19200, B19200 },   { 38400, B38400 },   { 57600, B57600 },     { 115200, B115200 },
	{ 230400, B230400 }, { 460800, B460800 }, { 921600, B921600 }, { 1500000, B1500000 }, { 3000000, B3000000 },
};

static bool speed_find(uint64_t baud, speed_t *out)
{
	for (size_t i = 0; i < sizeof(SPEEDS) / sizeof(SPEEDS[0]); i++)
		if (SPEEDS[i].baud == baud) {
			*out = SPEEDS[i].speed;
			return true;
		}
	return false;
}

/* 8 data bits, no parity, one stop bit, no flow control, bytes as they come. */
static bool make_raw(struct watch *watch, speed_t speed)
{
	struct termios raw;
	if (tcgetattr(watch->fd, &watch->before) < 0)
		return false;
	raw = watch->before;
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL | CREAD;
	raw.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS);
	cfsetispeed(&raw, speed);
	cfsetospeed(&raw, speed);
	watch->terminal = tcsetattr(watch->fd, TCSANOW, &raw) == 0;
	return watch->terminal;
}

/* Whether it is a file, a log of what was: then only its records know the times. */
static void look_at(struct watch *watch)
{
	struct stat about;
	watch->session.options.recorded = fstat(watch->fd, &about) == 0 && S_ISREG(about.st_mode);
	watch->session.view.untimed = watch->session.options.recorded;
}

static enum chain_status open_line(struct watch *watch, const char *path, struct chain_error *err)
{
	speed_t speed = B115200;
	if (strcmp(path, "-") == 0) {
		watch->fd = STDIN_FILENO;
		look_at(watch);
		return CHAIN_OK;
	}
	/* Not blocking: opening a serial port may wait for a carrier that never comes. */
	watch->fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (watch->fd < 0)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	look_at(watch);
	if (isatty(watch->fd) && (!speed_find(watch->baud, &speed) || !make_raw(watch, speed)))
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	return CHAIN_OK;
}

/* A log that begins with a record itself is one of the channel that has nothing but records: QEMU's -debugcon file:LOG,
 * a second serial port. On a console they stand behind "@kchain ". */
static void hear(struct watch *watch, const char *bytes, size_t count)
{
	static const char first[] = "{\"event\":";
	if (!watch->begun)
		watch->records = watch->session.options.recorded && count >= sizeof(first) - 1 &&
				 memcmp(bytes, first, sizeof(first) - 1) == 0;
	watch->begun = true;
	if (watch->records)
		run_session_debug(&watch->session, bytes, count);
	else
		run_session_console(&watch->session, bytes, count);
}

static enum run_end follow(struct watch *watch)
{
	struct run_session *session = &watch->session;
	char bytes[65536];
	enum run_end end;
	for (;;) {
		struct pollfd polls[] = { { .fd = watch->fd, .events = POLLIN },
					  { .fd = session->signals, .events = POLLIN } };
		if (poll(polls, 2, run_session_wait_ms(session)) == 0)
			run_view_flush(&session->view);
		if (run_session_interrupted(session))
			return RUN_END_INTERRUPTED;
		if (polls[0].revents) {
			ssize_t got = read(watch->fd, bytes, sizeof(bytes));
			if (got > 0)
				hear(watch, bytes, (size_t)got);
			else if (got == 0 || (errno != EAGAIN && errno != EINTR))
				return RUN_END_MACHINE;
		}
		if (run_session_stop(session, &end))
			return end;
	}
}

static int watch_session(struct watch *watch, const char *path)
{
	struct chain_error err = { 0 };
	if (open_line(watch, path, &err))
		return cmd_refuse(&err, watch->session_options.json);
	enum run_end end = follow(watch);
	return run_session_finish(&watch->session, (struct run_ending){ .end = end, .port = -1 },
				  json_pack("{s:s}", "input", path));
}

static int watch_line(struct watch *watch, const char *path)
{
	speed_t speed;
	if (!speed_find(watch->baud, &speed))
		return cmd_usage("watch", "--baud: %llu is none of the usual rates (9600 to 3000000)",
				 (unsigned long long)watch->baud);
	watch->session_options.places = &watch->places;
	fault_places_init(&watch->places, &watch->symbols, NULL, NULL);
	int code = run_session_open(&watch->session, &watch->session_options, false);
	if (code < 0) {
		code = watch_session(watch, path);
		if (watch->terminal)
			tcsetattr(watch->fd, TCSANOW, &watch->before);
		if (watch->fd > STDIN_FILENO)
			close(watch->fd);
		run_session_close(&watch->session);
	}
	fault_places_free(&watch->places);
	return code;
}

int cmd_watch(int argc, char **argv)
{
	struct watch watch = { .baud = 115200,
			       .fd = -1,
			       .session_options = { .command = "watch", .otherwise = RUN_UNTIL_READY } };
	struct run_session_options *more = &watch.session_options;
	const struct cmd_opt options[] = {
		{ "baud", 'b', CMD_OPT_COUNT, "RATE", "speed of a serial port (default: 115200)", &watch.baud },
		{ "result", 'r', CMD_OPT_TEXT, "FILE", "write the final handoff as JSON", &more->result },
		{ "bootinfo", 0, CMD_OPT_TEXT, "FILE", "write what the machine told the first link, for `kchain plan`",
		  &more->bootinfo },
		{ "console", 0, CMD_OPT_TEXT, "FILE", "copy the console as it is", &more->console },
		{ "until", 'u', CMD_OPT_TEXT, "WHEN", "ready (default), ended, or an extended regular expression",
		  &more->until },
		{ "timeout", 't', CMD_OPT_TIME, "TIME", "give up after this long (default: never)", &more->timeout_us },
		{ "symbols", 0, CMD_OPT_LIST, "FOLDER",
		  "look there for the symbols of kernels that fault: by the digests of the kernels' files in it, then "
		  "by build-ids",
		  &watch.symbols },
		{ "verbose", 'v', CMD_OPT_FLAG, NULL, "show every record, and long lines whole", &more->verbose },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print what happened as one JSON document on stdout", &more->json },
	};
	const struct cmd_spec spec = {
		.command = "watch",
		.operands = "DEVICE|-",
		.opts = options,
		.opt_count = sizeof(options) / sizeof(options[0]),
		.least = 1,
		.most = 1,
		.about = "Follows a boot on a serial port, a pipe or, with -, standard input: the display, the files "
			 "and the\n"
			 "exit code of `kchain run` for a machine that is somewhere else.",
		.epilog = "example: kchain watch /dev/ttyUSB0 --until 'login:' --result handoff.json",
	};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);
	if (code >= 0)
		return code;
	code = watch_line(&watch, args.v[0]);
	cmd_args_free(&args);
	return code;
}
