/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: making JSON: objects from lists of pairs, and their text. Does what json_pack and json_dumps do for documents
 * like ours in a tenth of the instructions and a fifth of the code: every boot makes and writes several. Must not know:
 * what the documents mean. */
#ifndef CHAIN_JSON_WRITE_H
#define CHAIN_JSON_WRITE_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* A new object of the members that follow, at least one: CHAIN_TEXT("name", name), CHAIN_INT("index", i), …
 * Keys are copied. Null: memory ran out, a string was no UTF-8, or a json_t was null. */
#define chain_json_object(...) chain_json_object_of(__VA_ARGS__, 0)
json_t *chain_json_object_of(int kind, ...);

/* The members: what the compiler checks is the value's type.
 *   CHAIN_TEXT    const char *: a string, copied; null gives null
 *   CHAIN_INT     json_int_t; what may be no such number is cast
 *   CHAIN_HEX     uint64_t: an address or size as our documents have them, "0x1f"
 *   CHAIN_BOOL    bool
 *   CHAIN_STEAL   json_t *: stolen, also on failure
 *   CHAIN_BORROW  json_t *: borrowed */
#define CHAIN_TEXT(key, value)   's', chain_json_key(key), chain_json_a_text(value)
#define CHAIN_INT(key, value)    'I', chain_json_key(key), chain_json_an_int(value)
#define CHAIN_HEX(key, value)    'x', chain_json_key(key), chain_json_a_hex(value)
#define CHAIN_BOOL(key, value)   'b', chain_json_key(key), chain_json_a_bool(value)
#define CHAIN_STEAL(key, value)  'o', chain_json_key(key), chain_json_a_value(value)
#define CHAIN_BORROW(key, value) 'O', chain_json_key(key), chain_json_a_value(value)
static inline const char *chain_json_key(const char *key)
{
	return key;
}
static inline const char *chain_json_a_text(const char *value)
{
	return value;
}
static inline json_int_t chain_json_an_int(json_int_t value)
{
	return value;
}
static inline uint64_t chain_json_a_hex(uint64_t value)
{
	return value;
}
static inline int chain_json_a_bool(bool value)
{
	return value;
}
static inline json_t *chain_json_a_value(json_t *value)
{
	return value;
}

/* The text that such an object would have, with a last integer where `last` is its key (null: none), without making it:
 * terminated, *out_bytes (nullable) without the end. `kind` is the first member's, `args` what follows it. The caller
 * frees. Null as above. */
char *chain_json_object_text(int kind, va_list args, const char *last, json_int_t last_value, uint64_t *out_bytes);

/* A new object or array with the same members; all of them, where json_copy (and json_deep_copy before jansson 2.13)
 * gives what it could. Null: no memory, or `value` is neither. */
json_t *chain_json_shallow(const json_t *value);
/* The same all through: nothing that can be changed is shared. For documents as deep as chain_json_load lets in. Null:
 * no memory. */
json_t *chain_json_deep(const json_t *value);

/* "0x1f". Null: no memory. */
json_t *chain_json_hex(uint64_t value);

/* The text without blanks, keys as they were put in or, CHAIN_JSON_SORTED, ascending: byte for byte what json_dumps
 * writes with JSON_COMPACT. Terminated; *out_bytes (nullable) does not count the end. The caller frees. Null: no
 * memory. */
enum {
	CHAIN_JSON_SORTED = 1,
	CHAIN_JSON_SHORT = 2 /* numbers with a fraction in as few digits as give the same number again */
};
char *chain_json_text(const json_t *value, unsigned flags, uint64_t *out_bytes);
/* A value whose text, as flags of 0 make it, is there already. */
struct chain_json_known {
	json_t *value;
	char *text;
	uint64_t bytes;
};
/* The same of at most `levels` objects and arrays within each other; null with *out_deeper: there are more. Where
 * `known` (nullable, borrowed) is met, its text is put, and its levels are not counted. */
char *chain_json_text_within(const json_t *value, unsigned levels, unsigned flags, const struct chain_json_known *known,
			     uint64_t *out_bytes, bool *out_deeper);

/* An object's text, and where in it its members stand that are objects and arrays; they must stay as they are. */
enum { CHAIN_JSON_KEPT_MEMBERS = 16, CHAIN_JSON_KEPT_BYTES = 16 * 1024 };
struct chain_json_kept {
	char *text; /* owned; null: nothing is kept */
	size_t count;
	struct {
		json_t *value; /* owned; null: not kept */
		size_t at, end;
	} members[CHAIN_JSON_KEPT_MEMBERS];
};
/* The same for an object, whose members that `kept` has from an earlier one, the same value at the same place, need not
 * be written again. Where it has nothing yet it keeps this text, if that has at most CHAIN_JSON_KEPT_BYTES and there is
 * memory. */
char *chain_json_text_like(const json_t *object, unsigned levels, const struct chain_json_known *known,
			   struct chain_json_kept *kept, uint64_t *out_bytes, bool *out_deeper);
void chain_json_kept_free(struct chain_json_kept *kept);

#endif
