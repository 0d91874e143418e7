/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reading, copying and freeing recurse once a level, on a stage's stack: so the levels are counted before any of it. */
bool chain_json_too_deep(const char *text, uint64_t bytes, unsigned max_depth)
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

static enum chain_status parse(const char *text, uint64_t bytes, unsigned max_depth, size_t flags, const char *subject, json_t **out,
			       struct chain_error *err)
{
	json_error_t why = { 0 }; /* it sets no code where it cannot even begin */
	if (chain_json_too_deep(text, bytes, max_depth))
		return chain_fail(err, CHAIN_E_JSON_DEPTH, subject, NULL, max_depth, 0, 0, 0);
	*out = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES | flags, &why);
	if (*out)
		return CHAIN_OK;
	enum json_error_code code = json_error_code(&why);
	if (code == json_error_out_of_memory ||
	    ((code == json_error_invalid_syntax || code == json_error_unknown) && chain_json_is_grammatical(text, bytes)))
		return chain_fail(err, CHAIN_E_NO_MEMORY, subject, NULL, bytes, 0, 0, 0);
	return chain_fail(err, CHAIN_E_JSON_SYNTAX, subject, why.text, (uint64_t)(why.line > 0 ? why.line : 0),
			  (uint64_t)(why.column > 0 ? why.column : 0), 0, 0);
}

enum chain_status chain_json_load(const char *text, uint64_t bytes, uint64_t max_bytes, const char *subject, json_t **out,
				  struct chain_error *err)
{
	json_t *doc;
	if (bytes > max_bytes)
		return chain_fail(err, CHAIN_E_LIMIT, subject, NULL, bytes, max_bytes, 0, 0);
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

enum chain_status chain_json_any(const char *text, uint64_t bytes, unsigned max_depth, const char *subject, json_t **out,
				 struct chain_error *err)
{
	*out = NULL;
	return parse(text, bytes, max_depth, JSON_DECODE_ANY, subject, out, err);
}

/* Whole or not at all; room for the "..." of the next one is always kept. */
static size_t push(struct chain_json_path *path, const char *separator, const char *piece)
{
	static const char more[] = "...";
	size_t mark = strlen(path->at), first = strlen(separator), bytes = strlen(piece);
	if (mark + sizeof(more) > sizeof(path->at))
		return mark;
	if (bytes > sizeof(path->at) || mark + first + bytes + sizeof(more) > sizeof(path->at)) {
		memcpy(path->at + mark, more, sizeof(more));
		return mark;
	}
	memcpy(path->at + mark, separator, first);
	memcpy(path->at + mark + first, piece, bytes + 1);
	return mark;
}

size_t chain_json_push_key(struct chain_json_path *path, const char *key)
{
	return push(path, path->at[0] ? "." : "", key);
}

size_t chain_json_push_index(struct chain_json_path *path, size_t index)
{
	char piece[32];
	snprintf(piece, sizeof(piece), "[%zu]", index);
	return push(path, "", piece);
}

void chain_json_pop(struct chain_json_path *path, size_t mark)
{
	path->at[mark] = '\0';
}

static const char *type_name(const json_t *value)
{
	static const char *const names[] = { "an object", "an array", "a string", "an integer", "a real number", "true", "false", "null" };
	return value ? names[json_typeof(value)] : "nothing";
}

enum chain_status chain_json_wrong(const json_t *value, const char *wanted, const struct chain_json_path *path, struct chain_error *err)
{
	char detail[CHAIN_SUBJECT_BYTES];
	snprintf(detail, sizeof(detail), "%s expected, %s found", wanted, type_name(value));
	return chain_fail(err, CHAIN_E_JSON_TYPE, path->at, detail, 0, 0, 0, 0);
}

/* Levenshtein's distance over one row; words are short. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t row[LONGEST + 1], a_bytes = strlen(a), b_bytes = strlen(b);
	if (a_bytes > LONGEST || b_bytes > LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_bytes];
}

const char *chain_nearest(const char *text, const char *const *words, size_t count)
{
	const char *best = NULL;
	size_t least = strlen(text) / 3 + 2;
	for (size_t i = 0; i < count; i++) {
		size_t d = distance(text, words[i]);
		if (d < least && d < strlen(words[i])) {
			least = d;
			best = words[i];
		}
	}
	return best;
}

static enum chain_status refuse_key(const char *key, const struct chain_json_key *keys, size_t count, struct chain_json_path *path,
				    struct chain_error *err)
{
	enum { KEYS_MAX = 32 };
	const char *names[KEYS_MAX];
	size_t n = count < KEYS_MAX ? count : KEYS_MAX;
	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	const char *near = chain_nearest(key, names, n);
	chain_json_push_key(path, key);
	if (!near)
		return chain_fail_subject(err, CHAIN_E_JSON_UNKNOWN_KEY, path->at);
	return chain_fail(err, CHAIN_E_JSON_UNKNOWN_KEY_NEAR, path->at, near, 0, 0, 0, 0);
}

static enum chain_status check_keys(const json_t *object, const struct chain_json_key *keys, size_t count,
				    struct chain_json_path *path, struct chain_error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		size_t i = 0;
		while (i < count && strcmp(keys[i].name, key))
			i++;
		if (i == count && strncmp(key, "x-", 2) && strcmp(key, "$schema"))
			return refuse_key(key, keys, count, path, err);
	}
	return CHAIN_OK;
}

enum chain_status chain_json_walk(const json_t *object, const struct chain_json_key *keys, size_t count, void *into,
				  struct chain_json_path *path, struct chain_error *err)
{
	if (!json_is_object(object))
		return chain_json_wrong(object, "an object", path, err);
	enum chain_status status = check_keys(object, keys, count, path, err);
	for (size_t i = 0; !status && i < count; i++) {
		const json_t *value = json_object_get(object, keys[i].name);
		if (!value && !keys[i].required)
			continue;
		size_t mark = chain_json_push_key(path, keys[i].name);
		status = value ? keys[i].read(value, into, path, err) : chain_fail_subject(err, CHAIN_E_JSON_MISSING_KEY, path->at);
		chain_json_pop(path, mark);
	}
	return status;
}

enum chain_status chain_json_string(const json_t *value, const char **out, struct chain_json_path *path, struct chain_error *err)
{
	if (!json_is_string(value))
		return chain_json_wrong(value, "a string", path, err);
	*out = json_string_value(value); /* jansson refuses \u0000 unless asked not to */
	return CHAIN_OK;
}

