/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/template.h"

#include "chain/args.h"
#include "chain/fact.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
	const char *literal;
	size_t literal_bytes;          /* text before the braces */
	char fact[CHAIN_FACT_MAX + 1]; /* "" when the text ended */
	const char *fallback;
	size_t fallback_bytes; /* null: none */
};

static enum chain_status syntax(const char *where, const char *what, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_TEMPLATE_SYNTAX, where, what);
}

/* Reads up to and over the next {{…}}; *text is left behind it. */
static enum chain_status next_piece(const char **text, struct piece *out, const char *where, struct chain_error *err)
{
	const char *open = strstr(*text, "{{");
	*out = (struct piece){ .literal = *text, .literal_bytes = open ? (size_t)(open - *text) : strlen(*text) };
	if (!open) {
		*text += out->literal_bytes;
		return CHAIN_OK;
	}
	const char *close = strstr(open + 2, "}}");
	if (!close)
		return syntax(where, "{{ without }}", err);
	const char *bar = memchr(open + 2, '|', (size_t)(close - open - 2));
	size_t bytes = (size_t)((bar ? bar : close) - open - 2);
	if (!bytes || bytes > CHAIN_FACT_MAX)
		return syntax(where, "a fact has 1 to 200 characters", err);
	memcpy(out->fact, open + 2, bytes);
	out->fallback = bar ? bar + 1 : NULL;
	out->fallback_bytes = bar ? (size_t)(close - bar - 1) : 0;
	*text = close + 2;
	return CHAIN_OK;
}

static enum chain_status check_fact(const struct piece *piece, const struct chain_config *config,
				    enum chain_fact_use use, const char *where, struct chain_error *err)
{
	enum chain_certainty sure = piece->fact[0] ? chain_fact_certainty(config, piece->fact, use) : CHAIN_FACT_ALWAYS;
	if (sure == CHAIN_FACT_UNKNOWN)
		return chain_fail_text(err, CHAIN_E_TEMPLATE_UNKNOWN, where, piece->fact);
	if (sure == CHAIN_FACT_MAYBE && !piece->fallback)
		return chain_fail_text(err, CHAIN_E_TEMPLATE_NO_DEFAULT, where, piece->fact);
	return CHAIN_OK;
}

static enum chain_status check_text(const char *text, const struct chain_config *config, enum chain_fact_use use,
				    struct chain_json_path *path, struct chain_error *err)
{
	struct piece piece;
	enum chain_status first = CHAIN_OK;
	bool more = true;
	while (more && *text) {
		enum chain_status status = next_piece(&text, &piece, path->at, err);
		more = !status; /* where the next one begins can't be known */
		status = status ? status : check_fact(&piece, config, use, path->at, err);
		more = chain_json_goes_on(path, status, &first, err) && more;
	}
	return first;
}

enum chain_status chain_template_check(const char *text, const struct chain_config *config,
				       struct chain_json_path *path, struct chain_error *err)
{
	return check_text(text, config, CHAIN_FACT_IN_TEXT, path, err);
}

bool chain_template_in(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	bool found = json_is_string(value) && strstr(json_string_value(value), "{{");
	json_array_foreach (value, i, item)
		found = found || chain_template_in(item);
	json_object_foreach ((json_t *)(uintptr_t)value, key, item)
		found = found || chain_template_in(item);
	return found;
}

/* Whether a text is one template and nothing else: then it stands for a JSON value. */
static bool is_whole(const char *text, struct piece *out)
{
	return !next_piece(&text, out, "", NULL) && out->fact[0] && !out->literal_bytes && !*text;
}

/* A default that stands for a value is one if it reads as JSON, else it is a text. Null: no memory. */
static json_t *fallback_value(const struct piece *piece)
{
	json_t *value;
	enum chain_status status =
		chain_json_any(piece->fallback, piece->fallback_bytes, CHAIN_JSON_DEPTH_MAX, "", &value, NULL);
	return !status || status == CHAIN_E_NO_MEMORY ? value : json_stringn(piece->fallback, piece->fallback_bytes);
}

