/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how the command speaks: errors for people and programs, colours, sizes. */

#include "cmd.h"
#include "chain/json_memory.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 2 * CHAIN_SUBJECT_BYTES + 512 };

const char *cmd_style(FILE *to, enum cmd_style style)
{
	static const char *const CODES[] = {
		[CMD_PLAIN] = "\033[0m",  [CMD_BOLD] = "\033[1m",    [CMD_DIM] = "\033[2m",   [CMD_RED] = "\033[31m",
		[CMD_GREEN] = "\033[32m", [CMD_YELLOW] = "\033[33m", [CMD_CYAN] = "\033[36m",
	};
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	if ((no && *no) || (term && strcmp(term, "dumb") == 0) || !isatty(fileno(to)))
		return "";
	return CODES[style];
}

size_t cmd_columns(FILE *to)
{
	struct winsize size;
	return ioctl(fileno(to), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* A line may have several names of files in it; one that does not fit ends in "...". */
enum { LINE_BYTES = 16384 };

/* Foreign text behind `column` columns of a line on stderr; where that is a terminal's and too narrow, the rest stands
 * below, indented. */
static void put_wrapped(const char *text, size_t column)
{
	enum { INDENT = 4, LEAST_COLUMNS = 40 };
	char shown[4 * LINE_BYTES];
	const char *rest = shown;
	const size_t columns = cmd_columns(stderr);
	cmd_text_escape(text, strlen(text), shown, sizeof(shown));
	for (size_t line; columns >= LEAST_COLUMNS; rest += line + strspn(rest + line, " "), column = INDENT) {
		line = cmd_text_fitting(rest, columns > column ? columns - column : 1);
		if (!rest[line] || !line)
			break;
		fprintf(stderr, "%.*s\n%*s", (int)line, rest, INDENT, "");
	}
	fputs(rest, stderr);
}

/* What is said may have names in it that others chose. */
static void say(const char *command, enum cmd_style style, const char *format, va_list args)
{
	static const char cut[] = "...";
	char line[LINE_BYTES];
	if (vsnprintf(line, sizeof(line), format, args) >= (int)sizeof(line))
		memcpy(line + sizeof(line) - sizeof(cut), cut, sizeof(cut));
	fprintf(stderr, "%skchain%s%s:%s %s", cmd_style(stderr, CMD_BOLD), command ? " " : "", command ? command : "",
		cmd_style(stderr, CMD_PLAIN), cmd_style(stderr, style));
	put_wrapped(line, strlen("kchain: ") + (command ? strlen(command) + 1 : 0));
	fprintf(stderr, "%s\n", cmd_style(stderr, CMD_PLAIN));
}

void cmd_warn(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(NULL, CMD_PLAIN, format, args);
	va_end(args);
}

int cmd_usage(const char *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(command, CMD_PLAIN, format, args);
	va_end(args);
	fprintf(stderr, "  try 'kchain%s%s --help'\n", command ? " " : "", command ? command : "");
	return CMD_USAGE;
}

bool cmd_pipe_is_broken(FILE *stream)
{
	struct pollfd reader = { .fd = fileno(stream) };
	return ferror(stream) && poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR);
}

json_t *cmd_error_json(const struct chain_error *err, int code)
{
	char message[MESSAGE_BYTES], hint[MESSAGE_BYTES];
	chain_error_format(err, message, sizeof(message));
	chain_error_hint(err, hint, sizeof(hint));
	/* Subjects may be cut in the middle of a character or come from a hostile file: only UTF-8 goes into JSON. */
	json_t *subject = json_string(err->subject), *detail = json_string(err->detail), *text = json_string(message);
	return json_pack("{s:{s:s, s:o, s:o, s:o, s:s}, s:i}", "error", "slug", chain_status_slug(err->status),
			 "message", text ? text : json_null(), "subject", subject ? subject : json_null(), "detail",
			 detail ? detail : json_null(), "hint", hint, "exit", code);
}

void cmd_error_say(const char *hint, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	chain_json_memory_reset(); /* for what comes behind this error */
	say(NULL, CMD_RED, format, args);
	va_end(args);
	if (!*hint)
		return;
	fputs("  hint: ", stderr);
	put_wrapped(hint, strlen("  hint: "));
	fputc('\n', stderr);
}

int cmd_error_print(const struct chain_error *err, bool json, int code)
{
	char message[MESSAGE_BYTES], hint[MESSAGE_BYTES];
	chain_error_format(err, message, sizeof(message));
	chain_error_hint(err, hint, sizeof(hint));
	cmd_error_say(hint, "%s", message);
	if (json)
		cmd_json_print(cmd_error_json(err, code));
	return code;
}

int cmd_refuse(const struct chain_error *err, bool json)
{
	return cmd_error_print(err, json, CMD_REFUSED);
}

void cmd_error_in_file(struct chain_error *err, const char *path)
{
	char place[CHAIN_SUBJECT_BYTES];
	if (!strcmp(err->subject, path))
		return;
	memcpy(place, err->subject, sizeof(place));
	if (snprintf(err->subject, sizeof(err->subject), "%s: %s", path, place) >= (int)sizeof(err->subject))
		memcpy(err->subject + sizeof(err->subject) - 4, "...", 4);
}

/* jansson escapes what JSON wants escaped (RFC 8259 section 7); U+007F to U+009F are for terminals to obey, as the
 * others are. */
static size_t escape_controls(const char *text, char *out)
{
	size_t used = 0;
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		bool wide = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
		if (!wide && *at != 0x7f) {
			if (out)
				out[used] = (char)*at;
			used++;
			continue;
		}
		at += wide;
		if (out)
			snprintf(out + used, 7, "\\u%04x", *at);
		used += 6;
	}
	if (out)
		out[used] = '\0';
	return used;
}

