/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "records.h"

#include "chain/json.h"
#include "chain/json_memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 6 };

/* Types as letters: s string, i integer, o object, l list, a anything; upper case: may be absent or null. */
struct field {
	const char *name;
	char type;
};

static const struct form {
	const char *event;
	struct field fields[FIELDS_MAX];
} FORMS[RECORD_EVENT_COUNT] = {
	[RECORD_ENTERED] = { "entered",
			     { { "link", 'i' },
			       { "name", 's' },
			       { "image", 'S' },
			       { "door", 's' },
			       { "ticks", 'A' },
			       { "tsc_hz", 'I' } } },
	[RECORD_BOOTINFO] = { "bootinfo", { { "doc", 'o' } } },
	[RECORD_DEVICE] = { "device", { { "class", 'S' } } },
	[RECORD_NET] = { "net", { { "name", 's' }, { "entry", 'o' } } },
	[RECORD_BLOCK] = { "block", { { "name", 's' }, { "entry", 'o' } } },
	[RECORD_STEP] = { "step",
			  { { "name", 's' },
			    { "kind", 's' },
			    { "source", 's' },
			    { "digest", 'S' },
			    { "sha256", 'S' } } },
	[RECORD_RESULT] = { "result",
			    { { "step", 's' },
			      { "status", 's' },
			      { "exit", 'I' },
			      { "reason", 'S' },
			      { "failures", 'L' } } },
	[RECORD_HANDOFF] = { "handoff", { { "step", 'S' }, { "doc", 'o' } } },
	[RECORD_SKIPPED] = { "skipped", { { "step", 's' }, { "fact", 's' }, { "wanted", 'A' }, { "found", 'A' } } },
	[RECORD_KERNELS] = { "kernels", { { "step", 's' }, { "rows", 'l' } } },
	[RECORD_PROGRESS] = { "progress",
			      { { "step", 's' },
				{ "running", 'i' },
				{ "queued", 'I' },
				{ "ok", 'i' },
				{ "failed", 'i' },
				{ "total", 'i' } } },
	[RECORD_BOOT] = { "boot",
			  { { "step", 's' },
			    { "kernel", 'S' },
			    { "expect", 'A' },
			    { "bytes_copied", 'I' },
			    { "bytes_free", 'I' } } },
	[RECORD_ERROR] = { "error", { { "slug", 's' }, { "message", 's' }, { "step", 'S' }, { "hint", 'S' } } },
	[RECORD_APPLICATION] = { "application", { { "argv", 'l' }, { "pid", 'I' }, { "uid", 'I' }, { "gid", 'I' } } },
	[RECORD_OUTPUT] = { "output", { { "stdout", 'l' }, { "stderr", 'l' } } },
	[RECORD_FAULT] = { "fault", { { "vector", 'I' }, { "name", 'S' }, { "rip", 'S' }, { "address", 'S' } } },
	[RECORD_EXIT] = { "exit", { { "status", 'i' }, { "reason", 'S' } } },
	[RECORD_ECHO] = { "echo", { { "doc", 'o' } } },
	[RECORD_END] = { "end", { { "status", 's' }, { "reason", 'S' } } },
};

void record_digest(const json_t *doc, const char *key, const char *earlier_key, char out[CHAIN_DIGEST_TEXT_BYTES])
{
	const char *text = json_string_value(json_object_get(doc, key)),
		   *hex = json_string_value(json_object_get(doc, earlier_key));
	struct chain_digest digest = { .kind = CHAIN_DIGEST_SHA256 };
	out[0] = '\0';
	if (text ? chain_digest_parse(text, &digest) : hex && chain_sha256_from_hex(hex, strlen(hex), digest.bytes))
		chain_digest_text(&digest, out);
}

const char *record_event_name(enum record_event event)
{
	return event < RECORD_EVENT_COUNT ? FORMS[event].event : "unknown";
}

static bool field_fits(const struct field *field, const json_t *value)
{
	bool optional = field->type >= 'A' && field->type <= 'Z';
	if (!value || json_is_null(value))
		return optional;
	switch (field->type | 0x20) {
	case 's':
		return json_is_string(value);
	case 'i':
		return json_is_integer(value);
	case 'o':
		return json_is_object(value);
	case 'l':
		return json_is_array(value);
	default:
		return true;
	}
}

static const char *form_check(const struct form *form, const json_t *doc)
{
	for (size_t i = 0; i < FIELDS_MAX && form->fields[i].name; i++)
		if (!field_fits(&form->fields[i], json_object_get(doc, form->fields[i].name)))
			return json_object_get(doc, form->fields[i].name) ? "has a field of the wrong type" :
									    "lacks a field";
	return NULL;
}

static const char *doc_check(const json_t *doc, enum record_event *out_event, bool *out_known)
{
	const json_t *name = json_object_get(doc, "event"), *us = json_object_get(doc, "us");
	if (!json_is_string(name))
		return "has no event";
	if (us && !json_is_integer(us) && !json_is_null(us))
		return "has a field of the wrong type";
	for (int i = 0; i < RECORD_EVENT_COUNT; i++) {
		if (strcmp(FORMS[i].event, json_string_value(name)) != 0)
			continue;
		*out_event = (enum record_event)i;
		*out_known = true;
		return form_check(&FORMS[i], doc);
	}
	*out_known = false;
	return NULL;
}

