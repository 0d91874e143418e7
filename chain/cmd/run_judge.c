/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_judge.h"

#include "chain/handoff.h"
#include "chain/json_write.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void run_judge_init(struct run_judge *judge, enum run_until until, const regex_t *regex, bool foreign)
{
	*judge = (struct run_judge){ .until = until, .regex = regex, .foreign = foreign, .links = json_array(), .steps = json_array(),
				     .rows = json_array() };
}

void run_judge_free(struct run_judge *judge)
{
	json_decref(judge->links);
	json_decref(judge->steps);
	json_decref(judge->rows);
	json_decref(judge->handoff);
	json_decref(judge->bootinfo);
	json_decref(judge->echo);
	json_decref(judge->want);
	free(judge->marker);
	*judge = (struct run_judge){ 0 };
}

static const char *text_of(const json_t *doc, const char *key)
{
	const char *text = json_string_value(json_object_get(doc, key));
	return text ? text : "";
}

static void replace(json_t **slot, const json_t *doc)
{
	json_decref(*slot);
	*slot = json_incref((json_t *)(uintptr_t)doc); /* nobody changes a record */
}

/* The record without what every record has, kept for --json; with the seconds since the start by our clock. Borrowed; null: no memory. */
static json_t *keep(struct run_judge *judge, json_t *list, const json_t *doc)
{
	json_t *copy = chain_json_shallow(doc);
	json_object_del(copy, "event");
	if (!json_object_set_new(copy, "at", json_real(judge->now)) && !json_array_append_new(list, json_incref(copy))) {
		json_decref(copy);
		return copy;
	}
	json_decref(copy);
	judge->no_memory = true;
	return NULL;
}

static void keep_step(struct run_judge *judge, const json_t *doc)
{
	json_t *step = keep(judge, judge->steps, doc);
	int bad = json_object_set_new(step, "begun_at", json_real(judge->step_at));
	if (judge->step_us >= 0 && !json_object_get(step, "begun_us"))
		bad |= json_object_set_new(step, "begun_us", json_integer(judge->step_us));
	if (json_array_size(judge->rows))
		bad |= json_object_set(step, "kernels", judge->rows);
	if (judge->rows_lost)
		bad |= json_object_set_new(step, "kernels_lost", json_integer((json_int_t)judge->rows_lost));
	if (bad)
		judge->no_memory = true;
	json_decref(judge->rows);
	judge->rows = json_array();
	judge->rows_lost = 0;
}

static void on_step(struct run_judge *judge, const json_t *doc)
{
	const json_t *us = json_object_get(doc, "us");
	snprintf(judge->step, sizeof(judge->step), "%s", text_of(doc, "name"));
	judge->step_at = judge->now;
	judge->step_us = json_is_integer(us) ? json_integer_value(us) : -1;
}

static void on_kernels(struct run_judge *judge, const json_t *doc)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(doc, "rows"), i, row) {
		if (json_array_size(judge->rows) >= JUDGE_ROWS_MAX)
			judge->rows_lost++;
		else if (json_array_append(judge->rows, row))
			judge->no_memory = true;
	}
}

/* --- records --- */

static void on_entered(struct run_judge *judge, const json_t *doc)
{
	judge->link_count++;
	judge->entered = true;
	judge->foreign = false;
	judge->ended = judge->exited = false;
	judge->step[0] = '\0';
	keep(judge, judge->links, doc);
}

static void on_boot(struct run_judge *judge, const json_t *doc)
{
	const json_t *expect = json_object_get(doc, "expect");
	const char *kernel = text_of(doc, "kernel"), *marker = json_string_value(json_object_get(expect, "console"));
	judge->boot_count++;
	judge->booted = true;
	judge->entered = judge->result_met = judge->exited = judge->ended = false;
	judge->kernel_known = *kernel != '\0';
	judge->reports = strcmp(kernel, "image") == 0 || strcmp(kernel, "native") == 0;
	if (marker || judge->marker_seen) { /* one that an earlier link waits for stays wanted while this one has none */
		free(judge->marker);
		judge->marker = marker ? strdup(marker) : NULL;
		judge->marker_seen = false;
	}
	json_decref(judge->want);
	judge->want = json_incref(json_object_get(expect, "result"));
	judge->want_success = judge->want || (json_is_string(expect) && strcmp(json_string_value(expect), "success") == 0);
	judge->line_used = 0; /* what the stage printed is not the kernel's */
	snprintf(judge->step, sizeof(judge->step), "%s", text_of(doc, "step"));
	keep_step(judge, doc);
}

