/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_judge.h"

#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/cmd/bake/bake_root.h"

#include <stdlib.h>
#include <string.h>

void run_judge_init(struct run_judge *judge, enum run_until until, const regex_t *regex, bool foreign)
{
	*judge = (struct run_judge){ .until = until,
				     .regex = regex,
				     .foreign = foreign,
				     .links = json_array(),
				     .steps = json_array(),
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
	json_decref(judge->exit_result);
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

static void lack(struct run_judge *judge)
{
	if (!judge->lacking)
		judge->lacking = chain_json_memory_lacking();
}

/* The record without what every record has, kept for --json; with the seconds since the start by our clock. Borrowed;
 * null: no memory. */
static json_t *keep(struct run_judge *judge, json_t *list, const json_t *doc)
{
	if (judge->brief)
		return NULL;
	json_t *copy = chain_json_shallow(doc);
	json_object_del(copy, "event");
	if (!json_object_set_new(copy, "at", json_real(judge->now)) &&
	    !json_array_append_new(list, json_incref(copy))) {
		json_decref(copy);
		return copy;
	}
	json_decref(copy);
	lack(judge);
	return NULL;
}

/* What is known of a step besides its last record: when it began, and the rows of its kernels. */
static void keep_step(struct run_judge *judge, const json_t *doc)
{
	json_t *step = keep(judge, judge->steps, doc);
	if (judge->brief)
		return;
	int bad = json_object_set_new(step, "begun_at", json_real(judge->step_at));
	if (judge->step_us >= 0 && !json_object_get(step, "begun_us"))
		bad |= json_object_set_new(step, "begun_us", json_integer(judge->step_us));
	if (judge->attempt)
		bad |= json_object_set_new(step, "retry", json_integer(judge->attempt));
	if (judge->source[0] && !json_object_get(step, "source"))
		bad |= json_object_set_new(step, "source", json_string(judge->source));
	if (judge->digest[0])
		bad |= json_object_set_new(step, "kernel_digest", json_string(judge->digest));
	if (json_array_size(judge->rows))
		bad |= json_object_set(step, "kernels", judge->rows);
	if (judge->rows_lost)
		bad |= json_object_set_new(step, "kernels_lost", json_integer((json_int_t)judge->rows_lost));
	if (bad)
		lack(judge);
	json_decref(judge->rows);
	judge->rows = json_array();
	judge->rows_lost = 0;
}

static void begin_step(struct run_judge *judge, const json_t *doc)
{
	const json_t *us = json_object_get(doc, "us");
	judge->step_at = judge->now;
	judge->step_us = json_is_integer(us) ? json_integer_value(us) : -1;
	judge->attempt = json_integer_value(json_object_get(doc, "retry"));
	cmd_text_escape(text_of(doc, "source"), strlen(text_of(doc, "source")), judge->source, sizeof(judge->source));
	record_digest(doc, "digest", "sha256", judge->digest);
}

static void end_step(struct run_judge *judge)
{
	judge->step[0] = judge->called[0] = judge->source[0] = judge->digest[0] = '\0';
	judge->calling = false;
	judge->attempt = 0;
}

static void set_failure(struct run_judge *judge, const char *step, const char *what)
{
	snprintf(judge->failure, sizeof(judge->failure), "%.120s%s%.380s", step, *step ? ": " : "", what);
}

static void on_step(struct run_judge *judge, const json_t *doc)
{
	begin_step(judge, doc);
	snprintf(judge->step, sizeof(judge->step), "%s", text_of(doc, "name"));
	snprintf(judge->called, sizeof(judge->called), "%s", text_of(doc, "called"));
	judge->calling = strcmp(text_of(doc, "kind"), "call") == 0;
	judge->failure[0] = '\0'; /* the chain went on behind it */
}

static void on_kernels(struct run_judge *judge, const json_t *doc)
{
	size_t i;
	json_t *row;
	if (judge->brief)
		return;
	json_array_foreach (json_object_get(doc, "rows"), i, row) {
		if (json_array_size(judge->rows) >= JUDGE_ROWS_MAX)
			judge->rows_lost++;
		else if (json_array_append(judge->rows, row))
			lack(judge);
	}
}

/* --- records --- */

static void on_entered(struct run_judge *judge, const json_t *doc)
{
	judge->link_count++;
	judge->entered = true;
	judge->foreign = false;
	judge->ended = judge->exited = false;
	end_step(judge);
	keep(judge, judge->links, doc);
}

/* What boots a root, be it an image within an image. */
#define OF_ROOT "fs:" BAKE_ROOT_KERNEL

static void on_boot(struct run_judge *judge, const json_t *doc)
{
	const json_t *expect = json_object_get(doc, "expect");
	const char *kernel = text_of(doc, "kernel"), *marker = json_string_value(json_object_get(expect, "console"));
	judge->boot_count++;
	judge->booted = true;
	judge->entered = judge->result_met = judge->exited = judge->ended = false;
	judge->kernel_known = *kernel != '\0';
	judge->native = strcmp(kernel, "native") == 0;
	judge->reports = judge->native || strcmp(kernel, "image") == 0;
	bool root = strcmp(kernel, "linux") == 0 && (judge->root || strcmp(judge->source, OF_ROOT) == 0);
	judge->application = judge->shell = false;
	if (marker ||
	    judge->marker_seen) { /* one that an earlier link waits for stays wanted while this one has none */
		free(judge->marker);
		judge->marker = marker ? strdup(marker) : NULL;
		judge->marker_seen = false;
	}
	json_decref(judge->want);
	judge->want = json_incref(json_object_get(expect, "result"));
	judge->want_success =
		judge->want || root || (json_is_string(expect) && strcmp(json_string_value(expect), "success") == 0);
	for (int i = 0; i < RECORDS_CHANNEL_COUNT; i++)
		judge->lines[i].used = 0; /* what the stage printed is not the kernel's */
	snprintf(judge->booted_step, sizeof(judge->booted_step), "%s", text_of(doc, "step"));
	keep_step(judge, doc);
	end_step(judge);
}

static void on_result(struct run_judge *judge, const json_t *doc)
{
	const char *reason = text_of(doc, "reason"), *status = text_of(doc, "status"),
		   *place = text_of(json_object_get(doc, "fault"), "place");
	char what[RUN_REASON_BYTES];
	judge->call_count++;
	snprintf(judge->answered, sizeof(judge->answered), "%s", text_of(doc, "step"));
	if (strcmp(status, "ok") != 0) {
		judge->failed_count++;
		snprintf(what, sizeof(what), "%.220s%s%.150s", *reason ? reason : status, *place ? ", " : "", place);
		set_failure(judge, text_of(doc, "step"), what);
	}
	keep_step(judge, doc);
	end_step(judge);
}

/* A step that has neither a result nor a boot is one of the steps as well: it was skipped, or could not be taken. */
static void keep_without_result(struct run_judge *judge, const json_t *doc, const char *status, const char *reason)
{
	json_t *step = chain_json_shallow(doc);
	if (!judge->step[0])
		begin_step(judge, doc);
	if (json_object_set_new(step, "status", json_string(status)) ||
	    (reason && json_object_set_new(step, "reason", json_string(reason))))
		lack(judge);
	else
		keep_step(judge, step);
	json_decref(step);
	end_step(judge);
}

static void on_error(struct run_judge *judge, const json_t *doc)
{
	judge->error_count++;
	set_failure(judge, text_of(doc, "step"), text_of(doc, "message"));
	if (*text_of(doc, "step"))
		keep_without_result(judge, doc, "failed", text_of(doc, "message"));
}

static void on_end(struct run_judge *judge, const json_t *doc)
{
	static const struct {
		const char *status;
		int code;
	} ENDS[] = { { "ok", CMD_OK },
		     { "child-failed", CMD_CHILD_FAILED },
		     { "failed", CMD_STAGE_FAILED },
		     { "unmet", CMD_UNMET } };
	judge->ended = true;
	judge->end_code = CMD_STAGE_FAILED;
	snprintf(judge->end_reason, sizeof(judge->end_reason), "%s", text_of(doc, "reason"));
	for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++)
		if (strcmp(ENDS[i].status, text_of(doc, "status")) == 0)
			judge->end_code = ENDS[i].code;
}

/* A root's program is a kernel's like: what it came to stands beside the results of those that were called. */
static void keep_application(struct run_judge *judge, const json_t *doc)
{
	json_t *results = json_object_get(judge->handoff, "results"), *result = json_object_get(doc, "result");
	const char *status = judge->exit_status ? "failed" : "ok";
	if (!judge->handoff)
		return;
	json_t *own = results ? chain_json_shallow(results) : json_object(),
	       *handoff = chain_json_shallow(judge->handoff);
	json_t *entry = chain_result_entry(status, (int)judge->exit_status, json_incref(result),
					   judge->exit_reason[0] ? judge->exit_reason : NULL);
	if (json_object_set_new(own, judge->booted_step, entry) || json_object_set(handoff, "results", own))
		lack(judge);
	else
		replace(&judge->handoff, handoff);
	json_decref(own);
	json_decref(handoff);
}

static void on_exit_record(struct run_judge *judge, const json_t *doc)
{
	judge->exited = true;
	judge->exit_status = json_integer_value(json_object_get(doc, "status"));
	const json_t *result = json_object_get(doc, "result");
	replace(&judge->exit_result, result);
	judge->result_met = !judge->want || (result && chain_result_contains(result, judge->want));
	snprintf(judge->exit_reason, sizeof(judge->exit_reason), "%s", text_of(doc, "reason"));
	if (judge->application)
		keep_application(judge, doc);
}

static void on_fault(struct run_judge *judge, const json_t *doc)
{
	const char *name = text_of(doc, "name"), *place = text_of(doc, "place");
	char number[40];
	snprintf(number, sizeof(number), "exception %lld",
		 (long long)json_integer_value(json_object_get(doc, "vector")));
	snprintf(judge->fault, sizeof(judge->fault), "%.80s at %.40s%s%.300s", *name ? name : number,
		 text_of(doc, "rip"), *place ? ", " : "", place);
}

/* What only a stage sends between calls, or a kernel that was booted. A called kernel's is nobody's word: nothing is
 * made of it, but that a machine which begins anew has lost what it was at. */
static bool is_forged(struct run_judge *judge, enum record_event event)
{
	if (!judge->calling)
		return judge->restarted;
	if (event == RECORD_ENTERED)
		judge->restarted = true;
	return event == RECORD_ENTERED || event == RECORD_BOOTINFO || event == RECORD_BOOT || event == RECORD_EXIT ||
	       event == RECORD_APPLICATION || event == RECORD_END;
}

bool run_judge_record(struct run_judge *judge, enum record_event event, const json_t *doc)
{
	if (is_forged(judge, event)) {
		judge->forged++;
		return false;
	}
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
		on_error(judge, doc);
		break;
	case RECORD_FAULT:
		on_fault(judge, doc);
		break;
	case RECORD_APPLICATION:
		judge->application = judge->reports = judge->booted;
		judge->shell = judge->booted && json_is_true(json_object_get(doc, "shell"));
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
		keep_without_result(judge, doc, "skipped", NULL);
		break;
	case RECORD_OUTPUT:
	case RECORD_PROGRESS:
	case RECORD_DEVICE:
	case RECORD_NET:
	case RECORD_BLOCK:
	case RECORD_EVENT_COUNT:
		break;
	}
	return true;
}

