/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_session.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
	IDLE_MS = 200,       /* after which an unfinished line is shown */
	OVER_US = 2000000,   /* a machine that says it is over gets this long to end by itself */
	UNSURE_US = 2000000, /* a kernel of unknown kind gets this long to say that it keeps records */
};

uint64_t run_clock_us(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
}

/* --- what the streams hold --- */

/* Whatever writes to the console where there is a debug port is a kernel: the stage's own records take the port. */
static bool is_misplaced(const struct run_stream *stream, enum record_event event)
{
	const struct records *port = &stream->session->streams[RECORDS_PORT].records;
	return stream->records.channel == RECORDS_CONSOLE && port->good && event != RECORD_ECHO;
}

/* A copy that says where a kernel faulted (new); null: the record as it is will do. */
static json_t *locate(struct run_session *session, enum record_event event, const json_t *doc)
{
	struct chain_error err = { 0 };
	char text[512];
	json_t *located = NULL;
	if (!session->options.places || !fault_places_record(session->options.places, event, doc, &located, &err) ||
	    session->symbols_lost)
		return located;
	session->symbols_lost = true;
	chain_error_format(&err, text, sizeof(text));
	run_view_note(&session->view, CMD_YELLOW, "warning", "%s", text);
	return NULL;
}

static void on_record(void *ctx, enum record_event event, const json_t *doc)
{
	struct run_stream *stream = ctx;
	struct run_session *session = stream->session;
	const json_t *us = json_object_get(doc, "us");
	if (is_misplaced(stream, event)) {
		session->judge.forged++;
		return;
	}
	if (session->options.recorded && json_is_integer(us)) {
		session->judge.now = session->view.now = (double)json_integer_value(us) / 1e6;
		session->view.untimed = false;
	}
	json_t *located = locate(session, event, doc);
	const json_t *record = located ? located : doc;
	bool taken = run_judge_record(&session->judge, event, record);
	if (taken)
		run_view_record(&session->view, event, record);
	json_decref(located);
	if (!taken)
		return;
	session->streams[RECORDS_PORT].records.foreign = run_judge_is_foreign(&session->judge);
	if (event == RECORD_BOOT)
		session->boot_us = run_clock_us();
}

static void on_text(void *ctx, const char *bytes, size_t count)
{
	struct run_stream *stream = ctx;
	run_judge_text(&stream->session->judge, stream->records.channel, bytes, count);
	run_view_text(&stream->session->view, stream->records.channel, bytes, count);
}

static uint64_t bad_count(const struct run_session *session)
{
	return session->streams[RECORDS_PORT].records.bad + session->streams[RECORDS_CONSOLE].records.bad;
}

static void on_bad(void *ctx, const char *why)
{
	struct run_stream *stream = ctx;
	if (bad_count(stream->session) == 1)
		snprintf(stream->session->bad, sizeof(stream->session->bad), "%s", why);
}

static void tick(struct run_session *session)
{
	session->broken = session->broken || cmd_pipe_is_broken(stdout) || cmd_pipe_is_broken(stderr);
	if (!session->options.recorded)
		session->judge.now = session->view.now = (double)(run_clock_us() - session->start_us) / 1e6;
}

void run_session_console(struct run_session *session, const char *bytes, size_t count)
{
	if (!session->heard && !session->options.local)
		session->start_us = run_clock_us(); /* nobody knows when a machine that is elsewhere was started */
	session->heard = true;
	tick(session);
	for (size_t line; count && !session->closed; bytes += line, count -= line) {
		const char *newline = memchr(bytes, '\n', count);
		line = newline ? (size_t)(newline - bytes) + 1 : count;
		if (session->copy)
			fwrite(bytes, 1, line, session->copy);
		records_feed(&session->streams[RECORDS_CONSOLE].records, bytes, line);
		/* What comes behind the line that was waited for is not shown. */
		session->closed = newline && session->options.cut && run_judge_done(&session->judge);
	}
}

void run_session_debug(struct run_session *session, const char *bytes, size_t count)
{
	tick(session);
	records_feed(&session->streams[RECORDS_PORT].records, bytes, count);
}

/* --- begin --- */

static int choose_until(struct run_session *session, enum run_until *out)
{
	const char *until = session->options.until;
	*out = session->options.otherwise;
	if (!until)
		return -1;
	if (strcmp(until, "ended") == 0 || strcmp(until, "ready") == 0) {
		*out = until[0] == 'e' ? RUN_UNTIL_ENDED : RUN_UNTIL_READY;
		return -1;
	}
	char why[128];
	int bad = regcomp(&session->regex, until, REG_EXTENDED);
	if (bad || !*until) {
		regerror(bad, &session->regex, why, sizeof(why));
		return cmd_usage(session->options.command,
				 "--until: '%s' is neither ended nor ready nor an expression: %s", until,
				 bad ? why : "it is empty");
	}
	session->has_regex = true;
	*out = RUN_UNTIL_MATCH;
	return -1;
}

