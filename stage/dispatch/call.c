/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/call.h"

#include "stage/call_run.h"
#include "stage/console.h"
#include "stage/assigned.h"
#include "stage/marker.h"
#include "stage/pages.h"
#include "stage/ticker.h"

#include <stdlib.h>
#include <string.h>

const char *stage_call_outcome_name(enum stage_call_outcome outcome)
{
	static const char *const names[] = { "exited", "fault", "timeout", "halted", "refused", "done" };
	return names[outcome];
}

struct call {
	struct stage_call_run run; /* first: what a trap knows is its address */
	const char *wanted;
	struct stage_marker marker;
};

static void write_console(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	struct call *call = (struct call *)run;
	stage_console_write(bytes, count);
	if (call->wanted)
		stage_marker_look(&call->marker, call->wanted, bytes, count);
}

static void collect_mailbox(struct stage_call_run *run)
{
	const char *mailbox = stage_call_mailbox(run);
	uint64_t used = run->result.mailbox_claimed;
	if (!mailbox)
		return;
	run->result.mailbox = malloc(used + 1);
	run->result.mailbox_lost = !run->result.mailbox;
	if (run->result.mailbox_lost)
		return;
	stage_copy(run->result.mailbox, mailbox, used);
	run->result.mailbox[used] = '\0';
	run->result.mailbox_bytes = used;
}

enum chain_status stage_call(const struct stage_call_request *request, struct stage_call_result *out,
			     struct chain_error *err)
{
	struct call *call = calloc(1, sizeof(*call));
	if (!call)
		return chain_fail_no_memory(err, request->subject, sizeof(*call));
	struct stage_call_run *run = &call->run;
	run->write = write_console;
	call->wanted = request->marker;
	enum chain_status status = stage_call_run_init(err);
	if (!status)
		status = stage_ticker_open(err);
	if (!status)
		status = stage_call_window_make(request, 0, &run->window, err);
	if (!status) {
		stage_assigned_begin(request->devices);
		stage_ticker_start();
		stage_call_time_begin(&run->time, request->timeout_us);
		stage_call_run(run);
		stage_ticker_stop();
		stage_assigned_end(request->devices);
		collect_mailbox(run);
		stage_call_window_free(&run->window);
	}
	*out = run->result;
	out->marker_seen = call->marker.seen;
	free(call);
	return status;
}
