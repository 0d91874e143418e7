/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the path --- */

/* Whole or not at all, as "..." (null: it is too long anyway); room for the "..." of the next one is always kept. */
static size_t push(struct chain_json_path *path, const char *piece)
{
	static const char more[] = "...";
	size_t mark = strlen(path->at), bytes = piece ? strlen(piece) : sizeof(path->at);
	if (mark + sizeof(more) > sizeof(path->at))
		return mark;
	bool fits = mark + bytes + sizeof(more) <= sizeof(path->at);
	memcpy(path->at + mark, fits ? piece : more, fits ? bytes + 1 : sizeof(more));
	return mark;
}

static bool is_plain_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool is_plain(const char *key)
{
	const char *at = key;
	while (is_plain_byte(*at))
		at++;
	return at > key && !*at;
}

size_t chain_json_push_key(struct chain_json_path *path, const char *key)
{
	char piece[CHAIN_SUBJECT_BYTES];
	bool plain = is_plain(key);
	size_t used = plain ? path->at[0] != '\0' : 2;
	memcpy(piece, plain ? "." : "[\"", 2);
	for (; *key && used < sizeof(piece) - 4; key++) {
		if (*key == '"' || *key == '\\')
			piece[used++] = '\\';
		piece[used++] = *key;
	}
	memcpy(piece + used, plain ? "" : "\"]", plain ? 1 : 3);
	return push(path, *key ? NULL : piece);
}

size_t chain_json_push_index(struct chain_json_path *path, size_t index)
{
	char piece[32];
	snprintf(piece, sizeof(piece), "[%zu]", index);
	return push(path, piece);
}

void chain_json_pop(struct chain_json_path *path, size_t mark)
{
	path->at[mark] = '\0';
}

#ifndef KCHAIN_STAGE
bool chain_json_goes_on(struct chain_json_path *path, enum chain_status status, enum chain_status *first,
			struct chain_error *err)
{
	if (!status)
		return true;
	if (!*first || status == CHAIN_E_NO_MEMORY)
		*first = status;
	if (!path->errors || status == CHAIN_E_NO_MEMORY)
		return false;
	chain_errors_take(path->errors, err);
	return true;
}
#endif

/* --- what is wrong with a value --- */

enum { SHOWN_BYTES = 64 };

/* A value as its document has it, as far as one wants to read it again. */
static const char *show(const json_t *value, char out[SHOWN_BYTES])
{
	static const char *const names[] = { "an object",     "an array", "a string", "an integer",
					     "a real number", "true",     "false",    "null" };
	const char *text = json_string_value(value);
	if (text)
		snprintf(out, SHOWN_BYTES, strlen(text) < SHOWN_BYTES - 8 ? "\"%s\"" : "\"%.50s...\"", text);
	else if (json_is_integer(value))
		snprintf(out, SHOWN_BYTES, "%lld", (long long)json_integer_value(value));
	else
		snprintf(out, SHOWN_BYTES, json_is_array(value) || json_is_object(value) ? "%s of %zu" : "%s",
			 value ? names[json_typeof(value)] : "nothing",
			 json_is_array(value) ? json_array_size(value) : json_object_size(value));
	return out;
}

enum chain_status chain_json_wrong(const json_t *value, const char *wanted, const struct chain_json_path *path,
				   struct chain_error *err)
{
	char detail[CHAIN_SUBJECT_BYTES], shown[SHOWN_BYTES];
	snprintf(detail, sizeof(detail), "%s expected, %s found", wanted, show(value, shown));
	return chain_fail_text(err, CHAIN_E_JSON_TYPE, path->at, detail);
}

#ifndef KCHAIN_STAGE
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
#endif

/* --- objects --- */

/* What is baked in has been through this on the host, where a person may have misspelt it. */
static const char *nearest_key(const char *key, const struct chain_json_keys *keys)
{
#ifdef KCHAIN_STAGE
	(void)key;
	(void)keys;
	return NULL;
#else
	enum { KEYS_MAX = 32 };
	const char *names[KEYS_MAX];
	size_t n = keys->count < KEYS_MAX ? keys->count : KEYS_MAX;
	for (size_t i = 0; i < n; i++)
		names[i] = keys->v[i].name;
	return chain_nearest(key, names, n);
#endif
}

static enum chain_status refuse_key(const char *key, const struct chain_json_keys *keys, struct chain_json_path *path,
				    struct chain_error *err)
{
	const char *near = nearest_key(key, keys);
	size_t mark = chain_json_push_key(path, key);
	enum chain_status status = near ? CHAIN_E_JSON_UNKNOWN_KEY_NEAR : CHAIN_E_JSON_UNKNOWN_KEY;
	status = chain_fail_text(err, status, path->at, near);
	chain_json_pop(path, mark);
	return status;
}