static int catch_signals(struct run_session *session)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, &session->before);
	session->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	return session->signals;
}

/* What can't be written is reported before a machine is started for it. */
static int open_outputs(struct run_session *session)
{
	const struct run_session_options *options = &session->options;
	const char *const paths[] = { options->result, options->bootinfo, options->screenshot, options->console };
	struct chain_error err = { 0 };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] && cmd_file_check_writable(paths[i], &err))
			return cmd_refuse(&err, options->json);
	if (!options->console)
		return -1;
	session->copy = fopen(options->console, "we");
	if (session->copy)
		return -1;
	chain_fail_text(&err, CHAIN_E_IO, options->console, strerror(errno));
	return cmd_refuse(&err, options->json);
}

int run_session_open(struct run_session *session, const struct run_session_options *options, bool foreign)
{
	*session = (struct run_session){ .options = *options, .signals = -1, .start_us = run_clock_us() };
	enum run_until until;
	int code = choose_until(session, &until);
	if (code >= 0)
		return code;
	/* Of a kernel that keeps no records nothing can be ready: its end is all there is. */
	if (foreign && until == RUN_UNTIL_READY)
		until = RUN_UNTIL_ENDED;
	bool raw = !options->json && !isatty(STDOUT_FILENO) && !run_view_together(stdout, stderr);
	run_judge_init(&session->judge, until, session->has_regex ? &session->regex : NULL, foreign);
	session->judge.expression = options->until;
	run_view_init(&session->view, stderr, raw, options->verbose);
	for (int i = 0; i < RECORDS_CHANNEL_COUNT; i++) {
		struct run_stream *stream = &session->streams[i];
		stream->session = session;
		records_init(
			&stream->records, (enum records_channel)i,
			(struct records_sink){ .ctx = stream, .record = on_record, .text = on_text, .bad = on_bad });
	}
	session->streams[RECORDS_PORT].records.foreign = foreign;
	code = open_outputs(session);
	if (code < 0 && catch_signals(session) < 0) {
		cmd_warn("signals: %s", strerror(errno));
		code = CMD_STAGE_FAILED;
	}
	if (code >= 0)
		run_session_close(session);
	return code;
}

void run_session_close(struct run_session *session)
{
	if (session->signals >= 0) {
		close(session->signals);
		sigprocmask(SIG_SETMASK, &session->before, NULL);
	}
	if (session->copy)
		fclose(session->copy);
	if (session->has_regex)
		regfree(&session->regex);
	run_judge_free(&session->judge);
	for (int i = 0; i < RECORDS_CHANNEL_COUNT; i++)
		records_free(&session->streams[i].records);
	*session = (struct run_session){ .signals = -1 };
}

/* --- go on or stop --- */

