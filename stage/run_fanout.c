/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/run_fanout.h"

#include "chain/fanout.h"
#include "chain/handoff.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/fanout.h"
#include "stage/judge.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 240, ROWS_MAX = 500 };

/* A line that a kernel has begun. */
struct line {
	struct line *next;
	uint32_t index;
	size_t used;
	char bytes[LINE_BYTES];
};

struct fanout_run {
	const struct chain_step *step;
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	uint32_t fresh;              /* the next that has not been started */
	uint32_t *again, again_count; /* to be started once more, the last one first */
	uint8_t *attempts;           /* so far, by index */
	json_t *results, *failures;  /* by index; those that failed for good */
	json_t *rows;                /* of the next `kernels` record */
	uint32_t ok, failed, retried;
	bool stopped;
	struct line *lines;
	struct chain_error err;      /* why the queue stopped */
};

/* --- console: whole lines, each with its kernel's index --- */

static void print(const struct fanout_run *f, struct line *line, bool more)
{
	char text[LINE_BYTES + 32];
	int width = snprintf(NULL, 0, "%zu", f->set.count - 1);
	int used = snprintf(text, sizeof(text), "%*" PRIu32 "%s %.*s\n", width + 2, line->index, more ? "+" : "|", (int)line->used, line->bytes);
	stage_console_write(text, (uint64_t)used);
	line->used = 0;
}

static struct line *line_of(struct fanout_run *f, uint32_t index)
{
	struct line *line = f->lines, *unused = NULL;
	for (; line && (line->index != index || !line->used); line = line->next)
		if (!line->used)
			unused = line;
	if (!line)
		line = unused;
	if (!line && (line = calloc(1, sizeof(*line)))) {
		line->next = f->lines;
		f->lines = line;
	}
	if (line)
		line->index = index;
	return line;
}

static void on_text(void *ctx, uint32_t index, const char *bytes, uint64_t count)
{
	struct fanout_run *f = ctx;
	if (f->step->fanout.mute)
		return;
	struct line *line = line_of(f, index);
	for (uint64_t i = 0; line && i < count; i++) {
		if (bytes[i] == '\r')
			continue;
		if (bytes[i] != '\n')
			line->bytes[line->used++] = bytes[i];
		if (bytes[i] == '\n' || line->used == LINE_BYTES)
			print(f, line, bytes[i] != '\n'); /* "+": the line goes on */
	}
}

static void end_line(struct fanout_run *f, uint32_t index)
{
	for (struct line *line = f->lines; line; line = line->next)
		if (line->index == index && line->used)
			print(f, line, false);
}

/* --- records --- */

static void flush_rows(struct fanout_run *f)
{
	if (!json_array_size(f->rows))
		return;
	stage_record_event(json_pack("{s:s, s:s, s:O}", "event", "kernels", "step", f->step->name, "rows", f->rows));
	json_array_clear(f->rows);
}

/* docs/RECORDS.md: index, attempt, processor, window, start, end, status, exit. */
static void add_row(struct fanout_run *f, const struct stage_fanout_turn *turn, const json_t *entry)
{
	char window[24];
	snprintf(window, sizeof(window), "0x%" PRIx64, turn->window_phys);
	json_array_append_new(f->rows, json_pack("[I, I, I, s, I, I, O, O]", (json_int_t)turn->index, (json_int_t)turn->attempt,
						 (json_int_t)turn->processor, window,
						 (json_int_t)stage_clock_us_at(turn->start_ticks),
						 (json_int_t)stage_clock_us_at(turn->end_ticks), json_object_get(entry, "status"),
						 json_object_get(entry, "exit")));
	if (json_array_size(f->rows) >= ROWS_MAX)
		flush_rows(f);
}

static void on_progress(void *ctx, uint32_t running)
{
	const struct fanout_run *f = ctx;
	stage_record_event(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "event", "progress", "step", f->step->name, "running",
				     (json_int_t)running, "ok", (json_int_t)f->ok, "failed", (json_int_t)f->failed, "total",
				     (json_int_t)f->set.count));
}

/* --- the queue --- */

static bool next(void *ctx, struct stage_fanout_task *out)
{
	struct fanout_run *f = ctx;
	if (f->stopped || f->err.status || (!f->again_count && f->fresh == f->set.count))
		return false;
	uint32_t index = f->again_count ? f->again[--f->again_count] : f->fresh++;
	*out = (struct stage_fanout_task){ .index = index, .attempt = f->attempts[index] };
	size_t bytes;
	if (chain_fanout_text(&f->texts, index, out->attempt, &out->handoff, &bytes, &out->args, &f->err))
		return false; /* the first error ends the step once all that run have ended */
	out->handoff_bytes = bytes;
	return true;
}

static int keep(struct fanout_run *f, uint32_t index, json_t *entry, bool good)
{
	json_t *result = json_object_get(entry, "result");
	int bad = result ? json_array_set(f->results, index, result) : 0;
	if (good)
		return bad;
	bad |= json_object_set_new(entry, "index", json_integer(index));
	bad |= json_object_set_new(entry, "attempts", json_integer(f->attempts[index]));
	return bad | json_array_append(f->failures, entry);
}

static void on_done(void *ctx, const struct stage_fanout_turn *turn)
{
	struct fanout_run *f = ctx;
	bool good = false;
	json_t *entry = stage_judge(f->step, &turn->result, &good);
	end_line(f, turn->index);
	f->attempts[turn->index]++;
	if (entry)
		add_row(f, turn, entry);
	if (!good && turn->attempt < f->step->retries && !f->stopped) {
		f->again[f->again_count++] = turn->index;
		f->retried++;
	} else {
		f->ok += good;
		f->failed += !good;
		f->stopped = f->stopped || (!good && f->step->fanout.stop);
		if ((!entry || keep(f, turn->index, entry, good)) && !f->err.status)
			(void)chain_fail(&f->err, CHAIN_E_NO_MEMORY, f->step->name, NULL, 0, 0, 0, 0);
	}
	json_decref(entry);
}

