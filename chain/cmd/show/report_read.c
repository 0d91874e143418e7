/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "report.h"

#include "chain/bootinfo_json.h"
#include "chain/json.h"
#include "chain/cmd/run/fault_places.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = RECORDS_DEPTH_MAX + 8 }; /* of a document that has a record's contents in it */

const char *report_status_name(enum report_status status)
{
	static const char *const names[] = { "ok", "failed", "fault", "timeout", "skipped" };
	return names[status];
}

static enum report_status status_of(const char *text)
{
	for (int i = 0; text && i < REPORT_STATUS_COUNT; i++)
		if (!strcmp(text, report_status_name((enum report_status)i)))
			return (enum report_status)i;
	return REPORT_FAILED;
}

static enum chain_status wrong(const char *subject, const char *what, size_t index, struct chain_error *err)
{
	return CHAIN_FAIL(err, REPORT_FORM, .subject = subject, .detail = what, .index = index);
}

/* --- numbers --- */

static bool is_time(double us)
{
	return isfinite(us) && us >= -REPORT_US_MAX && us <= REPORT_US_MAX;
}

/* False: there is none, or none that can be. */
static bool time_from(const json_t *doc, const char *key, double unit_us, double *out_us)
{
	const json_t *value = json_object_get(doc, key);
	double us = json_number_value(value) * unit_us;
	if (!json_is_number(value) || !is_time(us))
		return false;
	*out_us = us;
	return true;
}

static uint64_t count_of(const json_t *doc, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(doc, key));
	return value > 0 ? (uint64_t)value : 0;
}

/* What is to be added to the host's time to get the machine's: shown by any step that has both. Else the first link's
 * entry by the host's. */
static double clock_offset(const json_t *links, const json_t *steps)
{
	size_t i;
	json_t *step;
	double us, at;
	json_array_foreach (steps, i, step)
		if (time_from(step, "us", 1, &us) && time_from(step, "at", 1e6, &at) && is_time(us - at))
			return us - at;
	return time_from(json_array_get(links, 0), "at", 1e6, &at) ? -at : 0;
}

/* It began when the clock did. */
static bool is_first(const json_t *link)
{
	const json_t *number = json_object_get(link, "link");
	return json_is_integer(number) && json_integer_value(number) == 0;
}

/* By the machine's clock, else by the host's. */
static bool time_of(const json_t *doc, const char *us, const char *at, double offset, double *out)
{
	double host;
	if (time_from(doc, us, 1, out))
		return true;
	if (!time_from(doc, at, 1e6, &host) || !is_time(host + offset))
		return false;
	*out = host + offset;
	return true;
}

/* --- links --- */

static enum chain_status read_links(struct report *r, const json_t *links, double offset, const char *subject,
				    struct chain_error *err)
{
	size_t i;
	json_t *link;
	r->links = calloc(json_array_size(links) + 1, sizeof(*r->links));
	if (!r->links)
		return chain_fail_no_memory(err, subject, json_array_size(links) * sizeof(*r->links));
	json_array_foreach (links, i, link) {
		struct report_span *span = &r->links[i];
		double left;
		span->name = json_string_value(json_object_get(link, "name"));
		if (!span->name)
			return wrong(subject, "links", i, err);
		/* A handoff's links say when they were entered, the records of a run when they were heard of. */
		span->timed = time_of(link, "entered_us", "at", offset, &span->begin) ||
			      time_of(link, "us", "at", offset, &span->begin);
		if (span->timed && is_first(link))
			span->begin = 0;
		span->end = span->begin;
		if (span->timed && time_from(link, "left_us", 1, &left) && left > span->begin)
			span->end = left;
		if (i && span->timed && r->links[i - 1].timed && r->links[i - 1].end == r->links[i - 1].begin &&
		    r->links[i - 1].end < span->begin)
			r->links[i - 1].end = span->begin; /* when it left is not known */
		r->link_count = i + 1;
	}
	return CHAIN_OK;
}

/* --- fan-outs --- */