bool chain_template_may_be_null(const json_t *value)
{
	struct piece piece;
	if (!json_is_string(value) || !is_whole(json_string_value(value), &piece) || !piece.fallback)
		return false;
	return piece.fallback_bytes == 4 && !memcmp(piece.fallback, "null", 4);
}

static enum chain_status check_state(const json_t *value, const struct chain_config *config,
				     struct chain_json_path *path, struct chain_error *err)
{
	const char *key;
	json_t *item;
	size_t i;
	enum chain_status first = CHAIN_OK;
	if (json_is_string(value))
		return check_text(json_string_value(value), config, CHAIN_FACT_IN_STATE, path, err);
	json_array_foreach (value, i, item) {
		size_t mark = chain_json_push_index(path, i);
		enum chain_status status = check_state(item, config, path, err);
		chain_json_pop(path, mark);
		if (!chain_json_goes_on(path, status, &first, err))
			break;
	}
	json_object_foreach ((json_t *)(uintptr_t)value, key, item) {
		size_t mark = chain_json_push_key(path, key);
		enum chain_status status = check_state(item, config, path, err);
		chain_json_pop(path, mark);
		if (!chain_json_goes_on(path, status, &first, err))
			break;
	}
	return first;
}

static enum chain_status check_when(const struct chain_step *step, const struct chain_config *config,
				    struct chain_json_path *path, struct chain_error *err)
{
	const char *fact;
	json_t *value;
	enum chain_status first = CHAIN_OK;
	size_t top = chain_json_push_key(path, "when");
	json_object_foreach (step->when, fact, value) {
		if (strlen(fact) <= CHAIN_FACT_MAX &&
		    chain_fact_certainty(config, fact, CHAIN_FACT_IN_WHEN) != CHAIN_FACT_UNKNOWN)
			continue;
		size_t mark = chain_json_push_key(path, fact);
		enum chain_status status = chain_fail_text(err, CHAIN_E_TEMPLATE_UNKNOWN, path->at, fact);
		chain_json_pop(path, mark);
		if (!chain_json_goes_on(path, status, &first, err))
			break;
	}
	chain_json_pop(path, top);
	return first;
}

/* Whether each value of a list can stand in a text; of one that the state has, nothing is known. */
static bool all_plain(const json_t *list)
{
	const json_t *item;
	size_t i;
	bool plain = json_array_size(list);
	json_array_foreach (list, i, item)
		plain = plain && (json_is_number(item) || json_is_boolean(item) ||
				  (json_is_string(item) && json_string_length(item) < CHAIN_TEMPLATE_FACT_BYTES));
	return plain;
}

/* Each kernel of a fan-out knows more of itself. */
static enum chain_fact_use use_in(const struct chain_step *step)
{
	switch (step->fanout.kind) {
	case CHAIN_FANOUT_NONE:
		return CHAIN_FACT_IN_TEXT;
	case CHAIN_FANOUT_EACH:
		return CHAIN_FACT_IN_EACH;
	case CHAIN_FANOUT_LIST:
		return all_plain(step->fanout.list) ? CHAIN_FACT_IN_EACH : CHAIN_FACT_IN_FANOUT;
	default:
		return CHAIN_FACT_IN_FANOUT;
	}
}

/* `text`: null where it could not be read. */
static enum chain_status check_member(const char *text, const char *key, const struct chain_config *config,
				      enum chain_fact_use use, struct chain_json_path *path, struct chain_error *err)
{
	size_t mark = chain_json_push_key(path, key);
	enum chain_status status = text ? check_text(text, config, use, path, err) : CHAIN_OK;
	chain_json_pop(path, mark);
	return status;
}

static enum chain_status check_step(struct chain_config *config, struct chain_step *step, const void *ctx,
				    struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	bool more = chain_json_goes_on(path, check_when(step, config, path, err), &first, err);
	if (more)
		more = chain_json_goes_on(path, check_member(step->args, "args", config, use_in(step), path, err),
					  &first, err);
	size_t top = chain_json_push_key(path, "modules");
	for (size_t i = 0; more && i < step->module_count; i++) {
		size_t mark = chain_json_push_index(path, i);
		enum chain_status status =
			check_member(step->modules[i].string, "string", config, CHAIN_FACT_IN_TEXT, path, err);
		chain_json_pop(path, mark);
		more = chain_json_goes_on(path, status, &first, err);
	}
	chain_json_pop(path, top);
	if (!more || !step->fallback)
		return first;
	chain_json_push_key(path, "on_error");
	(void)chain_json_goes_on(path, check_step(config, step->fallback, ctx, path, err), &first, err);
	chain_json_pop(path, top);
	return first;
}

