/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "report.h"

#include "chain/json.h"

#include <stdlib.h>
#include <string.h>

enum { RESULT_MAX_BYTES = 256 * 1024 * 1024, PROCESSORS_MAX = 65536 };

const char *report_status_name(enum report_status status)
{
	static const char *const names[] = { "ok", "failed", "fault", "timeout" };
	return names[status];
}

static enum report_status status_of(const char *text)
{
	for (int i = 0; text && i < REPORT_STATUS_COUNT; i++)
		if (!strcmp(text, report_status_name((enum report_status)i)))
			return (enum report_status)i;
	return REPORT_FAILED;
}

static enum chain_status wrong(const char *path, const char *what, size_t index, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_REPORT_FORM, path, what, index, 0, 0, 0);
}

static double number(const json_t *doc, const char *key) { return json_number_value(json_object_get(doc, key)); }
static uint64_t count_of(const json_t *doc, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(doc, key));
	return value > 0 ? (uint64_t)value : 0;
}

/* What is to be added to the host's time to get the machine's: shown by any step that has both. */
static double clock_offset(const json_t *steps)
{
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step)
		if (json_is_number(json_object_get(step, "us")) && json_is_number(json_object_get(step, "at")))
			return number(step, "us") - number(step, "at") * 1e6;
	return 0;
}

static double time_of(const json_t *doc, const char *us, const char *at, double offset)
{
	return json_is_number(json_object_get(doc, us)) ? number(doc, us) : number(doc, at) * 1e6 + offset;
}

static enum chain_status read_links(struct report *r, const json_t *links, double offset, const char *path, struct chain_error *err)
{
	size_t i;
	json_t *link;
	r->links = calloc(json_array_size(links) + 1, sizeof(*r->links));
	if (!r->links)
		return chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0);
	json_array_foreach(links, i, link) {
		const char *name = json_string_value(json_object_get(link, "name"));
		if (!name)
			return wrong(path, "links", i, err);
		r->links[i] = (struct report_span){ .name = name, .begin = time_of(link, "us", "at", offset) };
		if (i)
			r->links[i - 1].end = r->links[i].begin;
		r->link_count = i + 1;
	}
	return CHAIN_OK;
}

static bool read_turn(const json_t *row, struct report_turn *out)
{
	for (size_t i = 0; i < 5; i++)
		if (!json_is_integer(json_array_get(row, i)) || json_integer_value(json_array_get(row, i)) < 0)
			return false;
	json_int_t processor = json_integer_value(json_array_get(row, 2)), index = json_integer_value(json_array_get(row, 0));
	const json_t *status = json_array_get(row, 5);
	if (processor >= PROCESSORS_MAX || index > UINT32_MAX)
		return false;
	*out = (struct report_turn){
		.index = (uint32_t)index, .attempt = (uint32_t)json_integer_value(json_array_get(row, 1)), .processor = (uint32_t)processor,
		.begin = (double)json_integer_value(json_array_get(row, 3)),
		.status = status ? status_of(json_string_value(status)) : REPORT_OK,
	};
	out->end = out->begin + (double)json_integer_value(json_array_get(row, 4));
	return true;
}

static enum chain_status read_fanout(struct report *r, const json_t *step, const struct report_span *span, const char *path,
				     struct chain_error *err)
{
	const json_t *rows = json_object_get(step, "kernels"), *machine = json_object_get(step, "machine");
	uint64_t cpus = count_of(machine, "cpus");
	if (cpus >= PROCESSORS_MAX)
		return wrong(path, "steps", r->step_count - 1, err);
	struct report_fanout *f = &r->fanouts[r->fanout_count];
	*f = (struct report_fanout){ .name = span->name, .begin = span->begin, .end = span->end, .count = count_of(step, "count"),
				     .ok = count_of(step, "ok"), .failed = count_of(step, "failed"), .not_run = count_of(step, "not_run"),
				     .retried = count_of(step, "retried"), .workers = count_of(machine, "workers"), .cpus = cpus ? (uint32_t)cpus : 1 };
	f->turns = calloc(json_array_size(rows) + 1, sizeof(*f->turns));
	if (!f->turns)
		return chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0);
	r->fanout_count++;
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row) {
		struct report_turn *turn = &f->turns[i];
		if (!read_turn(row, turn))
			return wrong(path, "kernels", i, err);
		f->turn_count = i + 1;
		if (turn->processor + f->cpus > r->processors)
			r->processors = turn->processor + f->cpus;
		r->end = turn->end > r->end ? turn->end : r->end;
	}
	return CHAIN_OK;
}

static enum chain_status read_steps(struct report *r, const json_t *steps, double offset, const char *path, struct chain_error *err)
{
	size_t i, count = json_array_size(steps);
	json_t *step;
	r->steps = calloc(count + 1, sizeof(*r->steps));
	r->fanouts = calloc(count + 1, sizeof(*r->fanouts));
	if (!r->steps || !r->fanouts)
		return chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0);
	json_array_foreach(steps, i, step) {
		const char *name = json_string_value(json_object_get(step, "step")), *status = json_string_value(json_object_get(step, "status"));
		if (!name)
			return wrong(path, "steps", i, err);
		bool fanned = json_object_get(step, "count");
		struct report_span *span = &r->steps[i];
		*span = (struct report_span){ .name = name, .begin = time_of(step, "begun_us", "begun_at", offset),
					      .end = time_of(step, fanned ? "ended_us" : "us", "at", offset),
					      .status = status ? status_of(status) : REPORT_OK };
		r->step_count = i + 1;
		if (span->end < span->begin)
			return wrong(path, "steps", i, err);
		r->end = span->end > r->end ? span->end : r->end;
		enum chain_status bad = fanned ? read_fanout(r, step, span, path, err) : CHAIN_OK;
		if (bad)
			return bad;
	}
	return CHAIN_OK;
}

enum chain_status report_read(const char *path, struct report *out, struct chain_error *err)
{
	struct cmd_file file;
	*out = (struct report){ 0 };
	enum chain_status status = cmd_file_load(path, RESULT_MAX_BYTES, &file, err);
	if (status)
		return status;
	status = chain_json_load((const char *)file.bytes, file.bytes_count, RESULT_MAX_BYTES, path, &out->doc, err);
	cmd_file_free(&file);
	if (status)
		return status;
	const json_t *links = json_object_get(out->doc, "links"), *steps = json_object_get(out->doc, "steps");
	double offset = clock_offset(steps);
	if (!json_is_array(links) || !json_is_array(steps))
		status = chain_fail(err, CHAIN_E_REPORT_NONE, path, NULL, 0, 0, 0, 0);
	if (!status)
		status = read_links(out, links, offset, path, err);
	if (!status)
		status = read_steps(out, steps, offset, path, err);
	double end = number(out->doc, "seconds") * 1e6 + offset;
	out->end = end > out->end ? end : out->end;
	if (!status && out->link_count)
		out->links[out->link_count - 1].end = out->end;
	if (status)
		report_free(out);
	return status;
}

void report_free(struct report *report)
{
	for (size_t i = 0; i < report->fanout_count; i++)
		free(report->fanouts[i].turns);
	free(report->links);
	free(report->steps);
	free(report->fanouts);
	json_decref(report->doc);
	*report = (struct report){ 0 };
}
