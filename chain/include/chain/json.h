/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading strict JSON (RFC 8259, UTF-8, no duplicate keys) into jansson values.
 * Must not know: what the documents mean. */
#ifndef CHAIN_JSON_H
#define CHAIN_JSON_H

#include "chain/error.h"

#include <jansson.h>
#include <stdbool.h>

enum { CHAIN_JSON_DEPTH_MAX = 48 };

/* Parses one object. `max_bytes` bounds the text (CHAIN_E_LIMIT), CHAIN_JSON_DEPTH_MAX its nesting (CHAIN_E_JSON_DEPTH). CHAIN_E_JSON_SYNTAX gives line and column and the parser's own
 * words, CHAIN_E_JSON_NOT_OBJECT, CHAIN_E_NO_MEMORY. New reference in *out.
 * jansson (2.14) itself drops a character of a string when one allocation fails and the next does not: where memory may run out, its allocator
 * should go on failing (json_set_alloc_funcs). */
enum chain_status chain_json_load(const char *text, uint64_t bytes, uint64_t max_bytes, const char *subject, json_t **out,
				  struct chain_error *err) CHAIN_MUST_CHECK;

/* Any one JSON value of at most `max_depth` levels: new reference in *out, null after a failure. CHAIN_E_JSON_DEPTH,
 * CHAIN_E_JSON_SYNTAX, CHAIN_E_NO_MEMORY. */
enum chain_status chain_json_any(const char *text, uint64_t bytes, unsigned max_depth, const char *subject, json_t **out,
				 struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether the text is one value by RFC 8259's grammar, of at most 64 levels; allocates nothing. jansson calls a text wrong
 * when it runs out of memory half-way: this is asked then. Encoding, duplicate keys and the size of numbers are not looked at. */
bool chain_json_is_grammatical(const char *text, uint64_t bytes);

/* Whether a text, JSON or not, opens more than `max_depth` levels of arrays and objects. */
bool chain_json_too_deep(const char *text, uint64_t bytes, unsigned max_depth);

#endif