enum chain_status chain_config_check_templates(struct chain_config *config, struct chain_json_path *path,
					       struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	size_t mark = chain_json_push_key(path, "state");
	bool more = chain_json_goes_on(path, check_state(config->state, config, path, err), &first, err);
	chain_json_pop(path, mark);
	if (more)
		(void)chain_json_goes_on(path, chain_config_each_step(config, check_step, NULL, path, err), &first,
					 err);
	return first;
}

struct text {
	const char *what; /* "bytes of arguments": what its limit is of */
	char *bytes;
	size_t used, capacity;
	bool quoted; /* a native kernel's arguments: values stand for themselves there */
};

static enum chain_status append(struct text *text, const char *bytes, size_t count, const char *where,
				struct chain_error *err)
{
	if (count > CHAIN_TEMPLATE_MAX_BYTES - text->used)
		return CHAIN_FAIL(err, LIMIT, .subject = where, .detail = text->what, .value = text->used + count,
				  .limit = CHAIN_TEMPLATE_MAX_BYTES);
	if (text->used + count + 1 > text->capacity) {
		size_t capacity = 2 * (text->used + count + 1);
		char *grown = realloc(text->bytes, capacity);
		if (!grown)
			return chain_fail_no_memory(err, where, capacity);
		text->bytes = grown;
		text->capacity = capacity;
	}
	memcpy(text->bytes + text->used, bytes, count);
	text->used += count;
	text->bytes[text->used] = '\0';
	return CHAIN_OK;
}

/* A fact as text: the plain ones only, and nothing that would break out of its line. */
static enum chain_status append_value(struct text *text, const struct piece *piece, const json_t *value,
				      const char *where, struct chain_error *err)
{
	char number[32], escaped[CHAIN_TEMPLATE_FACT_BYTES];
	const char *plain = json_string_value(value);
	bool good = plain && strlen(plain) < CHAIN_TEMPLATE_FACT_BYTES && !chain_text_has_control(plain, strlen(plain));
	if (good && text->quoted) {
		good = chain_args_escape(plain, escaped, sizeof(escaped)) < sizeof(escaped);
		plain = escaped;
	}
	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		plain = number;
	} else if (json_is_real(value)) {
		char *written = chain_json_text(value, CHAIN_JSON_SHORT, NULL);
		enum chain_status status =
			written ? append(text, written, strlen(written), where, err) : chain_json_no_memory(err, where);
		free(written);
		return status;
	} else if (json_is_boolean(value)) {
		plain = json_is_true(value) ? "true" : "false";
	} else if (!good) {
		return chain_fail_text(err, CHAIN_E_TEMPLATE_VALUE, where, piece->fact);
	}
	return append(text, plain, strlen(plain), where, err);
}

static enum chain_status append_fact(struct text *text, const struct piece *piece, const json_t *handoff,
				     const char *where, struct chain_error *err)
{
	json_t *value;
	enum chain_status status = chain_fact_value(handoff, piece->fact, &value, err);
	if (status)
		return status;
	if (value)
		status = append_value(text, piece, value, where, err);
	else if (piece->fallback)
		status = append(text, piece->fallback, piece->fallback_bytes, where, err);
	else
		status = chain_fail_text(err, CHAIN_E_TEMPLATE_ABSENT, where, piece->fact);
	json_decref(value);
	return status;
}

/* `pending` has an entry for the first two words of the fact. */
static bool is_pending(const json_t *pending, const char *fact)
{
	char words[CHAIN_FACT_MAX + 1];
	snprintf(words, sizeof(words), "%s", fact);
	char *second = strchr(words, '.');
	if (!second)
		return false;
	*second++ = '\0';
	second[strcspn(second, ".")] = '\0';
	return json_object_get(json_object_get(pending, words), second) != NULL;
}

