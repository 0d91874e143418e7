/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/call.h"

#include "call_isolated.h"
#include "stage/assigned.h"
#include "stage/call_run.h"
#include "stage/console.h"
#include "stage/marker.h"
#include "stage/pages.h"
#include "stage/ticker.h"

#include <stdlib.h>
#include <string.h>

/* The last native kernel's window; no bytes: there is none, or it is in use. */
static struct {
	struct stage_callee_native kernel;
	struct stage_call_window window;
} kept;

void stage_call_forget(void)
{
	if (kept.window.bytes)
		stage_call_window_free(&kept.window);
	kept.window.bytes = 0;
}

static bool is_kept(const struct stage_callee *callee)
{
	const struct stage_callee_native *a = &kept.kernel, *b = &callee->native;
	return kept.window.bytes && a->bytes == b->bytes && a->bytes_count == b->bytes_count &&
	       a->window_bytes == b->window_bytes && a->cpus == b->cpus && kept.window.text_room >= callee->text_bytes;
}

static enum chain_status take_window(const struct stage_callee *callee, struct stage_call_window *out,
				     struct chain_error *err)
{
	const struct stage_call_window_request request = { .callee = callee };
	if (!is_kept(callee)) {
		stage_call_forget();
		return stage_call_window_make(&request, out, err);
	}
	*out = kept.window;
	kept.window.bytes = 0;
	stage_call_window_renew(out);
	return CHAIN_OK;
}

static void keep_window(const struct stage_callee *callee, const struct stage_call_window *window)
{
	kept.kernel = callee->native;
	kept.window = *window;
	stage_pages_on_shortage(stage_call_forget);
}

/* A native kernel on this processor. */
struct native {
	struct stage_call_run run; /* first: what a trap knows is its address */
	const char *wanted;
	struct stage_marker marker;
};

static void write_console(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	struct native *native = (struct native *)run;
	stage_console_write(bytes, count);
	if (native->wanted)
		stage_marker_look(&native->marker, native->wanted, bytes, count);
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

static enum chain_status call_native(const struct stage_call *call, struct stage_call_result *out,
				     struct chain_error *err)
{
	struct native *native = calloc(1, sizeof(*native));
	if (!native)
		return chain_fail_no_memory(err, call->callee->subject, sizeof(*native));
	struct stage_call_run *run = &native->run;
	run->write = write_console;
	native->wanted = call->marker;
	enum chain_status status = stage_call_run_init(err);
	if (!status)
		status = stage_ticker_open(err);
	if (!status)
		status = take_window(call->callee, &run->window, err);
	if (!status) {
		stage_call_window_fill(&run->window, &call->task);
		stage_assigned_begin(call->task.devices);
		stage_ticker_start();
		stage_call_time_begin(&run->time, call->timeout_us);
		stage_call_run(run);
		stage_ticker_stop();
		stage_assigned_end(call->task.devices);
		collect_mailbox(run);
		keep_window(call->callee, &run->window);
	}
	*out = run->result;
	out->marker_seen = native->marker.seen;
	free(native);
	return status;
}

enum chain_status stage_call(const struct stage_call *call, struct stage_call_result *out, struct chain_error *err)
{
	if (call->callee->way == CHAIN_CALL_NATIVE)
		return call_native(call, out, err);
	stage_call_forget();
	return stage_call_isolated(call, out, err);
}
