/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/run_fanout.h"

#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "chain/json_quick.h"
#include "chain/json_write.h"
#include "fanout_failures.h"
#include "fanout_lines.h"
#include "fanout_queue.h"
#include "fanout_rows.h"
#include "stage/callee.h"
#include "stage/clock.h"
#include "stage/cpu.h"
#include "stage/devices.h"
#include "stage/malloc.h"
#include "stage/marker.h"
#include "stage/pages.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	RESERVE_BYTES = 512 * 1024,     /* windows leave as much */
	LEFT_BYTES = RESERVE_BYTES / 4, /* and results this, for the fan-out's own work, */
	HANDOFF_COPIES = 5,             /* besides room for the next steps' handoffs, in which their texts are */
	LARGE_LEAVES = 8,               /* times its own text a result leaves to smaller ones */
	VALUE_BYTES = 256,
	VALUE_GROWTH = VALUE_BYTES / 3, /* of one value, at most; of a text's byte: a list of empty objects */
	PLENTY_BYTES = 16 * 1024 * 1024,
	POOL_BYTES = 64 * 1024,
	SMALL_BYTES = 1024, /* a result that is looked at where its kernel ran: a pool holds some of them */
};

struct fanout_run {
	const struct chain_step *step;
	struct fanout_queue queue;
	struct fanout_lines lines;
	struct fanout_rows rows;
	struct fanout_failures failures;
	json_t *results;              /* by index */
	struct stage_marker *markers; /* owned: by index, where the step expects a text of each */
	uint32_t ok, failed;
	struct stage_assigned *devices; /* of the kernels that have any */
	void *reserve;                  /* while windows are made */
	uint64_t kept;                  /* bytes of the texts that results were read from */
	uint64_t unchecked;             /* bytes that values may take before it is looked how many are left */
};

static bool take(void *ctx, char *texts, struct stage_call_task *out)
{
	struct fanout_run *f = ctx;
	if (!fanout_queue_take(&f->queue, texts, out))
		return false;
	out->devices = stage_assigned_of(f->devices, out->index);
	return true;
}

static bool on_prepare(void *ctx)
{
	struct fanout_run *f = ctx;
	free(f->reserve); /* all windows are made */
	f->reserve = NULL;
	return fanout_queue_prepare(&f->queue);
}

static uint32_t ready(void *ctx)
{
	return fanout_queue_ready(&((const struct fanout_run *)ctx)->queue);
}

static bool is_over(void *ctx)
{
	return fanout_queue_is_over(&((const struct fanout_run *)ctx)->queue);
}

/* Where the first failure ends the step, all but what is good for sure. */
static bool is_decisive(void *ctx, const struct stage_call_result *got)
{
	const struct chain_step *step = ((const struct fanout_run *)ctx)->step;
	bool good = got->outcome == STAGE_CALL_EXITED && !got->exit && !got->mailbox_claimed &&
		    step->expect != CHAIN_EXPECT_CONSOLE && step->expect != CHAIN_EXPECT_RESULT;
	return step->fanout.stop && !good;
}

static void on_text(void *ctx, uint32_t index, const char *bytes, uint64_t count)
{
	struct fanout_run *f = ctx;
	if (f->markers)
		stage_marker_look(&f->markers[index], f->step->expect_console, bytes, count);
	if (!f->step->fanout.mute)
		fanout_lines_write(&f->lines, index, bytes, count);
}

static void on_progress(void *ctx, uint32_t running)
{
	const struct fanout_run *f = ctx;
	uint32_t ended = f->ok + f->failed + running, count = (uint32_t)f->queue.set.count;
	stage_record_members(CHAIN_TEXT("event", "progress"), CHAIN_TEXT("step", f->step->name),
			     CHAIN_INT("running", (json_int_t)running),
			     CHAIN_INT("queued", (json_int_t)(ended < count ? count - ended : 0)),
			     CHAIN_INT("ok", (json_int_t)f->ok), CHAIN_INT("failed", (json_int_t)f->failed),
			     CHAIN_INT("total", (json_int_t)count));
}