/* --- the whole --- */

static enum chain_status prepare(struct fanout_run *f, const struct stage_run *run, const struct chain_prepared *prepared,
				 struct chain_error *err)
{
	enum chain_status status = chain_fanout_expand(f->step, &run->image, &f->set, err);
	if (!status)
		status = chain_fanout_texts_make(f->step, &f->set, prepared->handoff, prepared->args, &f->texts, err);
	if (status)
		return status;
	size_t count = f->set.count;
	f->again = calloc(count, sizeof(*f->again));
	f->attempts = calloc(count, 1);
	f->results = json_array();
	f->failures = json_array();
	f->rows = json_array();
	bool ok = f->again && f->attempts && f->results && f->failures && f->rows;
	for (size_t i = 0; ok && i < count; i++)
		ok = !json_array_append_new(f->results, json_null());
	return ok ? CHAIN_OK : chain_fail(err, CHAIN_E_NO_MEMORY, f->step->name, NULL, count, 0, 0, 0);
}

static void release(struct fanout_run *f)
{
	for (struct line *line = f->lines, *after; line; line = after) {
		after = line->next;
		free(line);
	}
	free(f->again);
	free(f->attempts);
	json_decref(f->results);
	json_decref(f->failures);
	json_decref(f->rows);
	chain_fanout_texts_free(&f->texts);
	chain_fanout_set_free(&f->set);
}

static enum chain_status conclude(struct fanout_run *f, struct stage_run *run, const struct stage_fanout_machine *machine,
				  uint64_t begun_us, bool *good, struct chain_error *err)
{
	size_t required = chain_fanout_required(&f->step->fanout, f->set.count), not_run = f->set.count - f->ok - f->failed;
	uint64_t us = stage_clock_us() - begun_us;
	*good = f->ok >= required;
	flush_rows(f);
	json_t *entry = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:O, s:O}", "status", *good ? "ok" : "failed", "exit", *good ? 0 : -1,
				  "count", (json_int_t)f->set.count, "ok", (json_int_t)f->ok, "failed", (json_int_t)f->failed,
				  "not_run", (json_int_t)not_run, "retried", (json_int_t)f->retried, "result", f->results, "failures",
				  f->failures);
	if (!entry || json_object_set_new(run->results, f->step->name, entry))
		return chain_fail(err, CHAIN_E_NO_MEMORY, f->step->name, NULL, 0, 0, 0, 0);
	if (!*good) {
		char reason[96];
		snprintf(reason, sizeof(reason), "%" PRIu32 " of %zu kernels ended well; %zu are required", f->ok, f->set.count, required);
		json_object_set_new(entry, "reason", json_string(reason));
	}
	stage_say("result", "%s  %s: %" PRIu32 " of %zu ok, %" PRIu32 " failed, %zu not run, %" PRIu32 " retried; %" PRIu64 " kernels a second",
		  f->step->name, *good ? "ok" : "failed", f->ok, f->set.count, f->failed, not_run, f->retried,
		  us ? (uint64_t)(f->ok + f->failed + f->retried) * 1000000 / us : 0);
	stage_record_event(json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:I}", "event", "result", "step",
				     f->step->name, "status", *good ? "ok" : "failed", "exit", *good ? 0 : -1, "count",
				     (json_int_t)f->set.count, "ok", (json_int_t)f->ok, "failed", (json_int_t)f->failed, "not_run",
				     (json_int_t)not_run, "retried", (json_int_t)f->retried, "machine", "processors",
				     (json_int_t)machine->processors, "processors_failed", (json_int_t)machine->processors_failed,
				     "workers", (json_int_t)machine->workers, "window_bytes", (json_int_t)machine->window_bytes,
				     "private_bytes", (json_int_t)machine->private_bytes, "begun_us", (json_int_t)begun_us, "ended_us",
				     (json_int_t)(begun_us + us)));
	return CHAIN_OK;
}

enum chain_status stage_run_fanout(struct stage_run *run, const struct chain_step *step, const struct chain_prepared *prepared,
				   bool *good, struct chain_error *err)
{
	struct fanout_run f = { .step = step };
	struct stage_fanout_machine machine = { 0 };
	const struct stage_fanout_client client = { next, on_done, on_text, on_progress, &f };
	enum chain_status status = prepare(&f, run, prepared, err);
	if (!status) {
		struct stage_fanout fanout = {
			.request = { .subject = step->source, .kernel = prepared->kernel.blob.bytes,
				     .kernel_bytes = prepared->kernel.blob.bytes_count, .args = "", .handoff = "",
				     .fs = { run->fs.base, run->fs.base + run->image.fs_bytes_count },
				     .window_bytes = step->memory_bytes, .timeout_us = step->timeout_us,
				     .text_bytes = chain_fanout_text_bytes(&f.texts), .recycled = true },
			.concurrency = (uint32_t)step->fanout.concurrency,
		};
		uint64_t begun = stage_clock_us();
		status = stage_fanout_run(&fanout, &client, &machine, err);
		if (!status && f.err.status) {
			*err = f.err;
			status = f.err.status;
		}
		if (!status)
			status = conclude(&f, run, &machine, begun, good, err);
	}
	release(&f);
	return status;
}
