/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One kernel in memory and with a processor of its own: a fan-out of one. */

#include "call_isolated.h"

#include "stage/console.h"
#include "stage/fanout.h"
#include "stage/marker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct isolated {
	const struct stage_call *call;
	struct stage_call_result *out;
	atomic_bool ready;
	bool ended;
	bool midline;
	struct stage_marker marker;
};

static bool take(void *ctx, char *texts, struct stage_call_task *out)
{
	struct isolated *i = ctx;
	(void)texts; /* the call's own stay where they are */
	if (!atomic_exchange(&i->ready, false))
		return false;
	*out = i->call->task;
	return true;
}

static bool prepare(void *ctx)
{
	(void)ctx;
	return false;
}

static uint32_t ready(void *ctx)
{
	return atomic_load(&((struct isolated *)ctx)->ready);
}

static bool is_over(void *ctx)
{
	return ((const struct isolated *)ctx)->ended;
}

static bool is_decisive(void *ctx, const struct stage_call_result *result)
{
	(void)ctx;
	(void)result;
	return false;
}

static void done(void *ctx, const struct stage_fanout_turn *turn)
{
	struct isolated *i = ctx;
	*i->out = turn->result;
	i->ended = true;
	i->out->marker_seen = i->marker.seen;
	if (!turn->result.mailbox)
		return;
	i->out->mailbox = malloc(turn->result.mailbox_bytes + 1);
	i->out->mailbox_lost = !i->out->mailbox;
	if (i->out->mailbox_lost)
		return;
	memcpy(i->out->mailbox, turn->result.mailbox, turn->result.mailbox_bytes);
	i->out->mailbox[turn->result.mailbox_bytes] = '\0';
}

static void text(void *ctx, uint32_t index, const char *bytes, uint64_t count)
{
	struct isolated *i = ctx;
	(void)index;
	if (!i->midline && *bytes == '@')
		stage_console_write(
			" ",
			1); /* no record on the console (docs/RECORDS.md) comes from it; its text comes line by line */
	stage_console_write(bytes, count);
	i->midline = bytes[count - 1] != '\n';
	if (i->call->marker)
		stage_marker_look(&i->marker, i->call->marker, bytes, count);
}

static void progress(void *ctx, uint32_t running)
{
	(void)ctx;
	(void)running;
}

enum chain_status stage_call_isolated(const struct stage_call *call, struct stage_call_result *out,
				      struct chain_error *err)
{
	struct isolated i = { .call = call, .out = out, .ready = true };
	const struct chain_config_fanout alone = { .concurrency = 1 };
	const struct stage_fanout fanout = {
		.callee = call->callee, .timeout_us = call->timeout_us, .config = &alone, .kernels = 1
	};
	struct stage_fanout_machine machine;
	const struct stage_fanout_client client = {
		.take = take,
		.prepare = prepare,
		.ready = ready,
		.is_over = is_over,
		.is_decisive = is_decisive,
		.done = done,
		.text = text,
		.progress = progress,
		.ctx = &i,
	};
	enum chain_status status = stage_fanout_run(&fanout, &client, &machine, err);
	if (i.midline)
		stage_console_write("\n", 1);
	return status;
}
