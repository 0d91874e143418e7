/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void run_view_init(struct run_view *view, FILE *to, bool raw, bool verbose)
{
	*view = (struct run_view){ .to = to, .raw = raw, .verbose = verbose, .columns = cmd_columns(to) };
}

bool run_view_together(FILE *a, FILE *b)
{
	struct stat one, two;
	if (fstat(fileno(a), &one) < 0 || fstat(fileno(b), &two) < 0)
		return false;
	return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

void run_view_end_live(struct run_view *view)
{
	if (view->live)
		fputs("\r\033[K", view->to);
	view->live = false;
}

const char *run_view_time(const struct run_view *view, double at, char out[RUN_VIEW_TIME_BYTES])
{
	if (view->untimed)
		snprintf(out, RUN_VIEW_TIME_BYTES, "%9s", "-");
	else
		snprintf(out, RUN_VIEW_TIME_BYTES, "%9.3f", at);
	return out;
}

/* One line, and where that is a terminal's and too narrow, more of them below the first one's text. */
static void print(struct run_view *view, double at, enum cmd_style style, const char *name, const char *text)
{
	enum { COLUMN = 22 };
	char what[VIEW_NAME_BYTES], shown[4 * VIEW_LINE_BYTES], time[RUN_VIEW_TIME_BYTES];
	cmd_text_escape(name, strlen(name), what, sizeof(what));
	cmd_text_escape(text, strlen(text), shown, sizeof(shown));
	run_view_end_live(view);
	FILE *to = view->to; /* an unfinished line of the console waits: it is shown whole or when nothing more comes */
	int used =
		fprintf(to, "%s%s%s", cmd_style(to, CMD_DIM), run_view_time(view, at, time), cmd_style(to, CMD_PLAIN));
	fprintf(to, "  %s%-10.32s%s ", cmd_style(to, style), what, cmd_style(to, CMD_PLAIN));
	size_t column = strlen(what) > 10 ? COLUMN + strlen(what) - 10 : COLUMN;
	const char *rest = shown;
	for (size_t line; view->columns > 2 * COLUMN && used > 0;
	     rest += line + strspn(rest + line, " "), column = COLUMN) {
		line = cmd_text_fitting(rest, view->columns > column ? view->columns - column : 1);
		if (!rest[line] || !line)
			break;
		fprintf(to, "%.*s\n%*s", (int)line, rest, COLUMN, "");
	}
	fprintf(to, "%s\n", rest);
	fflush(to);
}

void run_view_note(struct run_view *view, enum cmd_style style, const char *what, const char *format, ...)
{
	char text[VIEW_LINE_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print(view, view->now, style, what, text);
}

/* --- records --- */

static const char *text_of(const json_t *doc, const char *key)
{
	const char *text = json_string_value(json_object_get(doc, key));
	return text ? text : "";
}

/* How long since the step began: by the machine's own clock where both records have it, else by ours. */
static double step_seconds(const struct run_view *view, double at, const json_t *doc)
{
	const json_t *us = json_object_get(doc, "us");
	if (view->step_us >= 0 && json_is_integer(us) && json_integer_value(us) >= view->step_us)
		return (double)(json_integer_value(us) - view->step_us) / 1e6;
	return at - view->step_at;
}

static void join(char *out, size_t size, const char *glue, const char *text)
{
	size_t used = strlen(out);
	if (*text)
		snprintf(out + used, size - used, "%s%s", used ? glue : "", text);
}

static void join_list(char *out, size_t size, const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item)
		if (json_is_string(item))
			join(out, size, " ", json_string_value(item));
}

static void describe_net(const json_t *entry, char *out, size_t size)
{
	join_list(out, size, json_object_get(entry, "addresses"));
	const json_t *gateway = json_array_get(json_object_get(entry, "gateways"), 0);
	if (json_is_string(gateway))
		join(out, size, " via ", json_string_value(gateway));
	join(out, size, "  ", text_of(entry, "driver"));
	join(out, size, " ", text_of(entry, "mac"));
}

static void describe_block(const json_t *entry, char *out, size_t size)
{
	char text[CMD_SIZE_BYTES];
	const json_t *bytes = json_object_get(entry, "bytes");
	uint64_t count = json_is_integer(bytes) ? (uint64_t)json_integer_value(bytes) : 0;
	if (json_is_string(bytes) && !cmd_address_parse(json_string_value(bytes), &count))
		count = 0;
	join(out, size, "", count ? cmd_size_text(count, text) : "");
	join(out, size, "  ", text_of(entry, "driver"));
	join(out, size, " serial ", text_of(entry, "serial"));
	if (json_is_true(json_object_get(entry, "read_only")))
		join(out, size, " ", "read-only");
}

static void show_entry(struct run_view *view, double at, const json_t *doc, bool net)
{
	const json_t *entry = json_object_get(doc, "entry");
	char about[VIEW_LINE_BYTES / 2] = "", text[VIEW_LINE_BYTES];
	const char *status = text_of(entry, "status"), *reason = text_of(entry, "reason");
	if (*reason)
		join(about, sizeof(about), "", reason);
	else if (net)
		describe_net(entry, about, sizeof(about));
	else
		describe_block(entry, about, sizeof(about));
	snprintf(text, sizeof(text), "%s%s%s", status, *about ? "  " : "", about);
	print(view, at, strcmp(status, "absent") == 0 ? CMD_YELLOW : CMD_CYAN, text_of(doc, "name"), text);
}

static void show_entered(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	const char *image = text_of(doc, "image");
	snprintf(view->name, sizeof(view->name), "%s", text_of(doc, "name"));
	snprintf(text, sizeof(text), "entered by %.40s%s%.19s", text_of(doc, "door"), *image ? ", " : "", image);
	print(view, at, CMD_BOLD, view->name, text);
}

static json_int_t number_of(const json_t *doc, const char *key)
{
	return json_integer_value(json_object_get(doc, key));
}

/* Which try it is, and what it stands in for. */
static void describe_turn(const json_t *doc, char *out, size_t size)
{
	const char *failed = text_of(doc, "instead_of");
	json_int_t retry = number_of(doc, "retry");
	out[0] = '\0';
	if (retry > 0)
		snprintf(out, size, "  retry %lld of %lld", (long long)retry, (long long)number_of(doc, "retries"));
	else if (*failed)
		snprintf(out, size, "  because %.64s failed", failed);
}

static void show_step(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	snprintf(view->source, sizeof(view->source), "%s", text_of(doc, "source"));
	describe_turn(doc, view->turn, sizeof(view->turn));
	view->step_at = at;
	const json_t *us = json_object_get(doc, "us");
	view->step_us = json_is_integer(us) ? json_integer_value(us) : -1;
	if (strcmp(text_of(doc, "kind"), "call") != 0)
		return; /* the `boot` record comes when it is done */
	snprintf(text, sizeof(text), "call  %.800s%s", view->source, view->turn);
	print(view, at, CMD_BOLD, text_of(doc, "name"), text);
}

/* On a terminal one line that is written again and again; nothing elsewhere, where it would be a flood. */
static void show_progress(struct run_view *view, const json_t *doc)
{
	json_int_t done = number_of(doc, "ok") + number_of(doc, "failed");
	if (!isatty(fileno(view->to)) || view->raw)
		return;
	double seconds = view->now - (view->live ? view->live_at : view->step_at);
	double rate = seconds > 0 ? (double)(done - (view->live ? view->live_done : 0)) / seconds : 0;
	char text[VIEW_LINE_BYTES], name[VIEW_NAME_BYTES];
	cmd_text_escape(text_of(doc, "step"), strlen(text_of(doc, "step")), name, sizeof(name));
	snprintf(text, sizeof(text), "%lld of %lld done, %lld running, %lld queued, %lld failed, %.0f/s",
		 (long long)done, (long long)number_of(doc, "total"), (long long)number_of(doc, "running"),
		 (long long)number_of(doc, "queued"), (long long)number_of(doc, "failed"), rate);
	run_view_end_live(view);
	fprintf(view->to, "%s%9.3f  %-10.32s %s%s", cmd_style(view->to, CMD_DIM), view->now, name, text,
		cmd_style(view->to, CMD_PLAIN));
	fflush(view->to);
	view->live = true;
	view->live_at = view->now;
	view->live_done = done;
}

/* "998 of 1000 ok, 2 failed, 3 retried, on 7 processors, 8476/s" */
static void describe_fanout(const json_t *doc, char *out, size_t size)
{
	json_int_t turns = number_of(doc, "ok") + number_of(doc, "failed") + number_of(doc, "retried");
	const json_t *machine = json_object_get(doc, "machine");
	json_int_t cpus = number_of(machine, "cpus"),
		   processors = number_of(machine, "workers") * (cpus > 0 ? cpus : 1);
	json_int_t us = number_of(doc, "ended_us") - number_of(doc, "begun_us");
	int used = snprintf(out, size, "%lld of %lld ok", (long long)number_of(doc, "ok"),
			    (long long)number_of(doc, "count"));
	static const struct {
		const char *key, *word;
	} more[] = { { "failed", "failed" }, { "not_run", "not run" }, { "retried", "retried" } };
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (number_of(doc, more[i].key) && (size_t)used < size)
			used += snprintf(out + used, size - (size_t)used, ", %lld %s",
					 (long long)number_of(doc, more[i].key), more[i].word);
	if ((size_t)used < size)
		snprintf(out + used, size - (size_t)used, "  %lld processor%s, %.0f/s", (long long)processors,
			 processors == 1 ? "" : "s", us > 0 ? (double)turns * 1e6 / (double)us : 0);
}

/* Where a kernel faulted; and what it had in its registers, for who wants to know all. */
static void show_fault(struct run_view *view, double at, const json_t *fault)
{
	char text[VIEW_LINE_BYTES] = "";
	const char *name, *place = text_of(fault, "place");
	json_t *value;
	if (*place) {
		snprintf(text, sizeof(text), "at %.900s", place);
		print(view, at, CMD_PLAIN, "", text);
	}
	text[0] = '\0';
	json_object_foreach (json_object_get(fault, "registers"), name, value) {
		join(text, sizeof(text), "  ", name);
		join(text, sizeof(text), " ", json_is_string(value) ? json_string_value(value) : "");
	}
	if (view->verbose && *text)
		print(view, at, CMD_PLAIN, "", text);
}

static void show_stop(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	snprintf(text, sizeof(text), "%.80s at %.40s, address %.40s",
		 *text_of(doc, "name") ? text_of(doc, "name") : "exception", text_of(doc, "rip"),
		 text_of(doc, "address"));
	print(view, at, CMD_RED, "fault", text);
	show_fault(view, at, doc);
}

static void show_result(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	const char *status = text_of(doc, "status"), *reason = text_of(doc, "reason");
	const json_t *number = json_object_get(doc, "exit");
	int used = snprintf(text, sizeof(text), "%s", status);
	if (json_object_get(doc, "count")) {
		used += snprintf(text + used, sizeof(text) - (size_t)used, "  ");
		describe_fanout(doc, text + used, 256);
		used = (int)strlen(text);
	} else if (json_is_integer(number) && json_integer_value(number) >= 0)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "  exit %lld",
				 (long long)json_integer_value(number));
	if (!view->untimed)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "  %.1f ms",
				 step_seconds(view, at, doc) * 1e3);
	snprintf(text + used, sizeof(text) - (size_t)used, "%s%.300s", *reason ? "  " : "", reason);
	print(view, at, strcmp(status, "ok") == 0 ? CMD_GREEN : CMD_RED, text_of(doc, "step"), text);
	show_fault(view, at, json_object_get(doc, "fault"));
	run_view_failures(view, json_object_get(doc, "failures"));
}

