/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "cmd_document.h"

#include <stdlib.h>
#include <string.h>

/* An error as it is formatted; with the path before it. */
enum { TEXT_BYTES = 3 * CHAIN_SUBJECT_BYTES + CHAIN_TEXT_BYTES, MESSAGE_BYTES = CHAIN_SUBJECT_BYTES + 2 + TEXT_BYTES };

enum chain_status cmd_document_open(struct cmd_document *document, const char *path, uint64_t limit_bytes,
				    struct chain_error *err)
{
	document->name = strdup(path);
	document->problems = calloc(CHAIN_ERRORS_MAX, sizeof(*document->problems));
	if (!document->name || !document->problems)
		return chain_fail_no_memory(err, path, CHAIN_ERRORS_MAX * sizeof(*document->problems));
	return cmd_file_load(path, limit_bytes, &document->file, err);
}

void cmd_document_close(struct cmd_document *document)
{
	free(document->name);
	free(document->problems);
	if (document->file.bytes)
		cmd_file_free(&document->file);
	*document = (struct cmd_document){ 0 };
}

/* Of the whole document where the path leads nowhere; the parser has its own lines and columns. */
static struct chain_json_place place_of(const struct cmd_document *document, const struct chain_error *err,
					const char *path)
{
	if (err->status == CHAIN_E_JSON_SYNTAX)
		return (struct chain_json_place){ .line = err->number[0] ? err->number[0] : 1,
						  .column = err->number[1] ? err->number[1] : 1 };
	return chain_json_find((const char *)document->file.bytes, document->file.bytes_count, path);
}

void cmd_document_note(struct cmd_document *document, const char *path, struct chain_error *err)
{
	if (!err->status)
		return;
	if (document->count == CHAIN_ERRORS_MAX) {
		document->more++;
		chain_error_clear(err);
		return;
	}
	if (!path)
		path = strcmp(err->subject, document->name) ? err->subject : "";
	struct cmd_problem problem = { .error = *err, .place = place_of(document, err, path) };
	snprintf(problem.path, sizeof(problem.path), "%s", path);
	size_t at = document->count++;
	for (; at > 0 && document->problems[at - 1].place.offset > problem.place.offset; at--)
		document->problems[at] = document->problems[at - 1];
	document->problems[at] = problem;
	chain_error_clear(err);
}

void cmd_document_note_all(struct cmd_document *document, struct chain_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		cmd_document_note(document, NULL, &errors->v[i]);
	document->more += errors->more;
	errors->count = errors->more = 0;
}

void cmd_document_forget(struct cmd_document *document)
{
	document->count = document->more = 0;
}

enum chain_status cmd_document_status(const struct cmd_document *document, struct chain_error *err)
{
	if (document->count == 0)
		return CHAIN_OK;
	*err = document->problems[0].error;
	return err->status;
}

/* The path, unless the message begins with it, and what is wrong. */
static void put_message(const struct cmd_problem *problem, char out[MESSAGE_BYTES])
{
	struct chain_error err = problem->error;
	char text[TEXT_BYTES];
	bool whole = !problem->path[0], named = !strcmp(problem->path, err.subject);
	if (err.status == CHAIN_E_JSON_SYNTAX) {
		snprintf(out, MESSAGE_BYTES, "%s", err.detail);
		return;
	}
	if (whole)
		err.subject[0] = '\0'; /* it is the file's name, and stands before the message */
	chain_error_format(&err, text, sizeof(text));
	if (whole || named)
		snprintf(out, MESSAGE_BYTES, "%s", whole && !strncmp(text, ": ", 2) ? text + 2 : text);
	else
		snprintf(out, MESSAGE_BYTES, "%s: %s", problem->path, text);
}

/* Whether it is the document's problems that are to be reported, and not something else. */
static bool is_reported(const struct cmd_document *document, const struct chain_error *err)
{
	return document->count > 0 && err->status != CHAIN_E_NO_MEMORY;
}

void cmd_document_print(const struct cmd_document *document, const struct chain_error *err)
{
	char message[MESSAGE_BYTES], hint[MESSAGE_BYTES];
	if (!is_reported(document, err)) {
		(void)cmd_error_print(err, false, CMD_REFUSED);
		return;
	}
	for (size_t i = 0; i < document->count; i++) {
		const struct cmd_problem *problem = &document->problems[i];
		put_message(problem, message);
		chain_error_hint(&problem->error, hint, sizeof(hint));
		cmd_error_say(hint, "%s:%llu:%llu: %s", document->name, (unsigned long long)problem->place.line,
			      (unsigned long long)problem->place.column, message);
	}
	if (document->more > 0)
		cmd_warn("%s: %zu errors, of which %zu are shown", document->name, document->count + document->more,
			 document->count);
	else if (document->count > 1)
		cmd_warn("%s: %zu errors", document->name, document->count);
}

/* Names come from files: only UTF-8 goes into JSON. */
static json_t *text_json(const char *text)
{
	json_t *made = json_string(text);
	return made ? made : json_null();
}

static json_t *problem_json(const struct cmd_document *document, const struct cmd_problem *problem)
{
	char message[MESSAGE_BYTES], hint[MESSAGE_BYTES];
	put_message(problem, message);
	chain_error_hint(&problem->error, hint, sizeof(hint));
	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:o}", "slug", chain_status_slug(problem->error.status),
			 "message", text_json(message), "file", text_json(document->name), "path",
			 text_json(problem->path), "line", (json_int_t)problem->place.line, "column",
			 (json_int_t)problem->place.column, "hint", text_json(hint));
}

json_t *cmd_document_json(const struct cmd_document *document, const struct chain_error *err, int code)
{
	if (!is_reported(document, err))
		return cmd_error_json(err, code);
	json_t *errors = json_array();
	for (size_t i = 0; i < document->count; i++)
		json_array_append_new(errors, problem_json(document, &document->problems[i]));
	json_t *made = json_pack("{s:O, s:o, s:i}", "error", json_array_get(errors, 0), "errors", errors, "exit", code);
	if (document->more > 0)
		json_object_set_new(made, "more", json_integer((json_int_t)document->more));
	return made;
}

int cmd_document_refuse(const struct cmd_document *document, const struct chain_error *err, bool json)
{
	cmd_document_print(document, err);
	if (json)
		cmd_json_print(cmd_document_json(document, err, CMD_REFUSED));
	return CMD_REFUSED;
}