enum chain_status chain_json_copy(const json_t *value, char **out, struct chain_json_path *path, struct chain_error *err)
{
	const char *text = NULL;
	enum chain_status status = chain_json_string(value, &text, path, err);
	if (status)
		return status;
	char *copy = strdup(text);
	if (!copy)
		return chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(text) + 1, 0, 0, 0);
	free(*out);
	*out = copy;
	return CHAIN_OK;
}

enum chain_status chain_json_bool(const json_t *value, bool *out, struct chain_json_path *path, struct chain_error *err)
{
	if (!json_is_boolean(value))
		return chain_json_wrong(value, "true or false", path, err);
	*out = json_is_true(value);
	return CHAIN_OK;
}

enum chain_status chain_json_number(const json_t *value, uint64_t max, uint64_t *out, struct chain_json_path *path, struct chain_error *err)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return chain_json_wrong(value, "an integer of at least 0", path, err);
	*out = (uint64_t)json_integer_value(value);
	return *out <= max ? CHAIN_OK : chain_fail(err, CHAIN_E_LIMIT, path->at, NULL, *out, max, 0, 0);
}

enum chain_status chain_json_word(const json_t *value, const char *const *words, size_t count, size_t *out,
				  struct chain_json_path *path, struct chain_error *err)
{
	const char *text = NULL;
	enum chain_status status = chain_json_string(value, &text, path, err);
	if (status)
		return status;
	char list[CHAIN_SUBJECT_BYTES] = "";
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(words[i], text)) {
			*out = i;
			return CHAIN_OK;
		}
		size_t used = strlen(list);
		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", words[i]);
	}
	return chain_fail(err, CHAIN_E_JSON_WORD, path->at, list, 0, 0, 0, 0);
}

bool chain_parse_units(const char *text, const struct chain_unit *units, size_t count, uint64_t *out)
{
	uint64_t value = 0;
	size_t i = 0;
	for (; text[i] >= '0' && text[i] <= '9'; i++)
		if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	if (!i)
		return false;
	for (size_t u = 0; u < count; u++)
		if (!strcmp(text + i, units[u].name))
			return !__builtin_mul_overflow(value, units[u].factor, out);
	return false;
}

bool chain_parse_size(const char *text, uint64_t *out_bytes)
{
	static const struct chain_unit units[] = {
		{ "", 1 }, { "B", 1 }, { "K", 1 << 10 }, { "KiB", 1 << 10 }, { "M", 1 << 20 }, { "MiB", 1 << 20 },
		{ "G", 1 << 30 }, { "GiB", 1 << 30 },
	};
	return chain_parse_units(text, units, sizeof(units) / sizeof(units[0]), out_bytes);
}

bool chain_parse_time(const char *text, uint64_t *out_us)
{
	static const struct chain_unit units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 } };
	return chain_parse_units(text, units, sizeof(units) / sizeof(units[0]), out_us);
}

enum chain_status chain_json_size(const json_t *value, uint64_t *out_bytes, struct chain_json_path *path, struct chain_error *err)
{
	const char *text = NULL;
	enum chain_status status = chain_json_string(value, &text, path, err);
	if (!status && !chain_parse_size(text, out_bytes))
		return chain_fail(err, CHAIN_E_JSON_SIZE, path->at, text, 0, 0, 0, 0);
	return status;
}

enum chain_status chain_json_time(const json_t *value, uint64_t *out_us, struct chain_json_path *path, struct chain_error *err)
{
	const char *text = NULL;
	enum chain_status status = chain_json_string(value, &text, path, err);
	if (!status && !chain_parse_time(text, out_us))
		return chain_fail(err, CHAIN_E_JSON_TIME, path->at, text, 0, 0, 0, 0);
	return status;
}