static bool read_turn(const json_t *row, struct report_turn *out)
{
	json_int_t value[5];
	for (size_t i = 0; i < 5; i++) {
		value[i] = json_integer_value(json_array_get(row, i));
		if (!json_is_integer(json_array_get(row, i)) || value[i] < 0)
			return false;
	}
	double begin = (double)value[3], end = begin + (double)value[4];
	const json_t *status = json_array_get(row, 5);
	if (value[0] > UINT32_MAX || value[1] > UINT32_MAX || value[2] >= REPORT_PROCESSORS_MAX || !is_time(begin) ||
	    !is_time(end))
		return false;
	*out = (struct report_turn){
		.index = (uint32_t)value[0],
		.attempt = (uint32_t)value[1],
		.processor = (uint32_t)value[2],
		.begin = begin,
		.end = end,
		.status = status ? status_of(json_string_value(status)) : REPORT_OK,
	};
	return true;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static bool measure(struct report_fanout *f)
{
	double *each = calloc(f->turn_count + 1, sizeof(*each));
	if (!each)
		return false;
	for (size_t i = 0; i < f->turn_count; i++) {
		each[i] = f->turns[i].end - f->turns[i].begin;
		f->busy += each[i];
	}
	qsort(each, f->turn_count, sizeof(*each), compare);
	if (f->turn_count) {
		f->median = each[f->turn_count / 2];
		f->p99 = each[f->turn_count * 99 / 100];
		f->most = each[f->turn_count - 1];
	}
	free(each);
	return true;
}

static enum chain_status read_fanout(struct report *r, const json_t *step, const struct report_span *span,
				     const char *subject, struct chain_error *err)
{
	const json_t *rows = json_object_get(step, "kernels"), *machine = json_object_get(step, "machine");
	uint64_t cpus = count_of(machine, "cpus");
	struct report_fanout *f = &r->fanouts[r->fanout_count];
	*f = (struct report_fanout){ .name = span->name,
				     .begin = span->begin,
				     .end = span->end,
				     .count = count_of(step, "count"),
				     .ok = count_of(step, "ok"),
				     .failed = count_of(step, "failed"),
				     .not_run = count_of(step, "not_run"),
				     .retried = count_of(step, "retried"),
				     .failures = json_object_get(step, "failures"),
				     .workers = count_of(machine, "workers"),
				     .cpus = cpus >= 1 && cpus <= REPORT_PROCESSORS_MAX ? (uint32_t)cpus : 1 };
	f->workers = f->workers > REPORT_PROCESSORS_MAX ? REPORT_PROCESSORS_MAX : f->workers;
	f->turns = calloc(json_array_size(rows) + 1, sizeof(*f->turns));
	if (!f->turns)
		return chain_fail_no_memory(err, subject, json_array_size(rows) * sizeof(*f->turns));
	r->fanout_count++;
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		struct report_turn *turn = &f->turns[f->turn_count];
		if (!read_turn(row, turn)) {
			r->left_out++;
			continue;
		}
		f->turn_count++;
		if (turn->processor + f->cpus > r->processors)
			r->processors = turn->processor + f->cpus;
	}
	return measure(f) ? CHAIN_OK : chain_fail_no_memory(err, subject, f->turn_count * sizeof(double));
}

/* --- steps --- */

static void describe(const json_t *step, struct report_span *span)
{
	const char *status = json_string_value(json_object_get(step, "status"));
	span->reason = json_string_value(json_object_get(step, "reason"));
	span->place = json_string_value(json_object_get(json_object_get(step, "fault"), "place"));
	span->status = status ? status_of(status) : REPORT_OK; /* a boot has none */
}

static enum chain_status read_step(struct report *r, const json_t *step, size_t i, double offset, const char *subject,
				   struct chain_error *err)
{
	struct report_span *span = &r->steps[i];
	bool fanned = json_object_get(step, "count");
	span->name = json_string_value(json_object_get(step, "step"));
	if (!span->name)
		return wrong(subject, "steps", i, err);
	describe(step, span);
	span->timed = time_of(step, "begun_us", "begun_at", offset, &span->begin) &&
		      time_of(step, fanned ? "ended_us" : "us", "at", offset, &span->end);
	if (!span->timed || span->end < span->begin)
		span->end = span->begin;
	r->step_count = i + 1;
	return fanned ? read_fanout(r, step, span, subject, err) : CHAIN_OK;
}

static enum chain_status make_steps(struct report *r, size_t count, const char *subject, struct chain_error *err)
{
	r->steps = calloc(count + 1, sizeof(*r->steps));
	r->fanouts = calloc(count + 1, sizeof(*r->fanouts));
	if (r->steps && r->fanouts)
		return CHAIN_OK;
	return chain_fail_no_memory(err, subject, count * (sizeof(*r->steps) + sizeof(*r->fanouts)));
}

static enum chain_status read_steps(struct report *r, const json_t *steps, double offset, const char *subject,
				    struct chain_error *err)
{
	size_t i;
	json_t *step;
	enum chain_status status = make_steps(r, json_array_size(steps), subject, err);
	json_array_foreach (steps, i, step) {
		if (!status)
			status = read_step(r, step, i, offset, subject, err);
	}
	return status;
}

/* A handoff knows the results of steps, but not when they were taken. */
static enum chain_status read_results(struct report *r, const json_t *results, const char *subject,
				      struct chain_error *err)
{
	const char *name;
	json_t *entry;
	enum chain_status status = make_steps(r, json_object_size(results), subject, err);
	json_object_foreach ((json_t *)(uintptr_t)results, name, entry) {
		struct report_span *span = &r->steps[r->step_count];
		if (status)
			continue;
		*span = (struct report_span){ .name = name };
		describe(entry, span);
		r->step_count++;
		if (json_object_get(entry, "count"))
			status = read_fanout(r, entry, span, subject, err);
	}
	return status;
}

/* --- the whole --- */

static void widen(struct report *r, double us)
{
	r->begin = us < r->begin ? us : r->begin;
	r->end = us > r->end ? us : r->end;
}