char *cmd_json_text(const json_t *doc, size_t flags)
{
	char *text = doc ? json_dumps(doc, flags) : NULL;
	size_t bytes = text ? escape_controls(text, NULL) : 0;
	if (!text || bytes == strlen(text))
		return text;
	char *escaped = malloc(bytes + 1);
	if (escaped)
		escape_controls(text, escaped);
	else
		chain_json_memory_fail(bytes + 1);
	free(text);
	return escaped;
}

/* The whole of it or nothing: half a document is worse than none. */
static bool put_json(json_t *doc, size_t flags)
{
	char *text = cmd_json_text(doc, flags);
	json_decref(doc);
	if (!text) {
		cmd_warn("out of memory for the output");
		return false;
	}
	fputs(text, stdout);
	putchar('\n');
	free(text);
	return true;
}

/* Bytes of the UTF-8 character at the start of `bytes`, of which `count` are there; 0: none is. */
static size_t character_at(const char *bytes, size_t count)
{
	char character[5] = "";
	memcpy(character, bytes, count < 4 ? count : 4);
	return chain_utf8_bytes(character);
}

static bool is_utf8(const char *bytes, size_t count)
{
	size_t at = 0, step = 1;
	for (; at < count && step; at += step)
		step = character_at(bytes + at, count - at);
	return at >= count && step;
}

json_t *cmd_json_string(const char *bytes, size_t count)
{
	static const char REPLACEMENT[] = "\xef\xbf\xbd";
	if (is_utf8(bytes, count))
		return json_stringn(bytes, count);
	char *text = malloc(count * 3); /* at most so much: a byte becomes three */
	size_t used = 0;
	for (size_t at = 0; text && at < count;) {
		size_t step = character_at(bytes + at, count - at);
		memcpy(text + used, step ? bytes + at : REPLACEMENT, step ? step : 3);
		used += step ? step : 3;
		at += step ? step : 1;
	}
	json_t *string = text ? json_stringn(text, used) : NULL;
	free(text);
	return string;
}

bool cmd_json_set_text(json_t *object, const char *key, const char *bytes, size_t count)
{
	char name[64];
	if (json_object_set_new(object, key, cmd_json_string(bytes, count)) < 0)
		return false;
	if (is_utf8(bytes, count))
		return true;
	char *hex = malloc(2 * count + 1);
	if (!hex)
		chain_json_memory_fail(2 * count + 1);
	for (size_t i = 0; hex && i < count; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
	snprintf(name, sizeof(name), "%s_hex", key);
	bool good = hex && json_object_set_new(object, name, json_string(hex)) == 0;
	free(hex);
	return good;
}

json_t *cmd_json_of_file(const char *key, const char *path, json_t *rest)
{
	json_t *doc = json_object();
	bool good = rest && cmd_json_set_text(doc, key, path, strlen(path)) && json_object_update(doc, rest) == 0;
	json_decref(rest);
	if (good)
		return doc;
	json_decref(doc);
	return NULL;
}

bool cmd_json_print(json_t *doc)
{
	return put_json(doc, JSON_INDENT(2));
}

bool cmd_json_line(json_t *doc)
{
	bool good = put_json(doc, JSON_COMPACT);
	fflush(stdout);
	return good;
}

char *cmd_size_text(uint64_t bytes, char buf[CMD_SIZE_BYTES])
{
	static const char *const UNITS[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;
	uint64_t whole = bytes, rest = 0;
	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit && whole < 10 && rest)
		snprintf(buf, CMD_SIZE_BYTES, "%llu.%llu %s", (unsigned long long)whole,
			 (unsigned long long)(rest * 10 / 1024), UNITS[unit]);
	else
		snprintf(buf, CMD_SIZE_BYTES, "%llu %s", (unsigned long long)whole, UNITS[unit]);
	return buf;
}

void cmd_progress_start(struct cmd_progress *progress, const char *done)
{
	*progress = (struct cmd_progress){ .done = done };
	clock_gettime(CLOCK_MONOTONIC, &progress->start);
	progress->shown = progress->start;
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) * 1e-9;
}

void cmd_progress_add(struct cmd_progress *progress, uint64_t bytes)
{
	bool terminal = isatty(STDERR_FILENO) != 0;
	char size[CMD_SIZE_BYTES];
	struct timespec now;
	progress->bytes += bytes;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_between(&progress->start, &now) < 1.0 ||
	    seconds_between(&progress->shown, &now) < (terminal ? 0.1 : 5.0))
		return;
	progress->shown = now;
	fprintf(stderr, terminal ? "\r%s %s\033[K" : "%s %s\n", cmd_size_text(progress->bytes, size), progress->done);
}

void cmd_progress_end(const struct cmd_progress *progress)
{
	bool shown =
		progress->shown.tv_sec != progress->start.tv_sec || progress->shown.tv_nsec != progress->start.tv_nsec;
	if (shown && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
