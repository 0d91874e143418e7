/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json.h"

#include "chain/json_memory.h"

#include <string.h>

/* Reading, copying and freeing recurse once a level, on a stage's stack: so the levels are counted before any of it. */
/* Whether a text, JSON or not, opens more than `max_depth` levels of arrays and objects. */
static bool too_deep(const char *text, uint64_t bytes, unsigned max_depth)
{
	bool quoted = false;
	int64_t depth = 0;
	for (uint64_t i = 0; i < bytes; i++) {
		char c = text[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[') && ++depth > max_depth)
			return true;
		else if (!quoted && (c == '}' || c == ']'))
			depth--;
	}
	return false;
}

/* RFC 8259 has no place for it, and jansson passes over one behind a number or a word. */
static enum chain_status refuse_nul(const char *text, const char *at, const char *subject, struct chain_error *err)
{
	uint64_t line = 1, column = 1; /* of characters, from 1, as jansson counts them */
	for (; text < at; text++) {
		column = *text == '\n' ? 1 : column + ((*text & 0xc0) != 0x80);
		line += *text == '\n';
	}
	return CHAIN_FAIL(err, JSON_SYNTAX, .subject = subject, .detail = "a NUL byte", .line = line, .column = column);
}

/* Lack of memory is distinguished from a text that is wrong by what its allocations say: jansson's own words for both
 * can be the same. */
static enum chain_status parse(const char *text, uint64_t bytes, unsigned max_depth, size_t flags, const char *subject,
			       json_t **out, struct chain_error *err)
{
	json_error_t why = { 0 }; /* it sets no text where it cannot even begin */
	const char *nul = bytes ? memchr(text, 0, bytes) : NULL;
	if (nul)
		return refuse_nul(text, nul, subject, err);
	if (too_deep(text, bytes, max_depth))
		return CHAIN_FAIL(err, JSON_DEPTH, .subject = subject, .levels = max_depth);
	chain_json_memory_init();
	json_t *value = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES | flags, &why);
	if (chain_json_memory_lacking()) {
		json_decref(value);
		return chain_fail_no_memory(err, subject, chain_json_memory_lacking());
	}
	*out = value;
	if (value)
		return CHAIN_OK;
	return CHAIN_FAIL(err, JSON_SYNTAX, .subject = subject, .detail = why.text,
			  .line = (uint64_t)(why.line > 0 ? why.line : 0),
			  .column = (uint64_t)(why.column > 0 ? why.column : 0));
}

enum chain_status chain_json_load(const char *text, uint64_t bytes, uint64_t max_bytes, const char *subject,
				  json_t **out, struct chain_error *err)
{
	json_t *doc;
	if (bytes > max_bytes)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes", .value = bytes,
				  .limit = max_bytes);
	enum chain_status status = parse(text, bytes, CHAIN_JSON_DEPTH_MAX, 0, subject, &doc, err);
	if (status)
		return status;
	if (!json_is_object(doc)) {
		json_decref(doc);
		return chain_fail_subject(err, CHAIN_E_JSON_NOT_OBJECT, subject);
	}
	*out = doc;
	return CHAIN_OK;
}

enum chain_status chain_json_any(const char *text, uint64_t bytes, unsigned max_depth, const char *subject,
				 json_t **out, struct chain_error *err)
{
	*out = NULL;
	return parse(text, bytes, max_depth, JSON_DECODE_ANY, subject, out, err);
}