json_t *record_parse(const char *line, size_t count, enum record_event *out_event, const char **why)
{
	bool known = false;
	json_t *doc = NULL;
	enum chain_status status = CHAIN_OK;
	*why = NULL;
	if (count > RECORDS_LINE_MAX)
		*why = "is too long";
	else
		status = chain_json_any(line, count, RECORDS_DEPTH_MAX, "", &doc, NULL);
	if (status == CHAIN_E_NO_MEMORY) {
		*why = "can't be read for lack of memory";
		chain_json_memory_reset();
	} else if (!*why && !json_is_object(doc)) {
		*why = "is not a JSON object";
	} else if (!*why) {
		*why = doc_check(doc, out_event, &known);
	}
	if (!*why && known)
		return doc;
	json_decref(doc);
	return NULL;
}

void records_init(struct records *records, enum records_channel channel, struct records_sink sink)
{
	*records = (struct records){ .channel = channel, .sink = sink };
}

void records_free(struct records *records)
{
	free(records->line);
	records->line = NULL;
	records->used = records->room = 0;
}

static void refuse(struct records *records, const char *why)
{
	records->bad++;
	if (records->sink.bad)
		records->sink.bad(records->sink.ctx, why);
}

static void text(struct records *records, const char *bytes, size_t count)
{
	if (count && records->sink.text)
		records->sink.text(records->sink.ctx, bytes, count);
}

/* What was taken for a record is text after all. */
static void give_back(struct records *records)
{
	text(records, records->line, records->used);
	records->used = 0;
}

static bool keep(struct records *records, char byte)
{
	if (records->used == records->room) {
		size_t room = records->room ? records->room * 2 : 4096;
		char *grown = room > 2 * RECORDS_LINE_MAX ? NULL : realloc(records->line, room);
		if (!grown)
			return false;
		records->line = grown;
		records->room = room;
	}
	records->line[records->used++] = byte;
	return records->used <= RECORDS_LINE_MAX;
}

/* A record's line that is too long for us is skipped to its end, and counted once. */
static void keep_or_skip(struct records *records, char byte)
{
	if (keep(records, byte))
		return;
	records->state = RECORDS_SKIP;
	records->within = false;
	if (records->foreign) {
		give_back(records);
		records->state = RECORDS_TEXT;
	} else {
		refuse(records, "is too long");
	}
	records->used = 0;
}

/* The line holds a whole record, its prefix taken off. */
static void finish_record(struct records *records)
{
	size_t count = records->used;
	if (count && records->line[count - 1] == '\r')
		count--;
	enum record_event event;
	const char *why;
	json_t *doc = record_parse(count ? records->line : "", count, &event, &why);
	if (records->within && (doc || !records->foreign))
		text(records, "\n", 1); /* the line that it stands in is over */
	records->within = false;
	if (doc) {
		records->good++;
		if (records->sink.record)
			records->sink.record(records->sink.ctx, event, doc);
		json_decref(doc);
	} else if (records->foreign) {
		give_back(records);
		text(records, "\n", 1);
	} else if (why) {
		refuse(records, why);
	} else {
		records->unknown++;
	}
}

static void feed_record(struct records *records, char byte)
{
	if (byte != '\n') {
		keep_or_skip(records, byte);
		return;
	}
	finish_record(records);
	records->used = 0;
	records->state = RECORDS_UNDECIDED;
}

/* At the start of a line: is this a record's beginning, or could it still become one? False: the byte is not used up.
 */
static bool feed_undecided(struct records *records, char byte)
{
	const bool port = records->channel == RECORDS_PORT;
	const char *begin = port ? "{" : RECORDS_PREFIX;
	if (byte != begin[records->used]) {
		give_back(records);
		records->state = RECORDS_TEXT;
		return false;
	}
	keep_or_skip(records, byte);
	if (records->used != strlen(begin))
		return true;
	records->used = port ? records->used : 0;
	records->state = RECORDS_RECORD;
	return true;
}

/* Text runs to the end of its line, or to where a record may begin within it; in one piece as far as it has come. */
static size_t feed_text(struct records *records, const char *bytes, size_t count)
{
	size_t run = 0;
	while (run < count && bytes[run] != '\n' &&
	       !(bytes[run] == RECORDS_BEGIN[0] && records->channel == RECORDS_PORT))
		run++;
	const bool ends = run < count && bytes[run] == '\n';
	text(records, bytes, run + ends);
	if (ends)
		records->state = RECORDS_UNDECIDED;
	else if (run < count)
		records->state = RECORDS_MARK;
	return run + ends;
}

/* Within a line: is this a record's beginning? Its first character is nowhere else in it. False: the byte is not used
 * up. */
static bool feed_mark(struct records *records, char byte)
{
	if (byte != RECORDS_BEGIN[records->used]) {
		give_back(records);
		records->state = RECORDS_TEXT;
		return false;
	}
	keep_or_skip(records, byte);
	if (records->used == strlen(RECORDS_BEGIN)) {
		records->within = true;
		records->state = RECORDS_RECORD;
	}
	return true;
}

void records_feed(struct records *records, const char *bytes, size_t count)
{
	for (size_t at = 0; at < count;) {
		switch (records->state) {
		case RECORDS_UNDECIDED:
			at += feed_undecided(records, bytes[at]);
			break;
		case RECORDS_RECORD:
			feed_record(records, bytes[at++]);
			break;
		case RECORDS_SKIP:
			if (bytes[at++] == '\n')
				records->state = RECORDS_UNDECIDED;
			break;
		case RECORDS_MARK:
			at += feed_mark(records, bytes[at]);
			break;
		case RECORDS_TEXT:
			at += feed_text(records, bytes + at, count - at);
			break;
		}
	}
}

void records_end(struct records *records)
{
	if (records->state == RECORDS_RECORD && !records->foreign)
		refuse(records, "is cut short");
	else if (records->state != RECORDS_SKIP)
		give_back(records);
	records->used = 0;
	records->state = RECORDS_UNDECIDED;
}