static bool is_free(uint64_t bytes)
{
	uint64_t phys = stage_pages_alloc(bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	stage_pages_free(phys, bytes);
	return phys;
}

/* Whether there is memory enough for a result and for what comes behind it. Where there is plenty that is not looked
 * for each time. */
static bool has_room(struct fanout_run *f, const char *text, uint64_t bytes)
{
	uint64_t needed = LEFT_BYTES + HANDOFF_COPIES * f->kept + (LARGE_LEAVES + 2) * bytes + VALUE_BYTES;
	if (bytes * VALUE_GROWTH >= f->unchecked)
		f->unchecked = is_free(needed + PLENTY_BYTES) ? PLENTY_BYTES : 0;
	if (f->unchecked) {
		f->unchecked -= bytes * VALUE_GROWTH;
		return true;
	}
	for (uint64_t i = 0; i < bytes; i++)
		needed += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{' ? VALUE_BYTES : 0;
	return is_free(needed);
}

/* --- results --- */

static void *take_for_json(size_t bytes)
{
	struct stage_pool *pool = stage_cpu()->pool;
	return pool ? stage_pool_take(pool, bytes) : chain_json_memory_take(bytes);
}

static struct stage_pool *make_pool(void *ctx)
{
	struct fanout_run *f = ctx;
	if (f->markers || !is_free(LEFT_BYTES + HANDOFF_COPIES * f->kept + LARGE_LEAVES * POOL_BYTES + PLENTY_BYTES))
		return NULL;
	f->unchecked = 0; /* there is less left now */
	return stage_pool_make(POOL_BYTES);
}

static void *make_value(void *ctx, const struct stage_call_result *got, const char *mailbox, struct stage_pool *pool)
{
	const struct chain_step *step = ((const struct fanout_run *)ctx)->step;
	bool ended = got->outcome == STAGE_CALL_DONE || got->outcome == STAGE_CALL_EXITED;
	if (!ended || got->exit || got->mailbox_bytes > SMALL_BYTES)
		return NULL;
	stage_cpu()->pool = pool;
	json_t *value = chain_json_quick(mailbox, got->mailbox_bytes, CHAIN_RESULT_DEPTH_MAX);
	if (value && step->expect == CHAIN_EXPECT_RESULT && !chain_result_contains(value, step->expect_result)) {
		json_decref(value);
		value = NULL;
	}
	stage_cpu()->pool = NULL;
	return value;
}

/* What the boot processor has to look at itself. */
static void judge(struct fanout_run *f, const struct stage_fanout_turn *turn, struct stage_verdict *out)
{
	const struct stage_call_result *got = &turn->result;
	struct stage_call_result changed;
	bool lost = got->mailbox && !has_room(f, got->mailbox, got->mailbox_bytes);
	if (lost || f->markers) {
		changed = *got;
		changed.mailbox = lost ? NULL : got->mailbox;
		changed.mailbox_lost = lost || got->mailbox_lost;
		changed.marker_seen = f->markers && f->markers[turn->index].seen;
		got = &changed;
	}
	stage_judge(f->step, got, out);
	if (f->markers)
		f->markers[turn->index] = (struct stage_marker){ 0 }; /* of another turn */
}

/* Whatever went wrong in it, it is its own failure. */
static void on_done(void *ctx, const struct stage_fanout_turn *turn)
{
	struct fanout_run *f = ctx;
	const struct stage_call_result *got = &turn->result;
	struct stage_verdict verdict;
	if (turn->value)
		stage_verdict_good(&verdict, turn->value);
	else
		judge(f, turn, &verdict);
	fanout_rows_add(&f->rows, turn, &verdict);
	fanout_lines_end(&f->lines, turn->index);
	if (fanout_queue_end(&f->queue, turn->index, verdict.good)) {
		f->ok += verdict.good;
		f->failed += !verdict.good;
		f->kept += verdict.result ? got->mailbox_claimed : 0;
		if (verdict.result)
			(void)json_array_set(f->results, turn->index,
					     verdict.result); /* takes no memory: there is a null in its place */
		if (!verdict.good)
			fanout_failures_add(&f->failures, turn->index, f->queue.attempts[turn->index], &verdict, got);
	}
	stage_verdict_free(&verdict);
}

/* --- the whole --- */

static enum chain_status prepare(struct fanout_run *f, const struct stage_run *run,
				 const struct chain_prepared *prepared, struct chain_error *err)
{
	enum chain_status status = fanout_queue_make(&f->queue, f->step, &run->image, prepared, err);
	size_t count = f->queue.set.count;
	f->lines.kernels = count;
	if (!status)
		status = fanout_rows_make(&f->rows, count, f->step->name, err);
	if (!status)
		status = fanout_failures_make(&f->failures, count, f->step->name, err);
	if (status)
		return status;
	f->results = json_array();
	bool ok = f->results;
	for (size_t i = 0; ok && i < count; i++)
		ok = !json_array_append_new(f->results, json_null());
	if (f->step->expect_console && !(f->markers = calloc(count, sizeof(*f->markers))))
		return chain_fail_no_memory(err, f->step->name, count * sizeof(*f->markers));
	f->reserve = malloc(RESERVE_BYTES);
	if (ok && f->reserve)
		return stage_devices_give(f->step, run->net, run->block, &f->devices, err);
	return ok ? chain_fail_no_memory(err, f->step->name, RESERVE_BYTES) : chain_json_no_memory(err, f->step->name);
}

static void release(struct fanout_run *f)
{
	free(f->reserve);
	free(f->markers);
	fanout_lines_free(&f->lines);
	fanout_rows_free(&f->rows);
	fanout_failures_free(&f->failures);
	json_decref(f->results);
	stage_assigned_free(f->devices);
	fanout_queue_free(&f->queue);
}

/* The entry of `results`: new, or null. */
static json_t *entry_json(struct fanout_run *f, bool good)
{
	const size_t count = f->queue.set.count, required = chain_fanout_required(&f->step->fanout, count);
	char reason[96];
	snprintf(reason, sizeof(reason), "%" PRIu32 " of %zu kernels ended well; %zu are required", f->ok, count,
		 required);
	json_t *entry = chain_json_object(
		CHAIN_TEXT("status", good ? "ok" : "failed"), CHAIN_INT("exit", (json_int_t)(good ? 0 : -1)),
		CHAIN_INT("count", (json_int_t)count), CHAIN_INT("ok", (json_int_t)f->ok),
		CHAIN_INT("failed", (json_int_t)f->failed),
		CHAIN_INT("not_run", (json_int_t)(count - f->ok - f->failed)),
		CHAIN_INT("retried", (json_int_t)f->queue.retried), CHAIN_BORROW("result", f->results),
		CHAIN_STEAL("failures", fanout_failures_json(&f->failures)));
	if (good || !entry || !json_object_set_new(entry, "reason", json_string(reason)))
		return entry;
	json_decref(entry);
	return NULL;
}

static void say(const struct fanout_run *f, const json_t *entry, uint64_t us)
{
	const size_t count = f->queue.set.count;
	stage_say("result",
		  "%s  %s: %" PRIu32 " of %zu ok, %" PRIu32 " failed, %zu not run, %" PRIu32 " retried; %" PRIu64
		  " kernels a second",
		  f->step->name, json_string_value(json_object_get(entry, "status")), f->ok, count, f->failed,
		  count - f->ok - f->failed, f->queue.retried,
		  us ? (uint64_t)(f->ok + f->failed + f->queue.retried) * 1000000 / us : 0);
	fanout_failures_say(json_object_get(entry, "failures"));
	if (f->rows.lost)
		stage_say("memory", "out of memory to note when %zu turns ran", f->rows.lost);
}

/* What the kernels left is in the handoff only. */
static void record(const struct fanout_run *f, const json_t *entry, const struct stage_fanout_machine *machine,
		   uint64_t begun_us, uint64_t us)
{
	json_t *about = chain_json_object(CHAIN_INT("processors", (json_int_t)machine->processors),
					  CHAIN_INT("processors_failed", (json_int_t)machine->processors_failed),
					  CHAIN_INT("workers", (json_int_t)machine->workers),
					  CHAIN_INT("cpus", (json_int_t)f->step->fanout.cpus),
					  CHAIN_INT("window_bytes", (json_int_t)machine->window_bytes),
					  CHAIN_INT("private_bytes", (json_int_t)machine->private_bytes),
					  CHAIN_INT("turns_lost", (json_int_t)f->rows.lost),
					  CHAIN_STEAL("windows", fanout_rows_windows(&f->rows)));
	json_t *event = chain_json_object(CHAIN_TEXT("event", "result"), CHAIN_TEXT("step", f->step->name),
					  CHAIN_STEAL("machine", about), CHAIN_INT("begun_us", (json_int_t)begun_us),
					  CHAIN_INT("ended_us", (json_int_t)(begun_us + us)));
	if (event && json_object_update(event, (json_t *)(uintptr_t)entry)) {
		json_decref(event);
		event = NULL;
	}
	json_object_del(event, "result");
	stage_record_event(event);
}

static enum chain_status conclude(struct fanout_run *f, struct stage_run *run,
				  const struct stage_fanout_machine *machine, uint64_t begun_us, bool *good,
				  struct chain_error *err)
{
	uint64_t us = stage_clock_us() - begun_us;
	*good = f->ok >= chain_fanout_required(&f->step->fanout, f->queue.set.count);
	enum chain_status status = run->few_records ? CHAIN_OK : fanout_rows_record(&f->rows, f->step->name, err);
	if (status)
		return status;
	json_t *entry = entry_json(f, *good);
	if (!entry || json_object_set_new(run->results, f->step->name, entry))
		return chain_json_no_memory(err, f->step->name);
	say(f, entry, us);
	record(f, entry, machine, begun_us, us);
	return fanout_failures_add_inputs(&f->failures, &f->queue.set) ? CHAIN_OK :
									 chain_json_no_memory(err, f->step->name);
}

static enum chain_status carry_out(struct fanout_run *f, const struct stage_run *run,
				   const struct chain_prepared *prepared, struct stage_fanout_machine *machine,
				   struct chain_error *err)
{
	const struct chain_step *step = f->step;
	const struct stage_fanout_client client = {
		.take = take,
		.prepare = on_prepare,
		.ready = ready,
		.is_over = is_over,
		.is_decisive = is_decisive,
		.value = make_value,
		.pool = make_pool,
		.done = on_done,
		.text = on_text,
		.progress = on_progress,
		.ctx = f,
	};
	chain_json_memory_from(take_for_json);
	const struct stage_callee callee =
		stage_callee_of(run, step, prepared, chain_fanout_text_bytes(&f->queue.texts));
	const struct stage_fanout fanout = {
		.callee = &callee,
		.timeout_us = step->timeout_us,
		.config = &step->fanout,
		.kernels = f->queue.set.count,
	};
	enum chain_status status = stage_fanout_run(&fanout, &client, machine, err);
	if (!status && f->queue.err.status) { /* told once all that ran have ended */
		*err = f->queue.err;
		status = err->status;
	}
	return status;
}

enum chain_status stage_run_fanout(struct stage_run *run, const struct chain_step *step,
				   const struct chain_prepared *prepared, bool *good, struct chain_error *err)
{
	struct fanout_run f = { .step = step };
	struct stage_fanout_machine machine = { 0 };
	enum chain_status status = prepare(&f, run, prepared, err);
	uint64_t begun = status ? 0 : stage_clock_us();
	if (!status)
		status = carry_out(&f, run, prepared, &machine, err);
	if (!status)
		status = conclude(&f, run, &machine, begun, good, err);
	release(&f);
	return status;
}
