/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain report`: what a run did over time, as a table and as a picture. */

#include "report.h"
#include "report_sweep.h"

#include "chain/cmd/run/run_view.h"

#include <stdlib.h>
#include <string.h>

static double busy_share(const struct report_fanout *f)
{
	double us = f->end - f->begin;
	return us > 0 && f->workers ? f->busy / us / (double)f->workers : 0;
}

static json_t *fanout_json(const struct report_fanout *f)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "step", f->name,
			 "kernels", (json_int_t)f->count, "turns", (json_int_t)f->turn_count, "ok", (json_int_t)f->ok,
			 "failed", (json_int_t)f->failed, "not_run", (json_int_t)f->not_run, "retried",
			 (json_int_t)f->retried, "workers", (json_int_t)f->workers, "cpus", (json_int_t)f->cpus, "us",
			 f->end - f->begin, "median_us", f->median, "p99_us", f->p99, "max_us", f->most, "busy",
			 busy_share(f));
}

json_t *report_json(const struct report *r)
{
	if (r->is_machine)
		return json_incref(r->doc);
	json_t *list = json_array();
	int bad = list ? 0 : -1;
	for (size_t i = 0; i < r->fanout_count; i++)
		bad |= json_array_append_new(list, fanout_json(&r->fanouts[i]));
	if (!bad && r->refused)
		return json_pack("{s:s, s:o}", "refused", r->refused, "fanouts", list);
	if (!bad)
		return json_pack("{s:I, s:I, s:I, s:o}", "links", (json_int_t)r->link_count, "steps",
				 (json_int_t)r->step_count, "left_out", (json_int_t)r->left_out, "fanouts", list);
	json_decref(list);
	return NULL;
}

/* At most `room` columns of a stranger's text, escaped, and as many of blanks. */
static void put_name(FILE *to, const char *name, size_t room)
{
	char shown[160];
	size_t columns = 0, at = 0;
	cmd_text_escape(name, strlen(name), shown, sizeof(shown));
	for (; shown[at] && columns < room; columns++)
		for (at++; ((unsigned char)shown[at] & 0xc0) == 0x80; at++)
			;
	fprintf(to, "%.*s%*s", (int)at, shown, (int)(room - columns), "");
}

static void print_step(const struct report_span *step, FILE *to)
{
	fputs("  ", to);
	put_name(to, step->name, 20);
	if (step->timed)
		fprintf(to, " %10.3f ms  ", (step->end - step->begin) / 1e3);
	else
		fprintf(to, " %10s     ", "");
	fputs(report_status_name(step->status), to);
	if (step->status != REPORT_OK && step->reason) {
		fputs(": ", to);
		cmd_text_put(to, step->reason);
	}
	fputc('\n', to);
	if (step->place) {
		fprintf(to, "%39sat ", "");
		cmd_text_put(to, step->place);
		fputc('\n', to);
	}
}

static void print_failures(const json_t *groups, FILE *to)
{
	enum { SHOWN = 10 };
	char text[RUN_FAILURE_BYTES];
	size_t count = json_array_size(groups);
	for (size_t i = 0; i < count && i < SHOWN; i++) {
		const json_t *group = json_array_get(groups, i);
		run_view_failure_text(group, text);
		fprintf(to, "  %-9s %lld x ", i ? "" : "failures",
			(long long)json_integer_value(json_object_get(group, "count")));
		cmd_text_put(to, text);
		fputc('\n', to);
	}
	if (count > SHOWN)
		fprintf(to, "  %-9s and for %zu more reasons\n", "", count - SHOWN);
}

static void print_fanout(const struct report_fanout *f, FILE *to)
{
	double us = f->end - f->begin;
	unsigned long long processors = (unsigned long long)f->workers * f->cpus;
	cmd_text_put(to, f->name);
	fprintf(to, ": %llu kernels: %llu ok, %llu failed, %llu not run; %llu retried\n", (unsigned long long)f->count,
		(unsigned long long)f->ok, (unsigned long long)f->failed, (unsigned long long)f->not_run,
		(unsigned long long)f->retried);
	print_failures(f->failures, to);
	if (!f->turn_count)
		return;
	fprintf(to,
		"  turns     %zu in %.1f ms: %.0f a second, on %llu processor%s,\n            which were busy %.0f %% "
		"of the time\n"
		"  duration  median %.3f ms, 99 %% within %.3f ms, longest %.3f ms\n",
		f->turn_count, us / 1e3, us > 0 ? (double)f->turn_count * 1e6 / us : 0, processors,
		processors == 1 ? "" : "s", busy_share(f) * 100, f->median / 1e3, f->p99 / 1e3, f->most / 1e3);
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

void report_print(const struct report *r, FILE *to)
{
	if (r->refused) {
		fputs("nothing was started: ", to);
		cmd_text_put(to, r->refused);
		fputc('\n', to);
		return;
	}
	if (r->is_machine) {
		report_machine_print(r, to);
		return;
	}
	fprintf(to, "%zu link%s, %zu step%s, %.1f ms\n", r->link_count, plural(r->link_count), r->step_count,
		plural(r->step_count), (r->end - r->begin) / 1e3);
	for (size_t i = 0; i < r->step_count; i++)
		print_step(&r->steps[i], to);
	for (size_t i = 0; i < r->fanout_count; i++)
		print_fanout(&r->fanouts[i], to);
	if (r->left_out)
		fprintf(to, "%llu row%s of kernels left out: no numbers that can be\n", (unsigned long long)r->left_out,
			r->left_out == 1 ? "" : "s");
}

/* `subject`: where the report was read. */
static enum chain_status write_svg(const struct report *r, const char *subject, const char *path,
				   struct chain_error *err)
{
	if (r->is_machine)
		return chain_fail_subject(err, CHAIN_E_REPORT_NONE, subject);
	size_t bytes = 0;
	char *svg = report_svg(r, &bytes);
	enum chain_status status =
		svg ? cmd_file_check_writable(path, err) : chain_fail_no_memory(err, path, bytes + 1);
	if (!status)
		status = cmd_file_write(path, svg, bytes, err);
	free(svg);
	return status;
}

static int of_run(const char *path, const struct cmd_list *symbols, const char *svg, bool json)
{
	struct symbols_places places = { .count = 0 };
	struct chain_error err = { 0 };
	struct report report;
	int code = CMD_OK;
	for (size_t i = 0; i < symbols->count && i < SYMBOLS_FOLDERS_MAX; i++)
		places.folders[places.count++] = symbols->v[i];
	if (report_read(path, places.count ? &places : NULL, &report, &err))
		return cmd_refuse(&err, json);
	if (svg && write_svg(&report, path, svg, &err))
		code = cmd_refuse(&err, json);
	else if (json)
		code = cmd_json_print(report_json(&report)) ? CMD_OK : CMD_REFUSED;
	else
		report_print(&report, stdout);
	report_free(&report);
	return code;
}

int cmd_report(int argc, char **argv)
{
	bool json = false;
	const char *svg = NULL, *csv = NULL;
	struct cmd_list symbols = { 0 };
	const struct cmd_opt opts[] = {
		{ "symbols", 0, CMD_OPT_LIST, "FOLDER",
		  "look there for the symbols of kernels that faulted, where the document does not say the place",
		  &symbols },
		{ "svg", 's', CMD_OPT_TEXT, "FILE",
		  "draw links, steps and processors over time; of a sweep its instances", &svg },
		{ "csv", 0, CMD_OPT_TEXT, "FILE", "of a sweep: write a line an instance, for tools of your own", &csv },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print the figures as JSON on stdout", &json },
	};
	const struct cmd_spec spec = {
		.command = "report",
		.operands = "RESULT.json|RESULTS.jsonl",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 1,
		.most = 1,
		.about = "Says what a run did and how long it took, from what `kchain run --json` printed\n"
			 "(\"-\": standard input), or from the handoff that `--result` wrote; what a machine\n"
			 "is, from what `--bootinfo` wrote; and what a sweep came to, from the results that `kchain "
			 "sweep` wrote.",
		.epilog = "example: kchain run image.elf -c 8 --json >result.json\n"
			  "         kchain report result.json --svg result.svg",
	};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);
	if (code >= 0)
		return code;
	code = report_sweep(args.v[0], svg, csv, json);
	if (code < 0)
		code = csv ? cmd_usage("report", "--csv: %s has no results of a sweep", args.v[0]) :
			     of_run(args.v[0], &symbols, svg, json);
	cmd_args_free(&args);
	return code;
}