static enum chain_status check_keys(const json_t *object, const struct chain_json_keys *keys,
				    struct chain_json_path *path, struct chain_error *err)
{
	const char *key;
	json_t *value;
	enum chain_status first = CHAIN_OK;
	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		size_t i = 0;
		while (i < keys->count && strcmp(keys->v[i].name, key))
			i++;
		if (i < keys->count || !strncmp(key, "x-", 2) || !strcmp(key, "$schema"))
			continue;
		if (!chain_json_goes_on(path, refuse_key(key, keys, path, err), &first, err))
			break;
	}
	return first;
}

static enum chain_status read_key(const json_t *object, const struct chain_json_key *key, void *into,
				  struct chain_json_path *path, struct chain_error *err)
{
	const json_t *value = json_object_get(object, key->name);
	if (!value && !key->required)
		return CHAIN_OK;
	size_t mark = chain_json_push_key(path, key->name);
	enum chain_status status = value ? key->read(value, (char *)into + key->offset, key->of, path, err) :
					   chain_fail_subject(err, CHAIN_E_JSON_MISSING_KEY, path->at);
	chain_json_pop(path, mark);
	return status;
}

enum chain_status chain_json_read_object(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					 struct chain_error *err)
{
	const struct chain_json_keys *keys = of;
	enum chain_status first = CHAIN_OK;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object", path, err);
	bool more = chain_json_goes_on(path, check_keys(value, keys, path, err), &first, err);
	for (size_t i = 0; more && i < keys->count; i++)
		more = chain_json_goes_on(path, read_key(value, &keys->v[i], into, path, err), &first, err);
	return first;
}

enum chain_status chain_json_walk(const json_t *object, const struct chain_json_key *keys, size_t count, void *into,
				  struct chain_json_path *path, struct chain_error *err)
{
	return chain_json_read_object(object, into, &(const struct chain_json_keys){ keys, count }, path, err);
}

/* --- arrays, and objects as such --- */

static enum chain_status make_elements(const json_t *value, bool right, const struct chain_json_elements *each,
				       void *into, char **out, const struct chain_json_path *path,
				       struct chain_error *err)
{
	size_t count = json_is_array(value) ? json_array_size(value) : json_object_size(value);
	if (!right || count < each->least)
		return chain_json_wrong(value, each->wanted, path, err);
	*out = calloc(count ? count : 1, each->bytes);
	memcpy(into, out, sizeof(*out));
	return *out ? CHAIN_OK : chain_fail_no_memory(err, path->at, (count ? count : 1) * each->bytes);
}

static enum chain_status read_element(const json_t *value, const char *key, void *into,
				      const struct chain_json_elements *each, struct chain_json_path *path,
				      struct chain_error *err)
{
	char *name = key ? strdup(key) : NULL;
	if (key)
		memcpy(into, &name, sizeof(name));
	if (key && !name)
		return chain_fail_no_memory(err, path->at, strlen(key) + 1);
	return each->read(value, into, each->of, path, err);
}

static enum chain_status read_elements(const json_t *value, bool right, void *into,
				       const struct chain_json_elements *each, struct chain_json_path *path,
				       struct chain_error *err)
{
	size_t *count = (size_t *)((char *)into + sizeof(void *));
	char *v;
	enum chain_status first = make_elements(value, right, each, into, &v, path, err);
	if (first)
		return first;
	void *member = json_object_iter((json_t *)(uintptr_t)value);
	const json_t *item;
	bool more = true;
	for (; more && (item = member ? json_object_iter_value(member) : json_array_get(value, *count));
	     ++*count, v += each->bytes) {
		const char *key = member ? json_object_iter_key(member) : NULL;
		size_t mark = key ? chain_json_push_key(path, key) : chain_json_push_index(path, *count);
		enum chain_status status = read_element(item, key, v, each, path, err);
		chain_json_pop(path, mark);
		more = chain_json_goes_on(path, status, &first, err);
		member = json_object_iter_next((json_t *)(uintptr_t)value, member);
	}
	return first;
}

enum chain_status chain_json_read_list(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	return read_elements(value, json_is_array(value), into, of, path, err);
}

enum chain_status chain_json_read_members(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err)
{
	return read_elements(value, json_is_object(value), into, of, path, err);
}

/* --- types --- */

static enum chain_status want_text(const json_t *value, const char **out, struct chain_json_path *path,
				   struct chain_error *err)
{
	*out = json_string_value(value); /* jansson refuses \u0000 unless asked not to */
	return *out ? CHAIN_OK : chain_json_wrong(value, "a string", path, err);
}

enum chain_status chain_json_read_text(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	const char *text;
	char **out = into;
	(void)of;
	enum chain_status status = want_text(value, &text, path, err);
	if (status)
		return status;
	char *copy = strdup(text);
	if (!copy)
		return chain_fail_no_memory(err, path->at, strlen(text) + 1);
	free(*out);
	*out = copy;
	return CHAIN_OK;
}

enum chain_status chain_json_read_bool(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	(void)of;
	*(bool *)into = json_is_true(value);
	return json_is_boolean(value) ? CHAIN_OK : chain_json_wrong(value, "true or false", path, err);
}

enum chain_status chain_json_read_any(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				      struct chain_error *err)
{
	(void)of;
	(void)path;
	(void)err;
	*(json_t **)into = json_incref((json_t *)(uintptr_t)value);
	return CHAIN_OK;
}