static void on_result(struct run_judge *judge, const json_t *doc)
{
	judge->call_count++;
	if (strcmp(text_of(doc, "status"), "ok") != 0)
		judge->failed_count++;
	judge->step[0] = '\0';
	keep_step(judge, doc);
}

static void on_end(struct run_judge *judge, const json_t *doc)
{
	static const struct {
		const char *status;
		int code;
	} ENDS[] = { { "ok", CMD_OK }, { "child-failed", CMD_CHILD_FAILED }, { "failed", CMD_STAGE_FAILED }, { "unmet", CMD_UNMET } };
	judge->ended = true;
	judge->end_code = CMD_STAGE_FAILED;
	for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++)
		if (strcmp(ENDS[i].status, text_of(doc, "status")) == 0)
			judge->end_code = ENDS[i].code;
}

static void on_exit_record(struct run_judge *judge, const json_t *doc)
{
	judge->exited = true;
	judge->exit_status = json_integer_value(json_object_get(doc, "status"));
	const json_t *result = json_object_get(doc, "result");
	judge->result_met = !judge->want || (result && chain_result_contains(result, judge->want));
}

void run_judge_record(struct run_judge *judge, enum record_event event, const json_t *doc)
{
	switch (event) {
	case RECORD_ENTERED:
		on_entered(judge, doc);
		break;
	case RECORD_BOOTINFO:
		if (!judge->bootinfo) /* the first link's is the machine's own */
			replace(&judge->bootinfo, json_object_get(doc, "doc"));
		break;
	case RECORD_STEP:
		on_step(judge, doc);
		break;
	case RECORD_KERNELS:
		on_kernels(judge, doc);
		break;
	case RECORD_RESULT:
		on_result(judge, doc);
		break;
	case RECORD_HANDOFF:
		replace(&judge->handoff, json_object_get(doc, "doc"));
		break;
	case RECORD_BOOT:
		on_boot(judge, doc);
		break;
	case RECORD_ERROR:
		if (judge->error_count++ == 0)
			snprintf(judge->error, sizeof(judge->error), "%s", text_of(doc, "message"));
		break;
	case RECORD_EXIT:
		on_exit_record(judge, doc);
		break;
	case RECORD_ECHO:
		replace(&judge->echo, json_object_get(doc, "doc"));
		break;
	case RECORD_END:
		on_end(judge, doc);
		break;
	case RECORD_SKIPPED:
	case RECORD_PROGRESS:
	case RECORD_DEVICE:
	case RECORD_NET:
	case RECORD_BLOCK:
	case RECORD_EVENT_COUNT:
		break;
	}
}

/* --- console --- */

static void note_match(struct run_judge *judge, const char *from, size_t count)
{
	if (count >= sizeof(judge->match))
		count = sizeof(judge->match) - 1;
	memcpy(judge->match, from, count);
	judge->match[count] = '\0';
}

static void look(struct run_judge *judge)
{
	regmatch_t where;
	judge->line[judge->line_used] = '\0';
	if (judge->booted && judge->marker && !judge->marker_seen && strstr(judge->line, judge->marker)) {
		judge->marker_seen = true;
		note_match(judge, judge->marker, strlen(judge->marker));
	}
	if (judge->regex && !judge->matched && regexec(judge->regex, judge->line, 1, &where, 0) == 0) {
		judge->matched = true;
		note_match(judge, judge->line + where.rm_so, (size_t)(where.rm_eo - where.rm_so));
	}
}

void run_judge_text(struct run_judge *judge, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			look(judge);
			judge->line_used = 0;
		} else if (bytes[i] != '\0' && bytes[i] != '\r') {
			if (judge->line_used == RUN_LINE_BYTES - 1) {
				memmove(judge->line, judge->line + RUN_LINE_BYTES / 2, RUN_LINE_BYTES / 2);
				judge->line_used = RUN_LINE_BYTES / 2 - 1;
			}
			judge->line[judge->line_used++] = bytes[i];
		}
	}
	if (judge->line_used)
		look(judge);
}

/* --- verdict --- */

bool run_judge_over(const struct run_judge *judge)
{
	return judge->ended || judge->exited;
}

bool run_judge_unsure(const struct run_judge *judge)
{
	return judge->until == RUN_UNTIL_READY && judge->booted && !judge->entered && !judge->marker && !judge->want_success &&
	       !judge->kernel_known;
}

