/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading JSON objects by tables of key, type and offset, with errors that name the place (steps[1].boot).
 * Must not know: what the documents mean; how their text was parsed. */
#ifndef CHAIN_JSON_WALK_H
#define CHAIN_JSON_WALK_H

#include "chain/errors.h"

#include <jansson.h>
#include <stdbool.h>

/* Where in a document a walk is: keys with dots between them, indices in brackets; a key that has other characters than
 * letters, digits, dashes and underscores stands in brackets and quotes, with a backslash before each quote and
 * backslash of its own: files["/a.b"].mode. `at` is never cut within a piece: a path that would not fit ends in "...".
 */
struct chain_json_path {
	char at[CHAIN_SUBJECT_BYTES];
	struct chain_errors *
		errors; /* where failures are noted, so that reading goes on behind them; null: the first one ends it */
};
/* Appends a piece; `mark` is handed to chain_json_pop to go back. */
size_t chain_json_push_key(struct chain_json_path *path, const char *key);
size_t chain_json_push_index(struct chain_json_path *path, size_t index);
void chain_json_pop(struct chain_json_path *path, size_t mark);

/* Whether reading goes on behind `status`: it does behind a success, and behind a failure that could be noted, which
 * `err` then no longer holds. Lack of memory always ends it. *first keeps the first failure that there was; lack of
 * memory takes its place. */
#ifdef KCHAIN_STAGE /* there nobody makes a list */
static inline bool chain_json_goes_on(struct chain_json_path *path, enum chain_status status, enum chain_status *first,
				      struct chain_error *err)
{
	(void)path;
	(void)err;
	*first = status;
	return !status;
}
#else
bool chain_json_goes_on(struct chain_json_path *path, enum chain_status status, enum chain_status *first,
			struct chain_error *err);
#endif

/* Reads a value of one type to `into`; `of`: what the type has to know besides, as said below. The path names the
 * value. */
typedef enum chain_status chain_json_read(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err);

/* One key an object may have. */
struct chain_json_key {
	const char *name;
	chain_json_read *read;
	const void *of;  /* the type's */
	uint16_t offset; /* of what the value is read to, from where the walk is told that the object belongs */
	bool required;
};

/* Checks that `object` is one, reads each key by its row in the rows' order (not the document's), refuses keys without
 * a row (CHAIN_E_JSON_UNKNOWN_KEY, with the nearest known one as the detail) unless they begin with "x-" or are
 * "$schema", and missing required ones (CHAIN_E_JSON_MISSING_KEY). */
enum chain_status chain_json_walk(const json_t *object, const struct chain_json_key *keys, size_t count, void *into,
				  struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;

/* Types of values; CHAIN_E_JSON_TYPE names the place, what was wanted and what is there. Texts hold no NUL. */
chain_json_read chain_json_read_text;   /* char *, owned; what was there is freed */
chain_json_read chain_json_read_bool;   /* bool */
chain_json_read chain_json_read_any;    /* json_t *, owned */
chain_json_read chain_json_read_object; /* `of`: struct chain_json_keys; all rows' offsets are from `into` */
chain_json_read chain_json_read_word; /* unsigned or an enum: an index. `of`: struct chain_json_words. CHAIN_E_JSON_WORD
					 lists them */
chain_json_read chain_json_read_choice; /* bool: whether it is the second of two words. `of`: the same */
/* uint64_t. `of`: struct chain_json_limits; null: none but the type's own. CHAIN_E_JSON_LOW, CHAIN_E_JSON_HIGH. */
chain_json_read chain_json_read_number; /* an integer of at least 0 */
chain_json_read chain_json_read_size;   /* "64K", "1M", "2GiB", "4096" (bytes). CHAIN_E_JSON_SIZE */
chain_json_read chain_json_read_time;   /* "250ms", "5s", "2m" (to microseconds). CHAIN_E_JSON_TIME */

/* An array, and an object whose keys are names of its own. `into`: the pointer to the elements, owned, with a size_t
 * for their number behind it; after a failure it counts the elements that hold something. `of`: struct
 * chain_json_elements. An element of an object begins with a char *, owned, which has its key before it is read. */
chain_json_read chain_json_read_list;
chain_json_read chain_json_read_members;

struct chain_json_elements {
	const char *wanted; /* "an array of modules", for CHAIN_E_JSON_TYPE */
	size_t least;       /* how many there have to be; fewer are CHAIN_E_JSON_TYPE as well */
	size_t bytes;       /* of an element; all are zero before they are read */
	chain_json_read *read;
	const void *of;
};
struct chain_json_keys {
	const struct chain_json_key *v;
	size_t count;
};
#define CHAIN_JSON_TABLE(rows)                                                                                         \
	{                                                                                                              \
		(rows), sizeof(rows) / sizeof((rows)[0])                                                               \
	} /* of keys, of words */
struct chain_json_words {
	const char *const *v;
	size_t count;
};
/* As a document would say them: in the type's own form and units. */
struct chain_json_limits {
	const char *least, *most; /* null: none */
};

enum chain_status chain_json_wrong(const json_t *value, const char *wanted, const struct chain_json_path *path,
				   struct chain_error *err);
/* The word of `words` nearest to `text` by edit distance, or null where none is near: one that shares no letter is not.
 */
const char *chain_nearest(const char *text, const char *const *words, size_t count);

/* Texts with units; false when malformed or too large for 64 bits. */
bool chain_parse_size(const char *text, uint64_t *out_bytes);
bool chain_parse_time(const char *text, uint64_t *out_us);
bool chain_parse_count(const char *text, uint64_t *out);
/* Decimal digits and one of the units, "" included where that is one. */
struct chain_unit {
	const char *name;
	uint64_t factor;
};
bool chain_parse_units(const char *text, const struct chain_unit *units, size_t count, uint64_t *out);

#endif
