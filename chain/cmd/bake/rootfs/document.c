/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see document.h. */

#include "document.h"
#include "chain/json.h"

#include <stdio.h>
#include <string.h>

enum chain_status document_open(struct document *doc, const char *text, size_t bytes, size_t limit, bool list,
				const char *subject, struct chain_error *err)
{
	*doc = (struct document){ .subject = subject, .err = err };
	if (!list)
		return chain_json_load(text, bytes, limit, subject, &doc->root, err);
	if (bytes > limit)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes", .value = bytes, .limit = limit);
	const enum chain_status status = chain_json_any(text, bytes, CHAIN_JSON_DEPTH_MAX, subject, &doc->root, err);

	if (status || json_is_array(doc->root))
		return status;
	json_decref(doc->root);
	doc->root = NULL;
	return chain_fail_text(err, CHAIN_E_JSON_TYPE, subject, "not a JSON array");
}

/* Passes a failure on, its place behind the document's name. */
static enum chain_status placed(const struct document *doc, const struct chain_error *why)
{
	char subject[3 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s: %s", doc->subject, why->subject);
	return chain_fail_again(doc->err, why, subject);
}

enum chain_status document_wrong(struct document *doc, const json_t *value, const char *wanted)
{
	struct chain_error why = { .status = CHAIN_OK };

	(void)chain_json_wrong(value, wanted, &doc->path, &why);
	return placed(doc, &why);
}

enum chain_status document_refuse(struct document *doc, enum chain_status status, const char *detail)
{
	char subject[3 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s%s%s", doc->subject, doc->path.at[0] ? ": " : "", doc->path.at);
	return chain_fail_text(doc->err, status, subject, detail);
}

enum chain_status document_member(struct document *doc, const json_t *object, const char *key, json_t **out)
{
	*out = json_object_get(object, key);
	if (!json_is_object(object))
		return document_wrong(doc, object, "an object");
	if (*out && !json_is_null(*out))
		return CHAIN_OK;
	const size_t mark = chain_json_push_key(&doc->path, key);
	const enum chain_status status = document_wrong(doc, *out, "a value");

	chain_json_pop(&doc->path, mark);
	return status;
}

enum chain_status document_member_text(struct document *doc, const json_t *object, const char *key, const char **out)
{
	json_t *value;
	const enum chain_status status = document_member(doc, object, key, &value);

	if (status)
		return status;
	*out = json_string_value(value);
	if (*out)
		return CHAIN_OK;
	const size_t mark = chain_json_push_key(&doc->path, key);

	(void)document_wrong(doc, value, "a string");
	chain_json_pop(&doc->path, mark);
	return CHAIN_E_JSON_TYPE;
}

enum chain_status document_member_optional(struct document *doc, const json_t *object, const char *key, json_type type,
					   const char *wanted, json_t **out)
{
	json_t *value = json_object_get(object, key);

	*out = value && !json_is_null(value) ? value : NULL;
	if (!*out || json_typeof(value) == type)
		return CHAIN_OK;
	const size_t mark = chain_json_push_key(&doc->path, key);

	(void)document_wrong(doc, value, wanted);
	chain_json_pop(&doc->path, mark);
	return CHAIN_E_JSON_TYPE;
}

enum chain_status document_member_list(struct document *doc, const json_t *object, const char *key, json_t **out)
{
	const enum chain_status status = document_member(doc, object, key, out);

	return status ? status : document_member_optional(doc, object, key, JSON_ARRAY, "an array", out);
}

void document_words_add(struct words *words, const char *word)
{
	if (strstr(words->text, word))
		return;
	const int put = snprintf(words->text + words->used, sizeof(words->text) - words->used, "%s%s",
				 words->used > 0 ? ", " : "", word);

	words->used += (size_t)put;
	if (words->used >= sizeof(words->text))
		words->used = sizeof(words->text) - 1;
}
