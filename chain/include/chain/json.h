/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading strict JSON (RFC 8259, UTF-8, no duplicate keys) into jansson values, and walking objects by tables of keys
 * with errors that name the place ("steps[1].boot").
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

/* Where in a document a walk is. `at` is never cut: a path that would not fit ends in "...". */
struct chain_json_path {
	char at[CHAIN_SUBJECT_BYTES];
};
/* Appends ".key" (or "key" at the top) or "[index]"; `mark` is handed to chain_json_pop to go back. */
size_t chain_json_push_key(struct chain_json_path *path, const char *key);
size_t chain_json_push_index(struct chain_json_path *path, size_t index);
void chain_json_pop(struct chain_json_path *path, size_t mark);

/* One key an object may have. `read` gets the value, `into` as handed to the walk; the path names the value. */
struct chain_json_key {
	const char *name;
	enum chain_status (*read)(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);
	bool required;
};

/* Checks that `object` is one, reads each key by its row in the rows' order (not the document's), refuses keys without a row
 * (CHAIN_E_JSON_UNKNOWN_KEY, with the nearest known one as the detail) unless they begin with "x-" or are "$schema", and missing required ones
 * (CHAIN_E_JSON_MISSING_KEY). */
enum chain_status chain_json_walk(const json_t *object, const struct chain_json_key *keys, size_t count, void *into,
				  struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;

/* Typed values; CHAIN_E_JSON_TYPE names the place, what was wanted and what is there. Strings are borrowed and hold no NUL. */
enum chain_status chain_json_string(const json_t *value, const char **out, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_json_copy(const json_t *value, char **out, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK; /* owned */
enum chain_status chain_json_bool(const json_t *value, bool *out, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_json_number(const json_t *value, uint64_t max, uint64_t *out, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
/* One of `words`, by index. CHAIN_E_JSON_WORD lists them. */
enum chain_status chain_json_word(const json_t *value, const char *const *words, size_t count, size_t *out,
				  struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
/* "64K", "1M", "2GiB", "4096" (bytes); "250ms", "5s", "2m" (to microseconds). CHAIN_E_JSON_SIZE, CHAIN_E_JSON_TIME. */
enum chain_status chain_json_size(const json_t *value, uint64_t *out_bytes, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_json_time(const json_t *value, uint64_t *out_us, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
/* The texts themselves; false when malformed or too large for 64 bits. */
bool chain_parse_size(const char *text, uint64_t *out_bytes);
bool chain_parse_time(const char *text, uint64_t *out_us);
/* Decimal digits and one of the units, "" included where that is one. */
struct chain_unit {
	const char *name;
	uint64_t factor;
};
bool chain_parse_units(const char *text, const struct chain_unit *units, size_t count, uint64_t *out);

enum chain_status chain_json_wrong(const json_t *value, const char *wanted, const struct chain_json_path *path, struct chain_error *err);
/* The word of `words` nearest to `text` by edit distance, or null where none is near: one that shares no letter is not. */
const char *chain_nearest(const char *text, const char *const *words, size_t count);

#endif