static bool text_pending(const char *text, const json_t *pending)
{
	struct piece piece;
	while (*text)
		if (next_piece(&text, &piece, "", NULL) || (piece.fact[0] && is_pending(pending, piece.fact)))
			return true;
	return false;
}

bool chain_template_pending(const json_t *value, const json_t *pending)
{
	const char *key;
	json_t *item;
	size_t i;
	bool found = json_is_string(value) && text_pending(json_string_value(value), pending);
	json_array_foreach (value, i, item)
		found = found || chain_template_pending(item, pending);
	json_object_foreach ((json_t *)(uintptr_t)value, key, item)
		found = found || chain_template_pending(item, pending);
	return found;
}

static enum chain_status expand(const char *text, const json_t *handoff, const json_t *pending, struct text result,
				const char *where, char **out, struct chain_error *err)
{
	struct piece piece;
	enum chain_status status = append(&result, "", 0, where, err);
	while (!status && *text) {
		const char *start = text;
		status = next_piece(&text, &piece, where, err);
		if (!status)
			status = append(&result, piece.literal, piece.literal_bytes, where, err);
		if (status || !piece.fact[0])
			continue;
		start += piece.literal_bytes;
		status = is_pending(pending, piece.fact) ? append(&result, start, (size_t)(text - start), where, err) :
							   append_fact(&result, &piece, handoff, where, err);
	}
	if (status)
		free(result.bytes);
	else
		*out = result.bytes;
	return status;
}

enum chain_status chain_template_expand_known(const char *text, const json_t *handoff, const json_t *pending,
					      const char *where, char **out, struct chain_error *err)
{
	return expand(text, handoff, pending, (struct text){ .what = "bytes of text" }, where, out, err);
}

enum chain_status chain_template_expand_args(const char *text, const json_t *handoff, const json_t *pending,
					     bool quoted, const char *where, char **out, struct chain_error *err)
{
	return expand(text, handoff, pending, (struct text){ .what = "bytes of arguments", .quoted = quoted }, where,
		      out, err);
}

enum chain_status chain_template_expand(const char *text, const json_t *handoff, const char *where, char **out,
					struct chain_error *err)
{
	return chain_template_expand_known(text, handoff, NULL, where, out, err);
}

static enum chain_status fill_text(const char *text, const json_t *handoff, const char *where, json_t **out,
				   struct chain_error *err)
{
	struct piece piece;
	char *expanded = NULL;
	if (is_whole(text, &piece)) {
		enum chain_status status = chain_fact_value(handoff, piece.fact, out, err);
		if (status || *out)
			return status;
		if (!piece.fallback)
			return chain_fail_text(err, CHAIN_E_TEMPLATE_ABSENT, where, piece.fact);
		*out = fallback_value(&piece);
		return *out ? CHAIN_OK : chain_json_no_memory(err, where);
	}
	enum chain_status status = chain_template_expand(text, handoff, where, &expanded, err);
	if (status)
		return status;
	*out = json_string(expanded);
	free(expanded);
	return *out ? CHAIN_OK : chain_json_no_memory(err, where);
}

enum chain_status chain_template_fill(const json_t *value, const json_t *handoff, const char *where, json_t **out,
				      struct chain_error *err)
{
	const char *key;
	json_t *item, *filled;
	size_t i;
	enum chain_status status = CHAIN_OK;
	if (json_is_string(value))
		return fill_text(json_string_value(value), handoff, where, out, err);
	json_t *made = json_is_array(value)  ? json_array() :
		       json_is_object(value) ? json_object() :
					       json_incref((json_t *)(uintptr_t)value);
	if (!made)
		return chain_json_no_memory(err, where);
	json_array_foreach (value, i, item) {
		if (!status)
			status = chain_template_fill(item, handoff, where, &filled, err);
		if (!status && json_array_append_new(made, filled))
			status = chain_json_no_memory(err, where);
	}
	json_object_foreach ((json_t *)(uintptr_t)value, key, item) {
		if (!status)
			status = chain_template_fill(item, handoff, where, &filled, err);
		if (!status && json_object_set_new(made, key, filled))
			status = chain_json_no_memory(err, where);
	}
	if (status)
		json_decref(made);
	else
		*out = made;
	return status;
}
