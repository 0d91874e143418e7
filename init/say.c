/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "say.h"

#include "chain/json_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

enum { DEBUG_PORT = 0xe9, EXIT_PORT = 0xf4, EXIT_OK = 0x10, EXIT_CHILD_FAILED = 0x11 };
static const char record_mark[] = "@kchain ";
enum { MARK_BYTES = sizeof(record_mark) - 1 };

static bool debug_port, line_begun;

static void write_all(const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t done = write(STDOUT_FILENO, bytes, count);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* there is no other place to say so */
		bytes += done;
		count -= (size_t)done;
	}
}

void init_say_begin(void)
{
	int console = open("/dev/console", O_RDWR | O_NOCTTY);
	for (int fd = 0; console >= 0 && fd < 3; fd++)
		dup2(console, fd);
	if (console > 2)
		close(console);
	debug_port = !ioperm(DEBUG_PORT, 1, 1) && inb(DEBUG_PORT) == DEBUG_PORT;
}

static void end_line(void)
{
	if (line_begun)
		write_all("\n", 1);
	line_begun = false;
}

void init_say(const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	int bytes = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	size_t used = bytes < 0 ? 0 : (size_t)bytes;
	if (used > sizeof(line) - 2) {
		used = sizeof(line) - 2;
		memcpy(line + used - 3, "...", 3);
	}
	line[used++] = '\n';
	end_line();
	write_all("kchain: ", 8);
	write_all(line, used);
}

/* --- what the program writes --- */

static void put(const char *bytes, size_t count)
{
	write_all(bytes, count);
	if (count > 0)
		line_begun = bytes[count - 1] != '\n';
}

/* The beginning of a line, or what there is of it. True: it was a forged record. */
static bool put_begin(struct init_stream *stream, bool whole)
{
	bool forged = whole && stream->held_bytes == MARK_BYTES;
	if (forged)
		put("> ", 2);
	put(stream->held, stream->held_bytes);
	stream->held_bytes = 0;
	return forged;
}

bool init_say_bytes(struct init_stream *stream, const char *bytes, size_t count, bool flush)
{
	bool forged = false;
	for (size_t at = 0; at < count;) {
		bool begins = stream->held_bytes || !line_begun;
		if (begins && bytes[at] == record_mark[stream->held_bytes]) {
			stream->held[stream->held_bytes++] = bytes[at++];
			if (stream->held_bytes == MARK_BYTES)
				forged |= put_begin(stream, true);
			continue;
		}
		put_begin(stream, false);
		const char *end = memchr(bytes + at, '\n', count - at);
		size_t line = end ? (size_t)(end - bytes) + 1 - at : count - at;
		put(bytes + at, line);
		at += line;
	}
	if (flush)
		put_begin(stream, false);
	return forged;
}

/* --- for programs --- */

void init_record(json_t *record)
{
	uint64_t bytes;
	char *text = record ? chain_json_text(record, 0, &bytes) : NULL;
	json_decref(record);
	if (!text)
		return;
	if (debug_port) {
		outsb(DEBUG_PORT, text, bytes);
		outb('\n', DEBUG_PORT);
	} else {
		end_line();
		write_all(record_mark, MARK_BYTES);
		write_all(text, bytes);
		write_all("\n", 1);
	}
	free(text);
}

void init_say_error(const struct chain_error *err)
{
	char message[1024], hint[512];
	chain_error_format(err, message, sizeof(message));
	chain_error_hint(err, hint, sizeof(hint));
	init_say("%s", message);
	if (hint[0])
		init_say("  %s", hint);
	/* The library's own slugs are four kilobytes, and the message says it. */
	init_record(
		chain_json_object(CHAIN_TEXT("event", "error"),
				  CHAIN_TEXT("slug", err->status == CHAIN_E_INIT_START ? "init-start" : "init-failed"),
				  CHAIN_TEXT("message", message), CHAIN_TEXT("hint", hint)));
}

void init_exit_port(int status)
{
	if (debug_port && !ioperm(EXIT_PORT, 4, 1))
		outl(status ? EXIT_CHILD_FAILED : EXIT_OK, EXIT_PORT);
}

void init_say_forget_port(void)
{
	ioperm(DEBUG_PORT, 1, 0);
}