bool run_session_interrupted(struct run_session *session)
{
	static const struct {
		uint32_t number;
		const char *name;
	} SIGNALS[] = { { SIGINT, "SIGINT" }, { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" } };
	struct signalfd_siginfo got;
	while (read(session->signals, &got, sizeof(got)) == (ssize_t)sizeof(got))
		for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++)
			if (SIGNALS[i].number == got.ssi_signo)
				session->signal = SIGNALS[i].name;
	if (session->broken)
		session->signal = "SIGPIPE";
	return session->signal != NULL;
}

bool run_session_stop(struct run_session *session, enum run_end *out_end)
{
	uint64_t now = run_clock_us(), limit = session->options.timeout_us;
	tick(session);
	*out_end = RUN_END_STOPPED;
	if (run_judge_done(&session->judge))
		return true;
	if (run_judge_unsure(&session->judge) && now - session->boot_us > UNSURE_US)
		return true;
	if (!run_judge_over(&session->judge))
		session->over_us = 0;
	else if (!session->over_us)
		session->over_us = now;
	if (session->over_us && now - session->over_us > OVER_US) {
		*out_end = RUN_END_MACHINE;
		return true;
	}
	*out_end = RUN_END_TIMEOUT;
	return limit && now - session->start_us >= limit;
}

int run_session_wait_ms(const struct run_session *session)
{
	uint64_t spent = run_clock_us() - session->start_us, limit = session->options.timeout_us;
	if (limit && spent >= limit)
		return 0;
	if (limit && limit - spent < IDLE_MS * 1000)
		return (int)((limit - spent) / 1000) + 1;
	return IDLE_MS;
}

/* --- end --- */

static void count_text(char *out, size_t size, unsigned count, const char *what)
{
	size_t used = strlen(out);
	if (count)
		snprintf(out + used, size - used, "%s%u %s%s", used ? ", " : "", count, what, count == 1 ? "" : "s");
}

static const char *word_for(int code)
{
	switch (code) {
	case CMD_OK:
		return "ok";
	case CMD_TIMEOUT:
		return "timeout";
	case CMD_INTERRUPTED:
		return "interrupted";
	case CMD_UNMET:
		return "unmet";
	default:
		return "failed";
	}
}

static void summary_print(struct run_session *session, int code)
{
	const struct run_judge *judge = &session->judge;
	char counts[128] = "";
	count_text(counts, sizeof(counts), judge->link_count, "link");
	count_text(counts, sizeof(counts), judge->call_count, "call");
	count_text(counts, sizeof(counts), judge->boot_count, "boot");
	count_text(counts, sizeof(counts), judge->failed_count, "failed call");
	run_view_note(&session->view, code == CMD_OK ? CMD_GREEN : CMD_RED, word_for(code), "%s%s%s", judge->reason,
		      counts[0] ? "; " : "", counts);
}

static enum chain_status write_doc(const char *path, const json_t *doc, const char *what, struct chain_error *err)
{
	if (!path)
		return CHAIN_OK;
	if (!doc)
		return chain_fail_text(err, CHAIN_E_CMD_NO_HANDOFF, path, what);
	return cmd_file_write_json(path, doc, err);
}

/* A run that went well but whose files are not where they were asked for has not gone well; nor has it failed. */
static int write_files(struct run_session *session, int code)
{
	struct chain_error err = { 0 };
	struct run_judge *judge = &session->judge;
	if (session->copy) {
		int bad = fclose(session->copy);
		session->copy = NULL;
		if (bad)
			chain_fail_text(&err, CHAIN_E_IO, session->options.console, strerror(errno));
	}
	enum chain_status status = err.status;
	if (!status && judge->lacking)
		status = chain_fail_no_memory(&err, "records", judge->lacking);
	if (!status)
		status = write_doc(session->options.result, judge->handoff, "no handoff was recorded", &err);
	if (!status)
		status =
			write_doc(session->options.bootinfo, judge->bootinfo, "no boot information was recorded", &err);
	if (!status)
		return code;
	cmd_error_print(&err, false, code);
	if (code != CMD_OK)
		return code;
	chain_error_format(&err, judge->reason, sizeof(judge->reason));
	return CMD_REFUSED;
}

static json_t *summary_json(const struct run_session *session, int code, json_t *about)
{
	const struct run_judge *judge = &session->judge;
	const struct records *port = &session->streams[RECORDS_PORT].records,
			     *console = &session->streams[RECORDS_CONSOLE].records;
	json_t *doc = json_pack("{s:s, s:i, s:s, s:f, s:O, s:O, s:O?, s:O?, s:{s:I, s:I, s:I, s:I}}", "status",
				word_for(code), "exit", code, "reason", judge->reason, "seconds", session->view.now,
				"links", judge->links, "steps", judge->steps, "handoff", judge->handoff, "echo",
				judge->echo, "records", "good", (json_int_t)(port->good + console->good), "bad",
				(json_int_t)bad_count(session), "unknown",
				(json_int_t)(port->unknown + console->unknown), "ignored", (json_int_t)judge->forged);
	if (doc && about)
		json_object_update(doc, about);
	return doc;
}

static void warn(struct run_session *session)
{
	uint64_t bad = bad_count(session), forged = session->judge.forged;
	if (bad)
		run_view_note(&session->view, CMD_YELLOW, "warning", "%llu bad record%s left out; the first %s",
			      (unsigned long long)bad, bad == 1 ? "" : "s", session->bad);
	if (forged)
		run_view_note(&session->view, CMD_YELLOW, "warning", "%llu record%s left out that %s not the stage's",
			      (unsigned long long)forged, forged == 1 ? "" : "s", forged == 1 ? "was" : "were");
}

int run_session_finish(struct run_session *session, struct run_ending ending, json_t *about)
{
	ending.limit_us = session->options.timeout_us;
	ending.signal = session->signal;
	tick(session);
	for (int i = 0; i < RECORDS_CHANNEL_COUNT; i++)
		records_end(&session->streams[i].records);
	run_view_flush(&session->view);
	int code = run_judge_verdict(&session->judge, &ending);
	warn(session);
	summary_print(session, code);
	code = write_files(session, code);
	if (session->options.json)
		cmd_json_print(summary_json(session, code, about));
	json_decref(about);
	return code;
}