static void show_boot(struct run_view *view, double at, const json_t *doc)
{
	char text[2 * VIEW_LINE_BYTES], size[CMD_SIZE_BYTES];
	const json_t *copied = json_object_get(doc, "bytes_copied");
	int used = snprintf(text, sizeof(text), "boot  %.800s%s", view->source, view->turn);
	if (json_is_integer(copied) && json_integer_value(copied) >= 0)
		snprintf(text + used, sizeof(text) - (size_t)used, "  %s moved",
			 cmd_size_text((uint64_t)json_integer_value(copied), size));
	print(view, at, CMD_BOLD, text_of(doc, "step"), text);
}

static void show_skipped(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	char *found = json_dumps(json_object_get(doc, "found"), JSON_COMPACT | JSON_ENCODE_ANY);
	snprintf(text, sizeof(text), "skipped  %.200s is %.300s", text_of(doc, "fact"), found ? found : "null");
	free(found);
	print(view, at, CMD_DIM, text_of(doc, "step"), text);
}

static void show_error(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	const char *step = text_of(doc, "step"), *hint = text_of(doc, "hint");
	snprintf(text, sizeof(text), "%s%s%s", step, *step ? ": " : "", text_of(doc, "message"));
	print(view, at, CMD_RED, "error", text);
	if (!*hint)
		return;
	snprintf(text, sizeof(text), "hint: %s", hint);
	print(view, at, CMD_PLAIN, "", text);
}