/* A booted kernel keeps its promise: entered, seen on the console, or (later, by its records) ended well. */
static bool boot_met(const struct run_judge *judge)
{
	if (judge->marker)
		return judge->marker_seen;
	return !judge->want_success && !judge->reports && judge->kernel_known;
}

bool run_judge_done(const struct run_judge *judge)
{
	if (judge->until == RUN_UNTIL_MATCH)
		return judge->matched;
	if (judge->until == RUN_UNTIL_ENDED || !judge->booted || judge->entered)
		return judge->until == RUN_UNTIL_READY && judge->booted && judge->marker && judge->marker_seen;
	return boot_met(judge);
}

static int verdict(struct run_judge *judge, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int verdict(struct run_judge *judge, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(judge->reason, sizeof(judge->reason), format, args);
	va_end(args);
	return code;
}

static int of_end(struct run_judge *judge, int code)
{
	switch (code) {
	case CMD_OK:
		return verdict(judge, code, "all steps done");
	case CMD_CHILD_FAILED:
		return verdict(judge, code, "a child failed");
	case CMD_UNMET:
		return verdict(judge, code, "an expectation was not met");
	default:
		return verdict(judge, CMD_STAGE_FAILED, "%s", judge->error[0] ? judge->error : "the stage failed");
	}
}

/* A booted native kernel said how it ended. */
static int of_exit(struct run_judge *judge)
{
	if (judge->exit_status != 0)
		return verdict(judge, CMD_CHILD_FAILED, "the kernel exited with status %lld", (long long)judge->exit_status);
	if (!judge->result_met)
		return verdict(judge, CMD_UNMET, "the kernel's result is not the expected one");
	return verdict(judge, CMD_OK, "the kernel exited with status 0");
}

static int of_port(struct run_judge *judge, int port)
{
	static const int CODES[] = { CMD_OK, CMD_CHILD_FAILED, CMD_STAGE_FAILED, CMD_UNMET };
	if (port >= 0x10 && port <= 0x13)
		return of_end(judge, CODES[port - 0x10]);
	if (port == 0)
		return verdict(judge, CMD_OK, "the kernel exited with status 0");
	return verdict(judge, CMD_CHILD_FAILED, "the kernel exited with status %d", port);
}

/* The machine ended and nobody said why. */
static int of_silence(struct run_judge *judge)
{
	if (judge->foreign)
		return verdict(judge, CMD_OK, "the machine ended");
	if (judge->booted && !judge->entered && !judge->reports)
		return verdict(judge, CMD_OK, "%s was entered, and the machine ended", judge->step);
	if (judge->booted && !judge->entered)
		return verdict(judge, CMD_CHILD_FAILED, "%s did not begin", judge->step);
	if (judge->link_count == 0)
		return verdict(judge, CMD_STAGE_FAILED, "the stage did not begin");
	return verdict(judge, CMD_STAGE_FAILED, "the machine stopped in the middle%s%s", judge->step[0] ? " of " : "", judge->step);
}

static int of_machine(struct run_judge *judge, int port)
{
	if (judge->until == RUN_UNTIL_MATCH)
		return verdict(judge, CMD_UNMET, "the machine ended before the expression matched");
	if (judge->booted && judge->marker && !judge->marker_seen)
		return verdict(judge, CMD_UNMET, "the machine ended before \"%s\" was on the console", judge->marker);
	if (judge->ended)
		return of_end(judge, judge->end_code);
	if (judge->exited)
		return of_exit(judge);
	if (port >= 0)
		return of_port(judge, port);
	return of_silence(judge);
}

int run_judge_verdict(struct run_judge *judge, enum run_end end, int port)
{
	if (end == RUN_END_INTERRUPTED)
		return verdict(judge, CMD_INTERRUPTED, "interrupted");
	if (judge->until == RUN_UNTIL_MATCH && judge->matched)
		return verdict(judge, CMD_OK, "\"%s\" seen", judge->match);
	if (run_judge_done(judge))
		return judge->marker ? verdict(judge, CMD_OK, "\"%s\" seen", judge->match) :
				       verdict(judge, CMD_OK, "%s was entered", judge->step);
	if (end == RUN_END_STOPPED && run_judge_unsure(judge))
		return verdict(judge, CMD_OK, "%s was entered", judge->step);
	if (end == RUN_END_TIMEOUT)
		return verdict(judge, CMD_TIMEOUT, "time ran out%s%s", judge->step[0] ? " in " : "", judge->step);
	return of_machine(judge, port);
}