/* --- text --- */

static void note_match(struct run_judge *judge, const char *from, size_t count)
{
	cmd_text_escape(from, count, judge->match, sizeof(judge->match));
}

static void look(struct run_judge *judge, const char *line)
{
	regmatch_t where;
	/* What a kernel prints that a booted image calls is not that image's word. */
	if (judge->booted && !judge->calling && judge->marker && !judge->marker_seen && strstr(line, judge->marker)) {
		judge->marker_seen = true;
		note_match(judge, judge->marker, strlen(judge->marker));
	}
	if (judge->regex && !judge->matched && regexec(judge->regex, line, 1, &where, 0) == 0) {
		judge->matched = true;
		note_match(judge, line + where.rm_so, (size_t)(where.rm_eo - where.rm_so));
	}
	if (line[strspn(line, " \t")])
		snprintf(judge->last, sizeof(judge->last), "%s", line);
}

void run_judge_text(struct run_judge *judge, enum records_channel from, const char *bytes, size_t count)
{
	char *line = judge->lines[from].text;
	size_t *used = &judge->lines[from].used;
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			line[*used] = '\0';
			look(judge, line);
			*used = 0;
		} else if (bytes[i] != '\0' && bytes[i] != '\r') {
			if (*used == RUN_LINE_BYTES - 1) {
				memmove(line, line + RUN_LINE_BYTES / 2, RUN_LINE_BYTES / 2);
				*used = RUN_LINE_BYTES / 2 - 1;
			}
			line[(*used)++] = bytes[i];
		}
	}
	line[*used] = '\0';
	if (*used)
		look(judge, line);
}

bool run_judge_is_foreign(const struct run_judge *judge)
{
	return judge->foreign || (judge->booted && !judge->entered && !judge->reports);
}

/* --- go on or stop --- */

bool run_judge_over(const struct run_judge *judge)
{
	return judge->ended || judge->exited || judge->restarted;
}

bool run_judge_unsure(const struct run_judge *judge)
{
	return judge->until == RUN_UNTIL_READY && judge->booted && !judge->entered && !judge->marker &&
	       !judge->want_success && !judge->kernel_known;
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
