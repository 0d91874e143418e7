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

/* Parses one object. `max_bytes` bounds the text (CHAIN_E_LIMIT), CHAIN_JSON_DEPTH_MAX its nesting
 * (CHAIN_E_JSON_DEPTH). CHAIN_E_JSON_SYNTAX gives line and column and the parser's own words, also for numbers that do
 * not fit, keys twice in an object, and escapes that stand for no character or for NUL; CHAIN_E_JSON_NOT_OBJECT;
 * CHAIN_E_NO_MEMORY with the bytes that were lacking, until chain_json_memory_reset for every text. New reference in
 * *out. */
enum chain_status chain_json_load(const char *text, uint64_t bytes, uint64_t max_bytes, const char *subject,
				  json_t **out, struct chain_error *err) CHAIN_MUST_CHECK;

/* Any one JSON value of at most `max_depth` levels: new reference in *out, null after a failure. CHAIN_E_JSON_DEPTH,
 * CHAIN_E_JSON_SYNTAX, CHAIN_E_NO_MEMORY. */
enum chain_status chain_json_any(const char *text, uint64_t bytes, unsigned max_depth, const char *subject,
				 json_t **out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
