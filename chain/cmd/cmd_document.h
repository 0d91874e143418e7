/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a JSON document that people write, and all that is wrong with it: where, what, what to do. One form:
 * FILE:LINE:COLUMN: PATH: what is wrong. The place is that of the member's key, or of the element in an array; of a
 * missing member, of the object that should have it. Must not know: what the document means, who found out. */
#ifndef KCHAIN_CMD_DOCUMENT_H
#define KCHAIN_CMD_DOCUMENT_H

#include "chain/errors.h"
#include "chain/json_place.h"
#include "cmd.h"

struct cmd_problem {
	struct chain_error error;
	char path[CHAIN_SUBJECT_BYTES]; /* in the document, in the form of chain/json_walk.h */
	struct chain_json_place place;
};

struct cmd_document {
	char *name; /* of the file; owned; null: there is none */
	struct cmd_file file;
	struct cmd_problem *problems;
	size_t count; /* owned; by their places, equal ones as they were noted */
	size_t more;  /* that found no room */
};

/* Opens the file into a document that is all zero. Errors of cmd_file_load. */
enum chain_status cmd_document_open(struct cmd_document *document, const char *path, uint64_t limit_bytes,
				    struct chain_error *err) CHAIN_MUST_CHECK;
void cmd_document_close(struct cmd_document *document);

/* Takes over what `err` holds, if it holds a failure, and clears it. `path`: where in the document; null: the error's
 * subject says it. */
void cmd_document_note(struct cmd_document *document, const char *path, struct chain_error *err);
void cmd_document_note_all(struct cmd_document *document, struct chain_errors *errors);
/* What was noted is checked anew. */
void cmd_document_forget(struct cmd_document *document);
/* Of the first problem, which *err gets as well; CHAIN_OK: there is none. */
enum chain_status cmd_document_status(const struct cmd_document *document, struct chain_error *err) CHAIN_MUST_CHECK;

/* As cmd_error_print: all problems, or `err` where the document has none, or memory ran out. */
void cmd_document_print(const struct cmd_document *document, const struct chain_error *err);
/* {"error": the first, "errors": [each], "exit": code}, and "more" where some found no room; as cmd_error_json where
 * there is none. New. */
json_t *cmd_document_json(const struct cmd_document *document, const struct chain_error *err, int code);
/* Both, as cmd_refuse does. */
int cmd_document_refuse(const struct cmd_document *document, const struct chain_error *err, bool json);

#endif