/* A root's program: where the kernel has done its part. */
static void show_application(struct run_view *view, double at, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	size_t used = 0;
	const json_t *argv = json_object_get(doc, "argv");
	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(argv) && used < sizeof(text) - 8; i++) {
		const char *word = json_string_value(json_array_get(argv, i));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", i ? " " : "",
					 (int)(sizeof(text) - used - 8), word ? word : "");
	}
	print(view, at, CMD_PLAIN, json_is_true(json_object_get(doc, "shell")) ? "shell" : "program", text);
}

static void show_other(struct run_view *view, double at, enum record_event event, const json_t *doc)
{
	char text[VIEW_LINE_BYTES];
	if (!view->verbose)
		return;
	char *dump = json_dumps(doc, JSON_COMPACT);
	snprintf(text, sizeof(text), "%s", dump ? dump : "");
	free(dump);
	print(view, at, CMD_DIM, record_event_name(event), text);
}

void run_view_record(struct run_view *view, enum record_event event, const json_t *doc)
{
	double at = view->now; /* when it arrived: one clock for records and console, so times never go back */
	switch (event) {
	case RECORD_ENTERED:
		show_entered(view, at, doc);
		break;
	case RECORD_NET:
	case RECORD_BLOCK:
		show_entry(view, at, doc, event == RECORD_NET);
		break;
	case RECORD_STEP:
		show_step(view, at, doc);
		break;
	case RECORD_RESULT:
		show_result(view, at, doc);
		break;
	case RECORD_FAULT:
		show_stop(view, at, doc);
		break;
	case RECORD_PROGRESS:
		show_progress(view, doc);
		break;
	case RECORD_SKIPPED:
		show_skipped(view, at, doc);
		break;
	case RECORD_BOOT:
		show_boot(view, at, doc);
		break;
	case RECORD_APPLICATION:
		show_application(view, at, doc);
		break;
	case RECORD_ERROR:
		show_error(view, at, doc);
		break;
	default:
		show_other(view, at, event, doc);
		break;
	}
}
