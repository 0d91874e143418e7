/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading members of JSON documents that others wrote, whose further keys are nobody's business here; failures
 * name the document and the place in it. Must not know: what the documents mean. */
#ifndef KCHAIN_ROOTFS_DOCUMENT_H
#define KCHAIN_ROOTFS_DOCUMENT_H

#include "chain/json_walk.h"

struct document {
	const char *subject;         /* borrowed */
	json_t *root;                /* owned by who opened it */
	struct chain_json_path path; /* of what is being read */
	struct chain_error *err;
};

/* A document that is an object; `list`: an array. Of at most `limit` bytes. */
enum chain_status document_open(struct document *doc, const char *text, size_t bytes, size_t limit, bool list,
				const char *subject, struct chain_error *err) CHAIN_MUST_CHECK;
/* Failures at the place that the path leads to. */
enum chain_status document_wrong(struct document *doc, const json_t *value, const char *wanted);
enum chain_status document_refuse(struct document *doc, enum chain_status status, const char *detail);

/* A member that has to be there and not null; all that they give is borrowed. */
enum chain_status document_member(struct document *doc, const json_t *object, const char *key,
				  json_t **out) CHAIN_MUST_CHECK;
enum chain_status document_member_text(struct document *doc, const json_t *object, const char *key,
				       const char **out) CHAIN_MUST_CHECK;
enum chain_status document_member_list(struct document *doc, const json_t *object, const char *key,
				       json_t **out) CHAIN_MUST_CHECK;
/* Null where it is not there, or is null. `wanted`: "an array". */
enum chain_status document_member_optional(struct document *doc, const json_t *object, const char *key, json_type type,
					   const char *wanted, json_t **out) CHAIN_MUST_CHECK;

/* A list of words for a failure: "a, b, c", cut where there is no more room. Zeroed, it is empty. */
struct words {
	char text[CHAIN_SUBJECT_BYTES];
	size_t used;
};
/* Unless it is in it already, as far as that is easily seen. */
void document_words_add(struct words *words, const char *word);

#endif