/* From the first link's entry to what came last. */
static void bound(struct report *r, double offset)
{
	double end;
	bool first = true;
	for (size_t i = 0; i < r->link_count + r->step_count; i++) {
		const struct report_span *span = i < r->link_count ? &r->links[i] : &r->steps[i - r->link_count];
		if (span->timed && first)
			r->begin = r->end = span->begin;
		if (span->timed) {
			first = false;
			widen(r, span->begin);
			widen(r, span->end);
		}
	}
	for (size_t i = 0; i < r->fanout_count; i++)
		for (size_t t = 0; t < r->fanouts[i].turn_count; t++) {
			widen(r, r->fanouts[i].turns[t].begin);
			widen(r, r->fanouts[i].turns[t].end);
		}
	if (time_from(r->doc, "seconds", 1e6, &end) && is_time(end + offset) && end + offset > r->end)
		r->end = end + offset;
	if (r->link_count && r->links[r->link_count - 1].timed && json_object_get(r->doc, "seconds"))
		r->links[r->link_count - 1].end = r->end;
}

static enum chain_status read_doc(struct report *r, const char *subject, struct chain_error *err)
{
	const json_t *links = json_object_get(r->doc, "links"), *steps = json_object_get(r->doc, "steps");
	const json_t *results = json_object_get(r->doc, "results"), *error = json_object_get(r->doc, "error");
	bool handoff = json_object_get(r->doc, "kchain_handoff");
	if (json_object_get(r->doc, "kchain_bootinfo")) {
		r->is_machine = true;
		return chain_bootinfo_from_json(r->doc, &r->machine, err);
	}
	double offset = clock_offset(links, steps);
	r->refused = json_string_value(json_object_get(error, "message"));
	if (r->refused)
		return CHAIN_OK;
	if (!json_is_array(links) || !(handoff ? json_is_object(results) : json_is_array(steps)))
		return chain_fail_subject(err, CHAIN_E_REPORT_NONE, subject);
	enum chain_status status = read_links(r, links, offset, subject, err);
	if (!status)
		status = handoff ? read_results(r, results, subject, err) : read_steps(r, steps, offset, subject, err);
	if (!status)
		bound(r, offset);
	return status;
}

/* --- symbols --- */

enum { FAULTS_MAX = 512 };

/* Those that nobody has said the place of, of one step. Borrowed. */
static size_t unplaced(const json_t *step, json_t *faults[FAULTS_MAX])
{
	const json_t *groups = json_object_get(step, "failures");
	size_t count = 0;
	for (size_t i = 0; i <= json_array_size(groups) && count < FAULTS_MAX; i++) {
		json_t *fault = json_object_get(i ? json_array_get(groups, i - 1) : step, "fault");
		if (json_is_object(fault) && !json_object_get(fault, "place"))
			faults[count++] = fault;
	}
	return count;
}

static enum chain_status place_faults(const json_t *doc, const struct symbols_places *symbols, struct chain_error *err)
{
	size_t i;
	json_t *step, *faults[FAULTS_MAX];
	json_array_foreach (json_object_get(doc, "steps"), i, step) {
		const char *source = json_string_value(json_object_get(step, "source")),
			   *slash = source ? strrchr(source, '/') : NULL;
		size_t count = unplaced(step, faults);
		char digest[CHAIN_DIGEST_TEXT_BYTES];
		record_digest(step, "kernel_digest", "kernel_sha256", digest);
		struct symbols_kernel kernel = {
			.name = slash ? slash + 1 : "",
			.digest = *digest ? digest : NULL,
			.build_id = count ? json_string_value(json_object_get(faults[0], "build_id")) : NULL,
		};
		enum chain_status status = count ? fault_places_add(symbols, &kernel, faults, count, err) : CHAIN_OK;
		if (status)
			return status;
	}
	return CHAIN_OK;
}

enum chain_status report_parse(const char *text, size_t bytes, const char *subject,
			       const struct symbols_places *symbols, struct report *out, struct chain_error *err)
{
	*out = (struct report){ 0 };
	if (bytes > REPORT_BYTES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes", .value = bytes,
				  .limit = REPORT_BYTES_MAX);
	enum chain_status status = chain_json_any(text, bytes, DEPTH_MAX, subject, &out->doc, err);
	if (!status && symbols)
		status = place_faults(out->doc, symbols, err);
	if (!status)
		status = read_doc(out, subject, err);
	if (status)
		report_free(out);
	return status;
}

enum chain_status report_read(const char *path, const struct symbols_places *symbols, struct report *out,
			      struct chain_error *err)
{
	struct cmd_file file;
	*out = (struct report){ 0 };
	enum chain_status status = cmd_file_load(path, REPORT_BYTES_MAX, &file, err);
	if (status)
		return status;
	status = report_parse((const char *)file.bytes, file.bytes_count, path, symbols, out, err);
	enum chain_status changed = cmd_file_check(&file, path, err);
	cmd_file_free(&file);
	if (changed)
		report_free(out);
	return changed ? changed : status;
}

void report_free(struct report *report)
{
	for (size_t i = 0; i < report->fanout_count; i++)
		free(report->fanouts[i].turns);
	free(report->links);
	free(report->steps);
	free(report->fanouts);
	chain_bootinfo_free(&report->machine);
	json_decref(report->doc);
	*report = (struct report){ 0 };
}
