/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how what a machine writes looks to a person: its lines between the records, with their times. */

#include "run_view.h"

#include <ctype.h>
#include <string.h>

/* More of one line (a document, mostly) than this is for `--verbose`, `--console` and pipes. */
enum { LINE_SHOWN = 300 };

/* The stage's lines for people ("    2.140 ms  step     …") say what its records say: shown once is enough. */
static bool is_report(const char *line, size_t count)
{
	static const char unit[] = " ms  ";
	size_t at = 0, digits = 0;
	while (at < count && line[at] == ' ')
		at++;
	if (at < count && line[at] == '-') { /* the time is not known */
		at++;
	} else {
		for (; at < count && isdigit((unsigned char)line[at]); at++)
			digits++;
		if (!digits || at + 4 > count || line[at] != '.')
			return false;
		at += 4;
	}
	return count - at >= sizeof(unit) - 1 && memcmp(line + at, unit, sizeof(unit) - 1) == 0;
}

static void show(struct run_view *view, const char *text, size_t count, uint64_t more)
{
	if (!view->verbose && count + more > LINE_SHOWN) {
		size_t kept = count < LINE_SHOWN ? count : LINE_SHOWN;
		while (kept && kept < count && ((unsigned char)text[kept] & 0xc0) == 0x80)
			kept--; /* not in the middle of a character */
		more += count - kept;
		count = kept;
	}
	run_view_end_live(view);
	FILE *to = view->to;
	const char *dim = cmd_style(to, CMD_DIM), *plain = cmd_style(to, CMD_PLAIN);
	char time[RUN_VIEW_TIME_BYTES];
	fprintf(to, "%s%s  │%s %.*s", dim, run_view_time(view, view->now, time), plain, (int)count, text);
	if (more)
		fprintf(to, "%s… and %llu bytes%s", dim, (unsigned long long)more, plain);
	fputc('\n', to);
	fflush(to);
}

static void flush_line(struct run_view *view, struct view_line *line)
{
	size_t count = line->used;
	uint64_t more = line->more;
	if (!count)
		return;
	line->used = 0;
	line->more = 0;
	line->dropping = !view->verbose && is_report(line->text, count);
	if (!line->dropping)
		show(view, line->text, count, more);
}

/* A whole character, or a newline or tab. */
static void put(struct run_view *view, struct view_line *line, const char *bytes, size_t count)
{
	if (bytes[0] == '\n') {
		flush_line(view, line);
		line->dropping = false;
		return;
	}
	if (line->dropping)
		return;
	if (line->used + count > sizeof(line->text) && view->verbose)
		flush_line(view, line);
	if (line->used + count <= sizeof(line->text) && !line->more) {
		memcpy(line->text + line->used, bytes, count);
		line->used += count;
	} else {
		line->more += count;
	}
}

/* One or two characters at a time come out of a byte: what was wrong, and what it is itself. */
static void put_each(struct run_view *view, struct view_line *line, const char *bytes, size_t count)
{
	for (size_t at = 0, next; at < count; at = next) {
		for (next = at + 1; next < count && ((unsigned char)bytes[next] & 0xc0) == 0x80; next++)
			;
		put(view, line, bytes + at, next - at);
	}
}

void run_view_flush(struct run_view *view)
{
	for (int i = 0; i < RECORDS_CHANNEL_COUNT; i++)
		flush_line(view, &view->lines[i]);
}

void run_view_text(struct run_view *view, enum records_channel from, const char *bytes, size_t count)
{
	struct view_line *line = &view->lines[from];
	char out[PLAIN_TEXT_MOST];
	bool raw = view->raw && from == RECORDS_CONSOLE;
	if (view->through && from == RECORDS_CONSOLE) {
		fwrite(bytes, 1, count, stdout);
		fflush(stdout);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t used = plain_text_take(&line->plain, (unsigned char)bytes[i], out);
		if (raw)
			fwrite(out, 1, used, stdout);
		else
			put_each(view, line, out, used);
	}
	if (raw)
		fflush(stdout);
}
