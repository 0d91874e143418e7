/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain report`: what a run did over time, as a table and as a picture. */

#include "report.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct durations {
	double median, p99, most, busy; /* microseconds; busy: their sum */
};

static bool measure(const struct report_fanout *f, struct durations *out)
{
	double *each = calloc(f->turn_count + 1, sizeof(*each));
	*out = (struct durations){ 0 };
	if (!each)
		return false;
	for (size_t i = 0; i < f->turn_count; i++) {
		each[i] = f->turns[i].end - f->turns[i].begin;
		out->busy += each[i];
	}
	qsort(each, f->turn_count, sizeof(*each), compare);
	if (f->turn_count) {
		out->median = each[f->turn_count / 2];
		out->p99 = each[f->turn_count * 99 / 100];
		out->most = each[f->turn_count - 1];
	}
	free(each);
	return true;
}

static json_t *as_json(const struct report *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->fanout_count; i++) {
		const struct report_fanout *f = &r->fanouts[i];
		struct durations d;
		double us = f->end - f->begin;
		if (!measure(f, &d))
			continue;
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "step", f->name, "kernels",
			(json_int_t)f->count, "turns", (json_int_t)f->turn_count, "ok", (json_int_t)f->ok, "failed", (json_int_t)f->failed,
			"not_run", (json_int_t)f->not_run, "retried", (json_int_t)f->retried, "workers", (json_int_t)f->workers, "cpus", (json_int_t)f->cpus, "us", us,
			"median_us", d.median, "p99_us", d.p99, "max_us", d.most, "busy", us > 0 && f->workers ?
			d.busy / us / (double)f->workers : 0.0));
	}
	return json_pack("{s:I, s:I, s:o}", "links", (json_int_t)r->link_count, "steps", (json_int_t)r->step_count, "fanouts", list);
}

static void print(const struct report *r)
{
	printf("%zu links, %zu steps, %.1f ms\n", r->link_count, r->step_count, (r->end - (r->link_count ? r->links[0].begin : 0)) / 1e3);
	for (size_t i = 0; i < r->step_count; i++)
		printf("  %-20.32s %10.3f ms  %s\n", r->steps[i].name, (r->steps[i].end - r->steps[i].begin) / 1e3,
		       report_status_name(r->steps[i].status));
	for (size_t i = 0; i < r->fanout_count; i++) {
		const struct report_fanout *f = &r->fanouts[i];
		struct durations d;
		double us = f->end - f->begin;
		if (!measure(f, &d))
			continue;
		printf("%s: %llu kernels: %llu ok, %llu failed, %llu not run; %llu retried\n"
		       "  turns     %zu in %.1f ms: %.0f a second, on %llu processor%s, which were busy %.0f %% of the time\n"
		       "  duration  median %.3f ms, 99 %% within %.3f ms, longest %.3f ms\n",
		       f->name, (unsigned long long)f->count, (unsigned long long)f->ok, (unsigned long long)f->failed,
		       (unsigned long long)f->not_run, (unsigned long long)f->retried, f->turn_count, us / 1e3,
		       us > 0 ? (double)f->turn_count * 1e6 / us : 0, (unsigned long long)(f->workers * f->cpus), f->workers * f->cpus == 1 ? "" : "s",
		       us > 0 && f->workers ? d.busy / us / (double)f->workers * 100 : 0, d.median / 1e3, d.p99 / 1e3, d.most / 1e3);
	}
}

static enum chain_status write_svg(const struct report *r, const char *path, struct chain_error *err)
{
	size_t bytes = 0;
	char *svg = report_svg(r, &bytes);
	enum chain_status status = svg ? cmd_file_write(path, svg, bytes, err) : chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0);
	free(svg);
	return status;
}

int cmd_report(int argc, char **argv)
{
	bool json = false;
	const char *svg = NULL;
	const struct cmd_opt opts[] = {
		{ "svg", 's', CMD_OPT_TEXT, "FILE", "draw links, steps and processors over time", &svg },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print the figures as JSON on stdout", &json },
	};
	const struct cmd_spec spec = {
		.command = "report", .operands = "RESULT.json", .opts = opts, .opt_count = 2, .least = 1, .most = 1,
		.about = "Says what a run did and how long it took, from what `kchain run --json` printed (\"-\": standard input).",
		.epilog = "kchain run IMAGE -c 8 --json >result.json && kchain report result.json --svg result.svg",
	};
	struct chain_error err = { 0 };
	struct report report;
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);
	if (code >= 0)
		return code;
	if (report_read(args.v[0], &report, &err)) {
		code = cmd_refuse(&err, json);
	} else {
		if (svg && write_svg(&report, svg, &err))
			code = cmd_refuse(&err, json);
		else if (json)
			code = cmd_json_print(as_json(&report)) ? CMD_OK : CMD_REFUSED;
		else
			print(&report), code = CMD_OK;
		report_free(&report);
	}
	cmd_args_free(&args);
	return code;
}
