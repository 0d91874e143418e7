/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/run_fanout.h"

#include "chain/fanout.h"
#include "chain/handoff.h"
#include "chain/json_write.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/devices.h"
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

/* A turn that has ended. */
struct row {
	uint32_t index, processor;
	uint64_t start_ticks, end_ticks;
	uint8_t attempt, status; /* enum stage_verdict_status */
	int16_t exit;
};

struct fanout_run {
	const struct chain_step *step;
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	uint32_t fresh;              /* the next that has not been started */
	uint32_t *again, again_count; /* to be started once more, the last one first */
	uint8_t *attempts;           /* so far, by index */
	json_t *results, *failures;  /* by index; those that failed for good */
	struct row *rows; size_t row_count, row_room;
	uint64_t *windows; uint32_t window_room; /* where each processor's window lay; 0: it had none */
	uint32_t ok, failed, retried;
	bool stopped;
	struct line *lines;
	struct stage_given *devices; /* of the kernels that have any */
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

/* docs/RECORDS.md: index, attempt, processor, start, duration; then, unless it is ok with 0, status and exit. */
static int put_row(const struct row *row, char *out, size_t size)
{
	int used = snprintf(out, size, "[%" PRIu32 ",%u,%" PRIu32 ",%" PRIu64 ",%" PRIu64, row->index, row->attempt, row->processor,
			    stage_clock_us_at(row->start_ticks), stage_clock_us_at(row->end_ticks) - stage_clock_us_at(row->start_ticks));
	if (row->status != STAGE_VERDICT_OK || row->exit)
		used += snprintf(out + used, size - (size_t)used, ",\"%s\",%d", stage_verdict_name((enum stage_verdict_status)row->status), row->exit);
	return used + snprintf(out + used, size - (size_t)used, "],");
}

/* Told when all is over: a byte on a debug port can take as long as a kernel. */
static enum chain_status record_rows(const struct fanout_run *f, struct chain_error *err)
{
	enum { ROW_BYTES = 112, HEAD_BYTES = 128 };
	char *text = malloc(HEAD_BYTES + ROWS_MAX * ROW_BYTES);
	if (!text)
		return chain_fail(err, CHAIN_E_NO_MEMORY, f->step->name, NULL, HEAD_BYTES + ROWS_MAX * ROW_BYTES, 0, 0, 0);
	for (size_t i = 0; i < f->row_count;) {
		int used = snprintf(text, HEAD_BYTES, "{\"event\":\"kernels\",\"step\":\"%s\",\"rows\":[", f->step->name);
		size_t end = f->row_count - i < ROWS_MAX ? f->row_count : i + ROWS_MAX;
		for (; i < end; i++)
			used += put_row(&f->rows[i], text + used, ROW_BYTES);
		used += snprintf(text + used - 1, 3, "]}") - 1; /* over the last comma */
		stage_record(text, (uint64_t)used);
	}
	free(text);
	return CHAIN_OK;
}

static bool note_window(struct fanout_run *f, const struct stage_fanout_turn *turn)
{
	if (turn->processor >= f->window_room) {
		uint32_t room = 2 * turn->processor + 1;
		uint64_t *grown = realloc(f->windows, room * sizeof(*grown));
		if (!grown)
			return false;
		memset(grown + f->window_room, 0, (room - f->window_room) * sizeof(*grown));
		f->windows = grown;
		f->window_room = room;
	}
	f->windows[turn->processor] = turn->window_phys;
	return true;
}

static json_t *windows_json(const struct fanout_run *f)
{
	json_t *windows = json_object();
	for (uint32_t i = 0; windows && i < f->window_room; i++) {
		char processor[16], window[24];
		if (!f->windows[i])
			continue;
		snprintf(processor, sizeof(processor), "%" PRIu32, i);
		snprintf(window, sizeof(window), "0x%" PRIx64, f->windows[i]);
		if (json_object_set_new(windows, processor, json_string(window))) {
			json_decref(windows);
			return NULL;
		}
	}
	return windows;
}

static bool add_row(struct fanout_run *f, const struct stage_fanout_turn *turn, const struct stage_verdict *verdict)
{
	if (f->row_count == f->row_room) {
		size_t room = f->row_room ? 2 * f->row_room : f->set.count;
		struct row *grown = realloc(f->rows, room * sizeof(*grown));
		if (!grown)
			return false;
		f->rows = grown;
		f->row_room = room;
	}
	f->rows[f->row_count++] = (struct row){
		.index = turn->index, .processor = turn->processor, .start_ticks = turn->start_ticks, .end_ticks = turn->end_ticks,
		.attempt = (uint8_t)turn->attempt, .status = (uint8_t)verdict->status, .exit = (int16_t)verdict->exit,
	};
	return true;
}

static void on_progress(void *ctx, uint32_t running)
{
	const struct fanout_run *f = ctx;
	stage_record_members("ssIIII", "event", "progress", "step", f->step->name,
			     "running", (json_int_t)running, "ok", (json_int_t)f->ok,
			     "failed", (json_int_t)f->failed, "total", (json_int_t)f->set.count);
}

/* --- the queue --- */

static bool next(void *ctx, struct stage_fanout_task *out)
{
	struct fanout_run *f = ctx;
	if (f->stopped || f->err.status || (!f->again_count && f->fresh == f->set.count))
		return false;
	uint32_t index = f->again_count ? f->again[--f->again_count] : f->fresh++;
	*out = (struct stage_fanout_task){ .index = index, .attempt = f->attempts[index], .devices = stage_given_of(f->devices, index) };
	size_t bytes;
	if (chain_fanout_text(&f->texts, index, out->attempt, &out->handoff, &bytes, &out->args, &f->err))
		return false; /* the first error ends the step once all that run have ended */
	out->handoff_bytes = bytes;
	return true;
}

static bool keep(struct fanout_run *f, const struct stage_fanout_turn *turn, const struct stage_verdict *verdict)
{
	uint32_t index = turn->index;
	if (verdict->result && json_array_set(f->results, index, verdict->result))
		return false;
	if (verdict->good)
		return true;
	json_t *entry = stage_verdict_entry(verdict, &turn->result);
	int bad = entry ? 0 : -1;
	bad |= json_object_set_new(entry, "index", json_integer(index));
	bad |= json_object_set_new(entry, "attempts", json_integer(f->attempts[index]));
	bad |= json_array_append(f->failures, entry);
	json_decref(entry);
	return !bad;
}

static void on_done(void *ctx, const struct stage_fanout_turn *turn)
{
	struct fanout_run *f = ctx;
	struct stage_verdict verdict;
	stage_judge(f->step, &turn->result, &verdict);
	bool told = note_window(f, turn) && add_row(f, turn, &verdict);
	end_line(f, turn->index);
	f->attempts[turn->index]++;
	if (!verdict.good && turn->attempt < f->step->retries && !f->stopped) {
		f->again[f->again_count++] = turn->index;
		f->retried++;
	} else {
		f->ok += verdict.good;
		f->failed += !verdict.good;
		f->stopped = f->stopped || (!verdict.good && f->step->fanout.stop);
		if ((!told || !keep(f, turn, &verdict)) && !f->err.status)
			(void)chain_fail(&f->err, CHAIN_E_NO_MEMORY, f->step->name, NULL, 0, 0, 0, 0);
	}
	stage_verdict_free(&verdict);
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
	bool ok = f->again && f->attempts && f->results && f->failures;
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
	free(f->windows);
	free(f->rows);
	stage_given_free(f->devices);
	chain_fanout_texts_free(&f->texts);
	chain_fanout_set_free(&f->set);
}

static enum chain_status conclude(struct fanout_run *f, struct stage_run *run, const struct stage_fanout_machine *machine,
				  uint64_t begun_us, bool *good, struct chain_error *err)
{
	size_t required = chain_fanout_required(&f->step->fanout, f->set.count), not_run = f->set.count - f->ok - f->failed;
	uint64_t us = stage_clock_us() - begun_us;
	*good = f->ok >= required;
	enum chain_status status = record_rows(f, err);
	if (status)
		return status;
	json_t *entry = chain_json_object("sIIIIIIOO", "status", *good ? "ok" : "failed",
					  "exit", (json_int_t)(*good ? 0 : -1), "count", (json_int_t)f->set.count,
					  "ok", (json_int_t)f->ok, "failed", (json_int_t)f->failed,
					  "not_run", (json_int_t)not_run, "retried", (json_int_t)f->retried,
					  "result", f->results, "failures", f->failures);
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
	json_t *about = chain_json_object("IIIIIIo", "processors", (json_int_t)machine->processors,
					  "processors_failed", (json_int_t)machine->processors_failed,
					  "workers", (json_int_t)machine->workers,
					  "cpus", (json_int_t)f->step->fanout.cpus,
					  "window_bytes", (json_int_t)machine->window_bytes,
					  "private_bytes", (json_int_t)machine->private_bytes, "windows", windows_json(f));
	stage_record_members("sssIIIIIIoII", "event", "result", "step", f->step->name,
			     "status", *good ? "ok" : "failed", "exit", (json_int_t)(*good ? 0 : -1),
			     "count", (json_int_t)f->set.count, "ok", (json_int_t)f->ok,
			     "failed", (json_int_t)f->failed, "not_run", (json_int_t)not_run,
			     "retried", (json_int_t)f->retried, "machine", about,
			     "begun_us", (json_int_t)begun_us,
			     "ended_us", (json_int_t)(begun_us + us));
	return CHAIN_OK;
}

enum chain_status stage_run_fanout(struct stage_run *run, const struct chain_step *step, const struct chain_prepared *prepared,
				   bool *good, struct chain_error *err)
{
	struct fanout_run f = { .step = step };
	struct stage_fanout_machine machine = { 0 };
	const struct stage_fanout_client client = { next, on_done, on_text, on_progress, &f };
	enum chain_status status = prepare(&f, run, prepared, err);
	if (!status)
		status = stage_devices_give(step, run->net, run->block, &f.devices, err);
	if (!status) {
		const struct chain_guest_request guest = chain_step_guest(step, prepared);
		struct stage_fanout fanout = {
			.request = { .subject = step->source, .kernel = prepared->kernel.blob.bytes,
				     .kernel_bytes = prepared->kernel.blob.bytes_count, .args = "", .handoff = "",
				     .fs = { run->fs.base, run->fs.base + run->image.fs_bytes_count },
				     .window_bytes = prepared->memory_bytes, .timeout_us = step->timeout_us,
				     .guest = prepared->way == CHAIN_CALL_NATIVE ? NULL : &guest, .text_bytes = chain_fanout_text_bytes(&f.texts), .recycled = true },
			.config = &step->fanout, .kernels = f.set.count,
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
