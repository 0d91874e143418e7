/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "sweep.h"

#include "chain/cmd/run/run_session.h"

#include <unistd.h>

enum { QUIET_US = 5000000 }; /* between two lines where there is no terminal */

void sweep_view_begin(struct sweep_view *view, const struct sweep *sweep)
{
	*view = (struct sweep_view){ .origin_us = run_clock_us(),
				     .before = sweep->results.done_count,
				     .terminal = *cmd_style(stderr, CMD_BOLD) ||
						 (isatty(STDERR_FILENO) && cmd_columns(stderr)) };
	view->shown_us = view->origin_us;
}

static void put_left(double seconds)
{
	if (seconds < 100)
		fprintf(stderr, ", %.0f s left", seconds);
	else if (seconds < 6000)
		fprintf(stderr, ", %.0f min left", seconds / 60);
	else
		fprintf(stderr, ", %.1f h left", seconds / 3600);
}

void sweep_view_show(struct sweep_view *view, const struct sweep *sweep)
{
	const uint64_t now = run_clock_us(), *counts = sweep->results.counts;
	const uint64_t total = sweep->results.total, done = sweep->results.done_count;
	struct engine_counts at;
	if (now - view->shown_us < (view->terminal ? SWEEP_VIEW_MS * 1000 : QUIET_US))
		return;
	view->shown_us = now;
	sweep->engine->count(sweep->running, &at);
	const double seconds = (double)(now - view->origin_us) / 1e6, rate = (double)(done - view->before) / seconds;
	const uint64_t ended =
		counts[OUTCOME_OK] + counts[OUTCOME_FAILED] + counts[OUTCOME_TIMEOUT] + counts[OUTCOME_LOST];
	const uint64_t waiting = total - ended - (at.running < total - ended ? at.running : total - ended);
	fprintf(stderr, "%s%llu of %llu done, %llu running, %llu queued, %llu failed, %.1f/s",
		view->terminal ? "\r\033[K" : "", (unsigned long long)done, (unsigned long long)total,
		(unsigned long long)at.running, (unsigned long long)waiting,
		(unsigned long long)(ended - counts[OUTCOME_OK]), rate);
	if (rate > 0)
		put_left((double)(total - done) / rate);
	fputs(view->terminal ? "" : "\n", stderr);
	fflush(stderr);
	view->live = view->terminal;
}

void sweep_view_end(struct sweep_view *view)
{
	if (view->live)
		fputs("\r\033[K", stderr);
	view->live = false;
}
