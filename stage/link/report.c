/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/report.h"

#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/runtime.h"
#include "stage/start.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Milliseconds since the first link's entry. A rate of the counter that nobody asked for is not measured for a line of
 * text: as long as it is not known, there is a dash. */
static int put_time(char *buf, size_t size)
{
	if (!stage_tsc_hz_reported())
		return (int)strlen(strcpy(buf, "        - ms"));
	uint64_t us = stage_clock_us();
	return snprintf(buf, size, "%5" PRIu64 ".%03" PRIu64 " ms", us / 1000, us % 1000);
}

void stage_say(const char *what, const char *format, ...)
{
	enum { LINE = 512 };
	char line[LINE];
	if (!stage_console_is_open())
		return;
	int used = put_time(line, sizeof(line));
	used += snprintf(line + used, sizeof(line) - (size_t)used, "  %-8s ", what);
	va_list args;
	va_start(args, format);
	int text = vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
	va_end(args);
	size_t bytes = (size_t)used + (size_t)(text < 0 ? 0 : text);
	if (bytes > sizeof(line) - 2) {
		memcpy(line + sizeof(line) - 5, "...", 3); /* said to be cut */
		bytes = sizeof(line) - 2;
	}
	line[bytes++] = '\n';
	stage_console_write(line, bytes);
}

/* Sends the text, which is owned here, or says that there was no memory for it. */
static void send(char *text, uint64_t bytes)
{
	if (text)
		stage_record(text, bytes);
	else
		stage_say("memory", "a record was lost: out of memory");
	chain_json_memory_reset();
	free(text);
}

void stage_record_event(json_t *event)
{
	if (event && stage_tsc_hz_known()) /* docs/RECORDS.md: on the handoff's clock */
		json_object_set_new(event, "us", json_integer((json_int_t)stage_clock_us()));
	uint64_t bytes = 0;
	char *text = event ? chain_json_text(event, 0, &bytes) : NULL;
	send(text, bytes);
	json_decref(event);
}

void stage_record_members_of(int kind, ...)
{
	uint64_t bytes = 0;
	bool timed = stage_tsc_hz_known();
	va_list args;
	va_start(args, kind);
	char *text = chain_json_object_text(kind, args, timed ? "us" : NULL, timed ? (json_int_t)stage_clock_us() : 0,
					    &bytes);
	va_end(args);
	send(text, bytes);
}

/* Not copied together: it is the longest record there is. A step's name has no character that JSON would write
 * otherwise (chain_config_name_ok). */
void stage_record_handoff(const char *step, const char *text)
{
	char us[40] = "";
	if (stage_tsc_hz_known())
		snprintf(us, sizeof(us), ",\"us\":%" PRIu64, stage_clock_us());
	const char *const parts[] = { "{\"event\":\"handoff\",\"step\":\"", step, "\",\"doc\":", text, us, "}" };
	stage_record_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

_Noreturn void stage_cannot_start(const struct chain_error *err)
{
	stage_report_error(NULL, err);
	stage_record_members(CHAIN_TEXT("event", "end"), CHAIN_TEXT("status", "failed"));
	stage_exit(STAGE_EXIT_FAULT);
}

/* A message about a step begins with its name, which is said beside it already. */
static const char *without_name(const char *step, const char *message)
{
	size_t bytes = step ? strlen(step) : 0;
	bool named = bytes && !strncmp(message, step, bytes) && message[bytes] == ':' && message[bytes + 1] == ' ';
	return named ? message + bytes + 2 : message;
}

void stage_report_error(const char *step, const struct chain_error *err)
{
	char message[2 * CHAIN_SUBJECT_BYTES + CHAIN_TEXT_BYTES], hint[CHAIN_SUBJECT_BYTES + CHAIN_TEXT_BYTES];
	chain_error_hint(err, hint, sizeof(hint));
	chain_json_memory_reset();
	chain_error_format(err, message, sizeof(message));
	const char *what = without_name(step, message);
	stage_say("error", "%s%s%s", step ? step : "", step ? ": " : "", what);
	if (*hint)
		stage_say("", "try: %s", hint);
	stage_record_members(CHAIN_TEXT("event", "error"), CHAIN_TEXT("slug", chain_status_slug(err->status)),
			     CHAIN_TEXT("step", step), CHAIN_TEXT("message", what), CHAIN_TEXT("hint", hint));
}