enum chain_status chain_json_read_word(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	const struct chain_json_words *words = of;
	const char *text;
	char list[CHAIN_SUBJECT_BYTES];
	enum chain_status status = want_text(value, &text, path, err);
	if (status)
		return status;
	size_t used = strlen(show(value, list));
	for (size_t i = 0; i < words->count; i++) {
		if (!strcmp(words->v[i], text)) {
			*(unsigned *)into = (unsigned)i;
			return CHAIN_OK;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"",
						 i ? ", " : " is not one of ", words->v[i]);
	}
	return chain_fail_text(err, CHAIN_E_JSON_WORD, path->at, list);
}

enum chain_status chain_json_read_choice(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					 struct chain_error *err)
{
	unsigned word = 0;
	enum chain_status status = chain_json_read_word(value, &word, of, path, err);
	*(bool *)into = word == 1;
	return status;
}

/* --- numbers --- */

typedef bool parse_text(const char *text, uint64_t *out);

static enum chain_status out_of_range(const json_t *value, const char *than, const char *limit,
				      const struct chain_json_path *path, struct chain_error *err)
{
	char detail[2 * SHOWN_BYTES], shown[SHOWN_BYTES];
	snprintf(detail, sizeof(detail), "%s is %s %s", show(value, shown), than, limit);
	return chain_fail_text(err, CHAIN_E_JSON_RANGE, path->at, detail);
}

static enum chain_status check_limits(const json_t *value, uint64_t number, const struct chain_json_limits *limits,
				      parse_text *parse, const struct chain_json_path *path, struct chain_error *err)
{
	uint64_t limit;
	if (limits && limits->least && parse(limits->least, &limit) && number < limit)
		return out_of_range(value, "below", limits->least, path, err);
	if (limits && limits->most && parse(limits->most, &limit) && number > limit)
		return out_of_range(value, "above", limits->most, path, err);
	return CHAIN_OK;
}

enum chain_status chain_json_read_number(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					 struct chain_error *err)
{
	json_int_t number = json_integer_value(value);
	if (!json_is_integer(value))
		return chain_json_wrong(value, "an integer", path, err);
	if (number < 0)
		return out_of_range(value, "below", "0", path, err);
	*(uint64_t *)into = (uint64_t)number;
	return check_limits(value, (uint64_t)number, of, chain_parse_count, path, err);
}

/* A number alone is distinguished: what it lacks can be said. */
static enum chain_status read_units(const json_t *value, uint64_t *out, const struct chain_json_limits *limits,
				    parse_text *parse, enum chain_status wrong, enum chain_status wrong_bare,
				    const struct chain_json_path *path, struct chain_error *err)
{
	const char *text = json_string_value(value);
	char shown[SHOWN_BYTES];
	if (text && parse(text, out))
		return check_limits(value, *out, limits, parse, path, err);
	if (!text && !json_is_number(value))
		return chain_json_wrong(value, "a string", path, err);
	show(value, shown);
	bool bare = json_is_integer(value) || (text && *text && strlen(text) < 20 && !text[strspn(text, "0123456789")]);
	return chain_fail_text(err, bare ? wrong_bare : wrong, path->at, bare && text ? text : shown);
}

enum chain_status chain_json_read_size(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	return read_units(value, into, of, chain_parse_size, CHAIN_E_JSON_SIZE, CHAIN_E_JSON_SIZE_BARE, path, err);
}

enum chain_status chain_json_read_time(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				       struct chain_error *err)
{
	return read_units(value, into, of, chain_parse_time, CHAIN_E_JSON_TIME, CHAIN_E_JSON_TIME_BARE, path, err);
}

bool chain_parse_units(const char *text, const struct chain_unit *units, size_t count, uint64_t *out)
{
	uint64_t value = 0;
	size_t i = 0;
	for (; text[i] >= '0' && text[i] <= '9'; i++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	if (!i)
		return false;
	for (size_t u = 0; u < count; u++)
		if (!strcmp(text + i, units[u].name))
			return !__builtin_mul_overflow(value, units[u].factor, out);
	return false;
}

bool chain_parse_count(const char *text, uint64_t *out)
{
	static const struct chain_unit one = { "", 1 };
	return chain_parse_units(text, &one, 1, out);
}

bool chain_parse_size(const char *text, uint64_t *out_bytes)
{
	static const struct chain_unit units[] = {
		{ "", 1 },        { "B", 1 },         { "K", 1 << 10 }, { "KiB", 1 << 10 },
		{ "M", 1 << 20 }, { "MiB", 1 << 20 }, { "G", 1 << 30 }, { "GiB", 1 << 30 },
	};
	return chain_parse_units(text, units, sizeof(units) / sizeof(units[0]), out_bytes);
}

bool chain_parse_time(const char *text, uint64_t *out_us)
{
	static const struct chain_unit units[] = {
		{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 }
	};
	return chain_parse_units(text, units, sizeof(units) / sizeof(units[0]), out_us);
}
