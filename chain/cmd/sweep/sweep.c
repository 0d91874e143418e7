/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain sweep`: the order of things. */

#include "sweep.h"
#include "table.h"

#include "chain/cmd/run/run_session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* --- results --- */

static void on_done(void *ctx, const struct outcome *outcome)
{
	struct sweep *sweep = ctx;
	if (!sweep->failure.status && results_add(&sweep->results, outcome, &sweep->failure))
		return; /* which ends the sweep: see step */
}

/* --- signals --- */

static int catch_signals(struct sweep *sweep)
{
	sigset_t wanted;
	signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error like any other */
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	sweep->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	return sweep->signals;
}

static void look_for_signals(struct sweep *sweep)
{
	struct signalfd_siginfo got;
	while (read(sweep->signals, &got, sizeof(got)) == (ssize_t)sizeof(got))
		sweep->interrupted = true;
}

/* --- the loop --- */

/* Gives the engine as much as it takes. */
static enum chain_status deal(struct sweep *sweep, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	while (!status && !sweep->dealt_out && sweep->engine->room(sweep->running)) {
		struct job job = { 0 };
		bool more = false;
		status = sweep_next_job(sweep, &job, &more, err);
		if (!status && more)
			status = sweep->engine->submit(sweep->running, &job, err);
		if (!status && !more) {
			sweep->dealt_out = true;
			status = sweep->engine->flush(sweep->running, err);
		}
		job_free(&job);
	}
	return status;
}

static int wait_ms(const struct sweep *sweep)
{
	const int sync = results_wait_ms(&sweep->results, run_clock_us());
	return sync >= 0 && sync < SWEEP_VIEW_MS ? sync : SWEEP_VIEW_MS;
}

static enum chain_status step(struct sweep *sweep, struct chain_error *err)
{
	enum chain_status status = deal(sweep, err);
	if (!status && !(sweep->dealt_out && sweep->engine->idle(sweep->running)))
		status = sweep->engine->wait(sweep->running, wait_ms(sweep), err);
	if (sweep->failure.status)
		return chain_fail_again(err, &sweep->failure, NULL);
	if (!status)
		status = results_sync(&sweep->results, run_clock_us(), err);
	look_for_signals(sweep);
	return status;
}

static enum chain_status run_all(struct sweep *sweep, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	sweep_view_begin(&sweep->view, sweep);
	while (!status && !sweep->interrupted && !(sweep->dealt_out && sweep->engine->idle(sweep->running))) {
		status = step(sweep, err);
		if (!status)
			sweep_view_show(&sweep->view, sweep);
	}
	sweep_view_end(&sweep->view);
	sweep->engine->close(sweep->running, !status && !sweep->interrupted);
	sweep->running = NULL;
	/* What is over is kept, however the rest fared. */
	enum chain_status kept = results_sync(&sweep->results, UINT64_MAX, err);
	return status ? status : kept;
}

/* --- the end --- */

static enum chain_status summarize(struct sweep *sweep, struct chain_error *err)
{
	struct table *table = calloc(1, sizeof(*table));
	if (!table)
		return chain_fail_no_memory(err, "the summary", sizeof(*table));
	enum chain_status status = table_read(table, sweep->results.fd, sweep->options.output, NULL, NULL, err);
	if (!status && sweep->options.json)
		cmd_json_print(table_json(table));
	else if (!status)
		table_print(table, stdout);
	if (!status)
		table_free(table);
	free(table);
	return status;
}

static int exit_code(const struct sweep *sweep)
{
	if (sweep->interrupted)
		return CMD_INTERRUPTED;
	return sweep->results.counts[OUTCOME_OK] == sweep->results.done_count ? CMD_OK : CMD_CHILD_FAILED;
}

static int prepared(struct sweep *sweep)
{
	struct chain_error err = { 0 };
	if (run_all(sweep, &err) || summarize(sweep, &err))
		return cmd_refuse(&err, sweep->options.json);
	return exit_code(sweep);
}

int cmd_sweep(int argc, char **argv)
{
	struct chain_error err = { 0 };
	struct sweep *sweep = calloc(1, sizeof(*sweep));
	if (!sweep)
		return cmd_usage("sweep", "out of memory");
	sweep->input.fd = sweep->inputs.fd = sweep->signals = -1;
	int code = sweep_options_read(&sweep->options, argc, argv);
	if (code >= 0) {
		free(sweep);
		return code;
	}
	sweep->setting.done = on_done;
	sweep->setting.ctx = sweep;
	sweep->setting.wake_fd = catch_signals(sweep);
	if (sweep_prepare(sweep, argc, argv, &err))
		code = cmd_document_refuse(&sweep->input.document, &err, sweep->options.json);
	else
		code = prepared(sweep);
	sweep_release(sweep);
	free(sweep);
	return code;
}
