/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/template.h"

#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACT_MAX = 200 };

struct piece {
	const char *literal; size_t literal_bytes;       /* text before the braces */
	char fact[FACT_MAX + 1];                         /* "" when the text ended */
	const char *fallback; size_t fallback_bytes;     /* null: none */
};

static enum chain_status syntax(const char *where, const char *what, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_TEMPLATE_SYNTAX, where, what, 0, 0, 0, 0);
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
	if (!bytes || bytes > FACT_MAX)
		return syntax(where, "a fact has 1 to 200 characters", err);
	memcpy(out->fact, open + 2, bytes);
	out->fallback = bar ? bar + 1 : NULL;
	out->fallback_bytes = bar ? (size_t)(close - bar - 1) : 0;
	*text = close + 2;
	return CHAIN_OK;
}

/* The words between the dots; *rest is behind the dot, or null. */
static const char *split(char *fact)
{
	char *dot = strchr(fact, '.');
	if (!dot)
		return NULL;
	*dot = '\0';
	return dot + 1;
}

enum certainty { UNKNOWN, MAYBE, ALWAYS };

static enum certainty one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return ALWAYS;
	return UNKNOWN;
}

static enum certainty net_fact(const struct chain_config *config, char *rest)
{
	static const char *const sure[] = { "address", "prefix", "mac", "status", NULL };
	static const char *const perhaps[] = { "gateway", "dns", "hostname", "driver", "pci", NULL };
	const char *what = rest ? split(rest) : NULL;
	for (size_t i = 0; what && i < config->net_count; i++) {
		if (strcmp(config->net[i].name, rest))
			continue;
		if (one_of(what, sure))
			return config->net[i].required || !strcmp(what, "status") ? ALWAYS : MAYBE;
		return one_of(what, perhaps) ? MAYBE : UNKNOWN;
	}
	return UNKNOWN;
}

static enum certainty block_fact(const struct chain_config *config, char *rest)
{
	static const char *const sure[] = { "bytes", "sector_bytes", "status", NULL };
	static const char *const perhaps[] = { "serial", "driver", "pci", NULL };
	const char *what = rest ? split(rest) : NULL;
	for (size_t i = 0; what && i < config->block_count; i++) {
		if (strcmp(config->block[i].name, rest))
			continue;
		if (one_of(what, sure))
			return config->block[i].required || !strcmp(what, "status") ? ALWAYS : MAYBE;
		return one_of(what, perhaps) ? MAYBE : UNKNOWN;
	}
	return UNKNOWN;
}

static const json_t *walk(const json_t *value, const char *path)
{
	char key[FACT_MAX + 56];
	while (value && path) {
		snprintf(key, sizeof(key), "%s", path);
		path = split(key) ? path + strlen(key) + 1 : NULL;
		value = json_object_get(value, key);
	}
	return value;
}

/* What the pipeline states itself is known by kind as well: null is absent, a list or an object is no fact. */
static enum certainty state_fact(const json_t *value)
{
	if (!value || json_is_null(value))
		return MAYBE;
	return json_is_string(value) || json_is_integer(value) || json_is_boolean(value) ? ALWAYS : UNKNOWN;
}

static enum certainty certainty(const struct chain_config *config, const char *fact)
{
	char copy[FACT_MAX + 56];
	snprintf(copy, sizeof(copy), "%s", fact);
	const char *found = split(copy);
	char *rest = found ? copy + (found - copy) : NULL;
	if (!strcmp(copy, "boot_id"))
		return rest ? UNKNOWN : ALWAYS;
	if (!rest)
		return UNKNOWN;
	if (!strcmp(copy, "net"))
		return net_fact(config, rest);
	if (!strcmp(copy, "block"))
		return block_fact(config, rest);
	if (!strcmp(copy, "self"))
		return strcmp(rest, "step") ? UNKNOWN : ALWAYS;
	if (!strcmp(copy, "platform"))
		return !strcmp(rest, "cpus") || !strcmp(rest, "door") ? ALWAYS : MAYBE;
	if (!strcmp(copy, "state"))
		return state_fact(walk(config->state, rest));
	return strcmp(copy, "results") ? UNKNOWN : MAYBE;
}

enum chain_status chain_template_check(const char *text, const struct chain_config *config, const char *where,
				       struct chain_error *err)
{
	struct piece piece;
	while (*text) {
		enum chain_status status = next_piece(&text, &piece, where, err);
		if (status)
			return status;
		enum certainty sure = piece.fact[0] ? certainty(config, piece.fact) : ALWAYS;
		if (sure == UNKNOWN)
			return chain_fail(err, CHAIN_E_TEMPLATE_UNKNOWN, where, piece.fact, 0, 0, 0, 0);
		if (sure == MAYBE && !piece.fallback)
			return chain_fail(err, CHAIN_E_TEMPLATE_NO_DEFAULT, where, piece.fact, 0, 0, 0, 0);
	}
	return CHAIN_OK;
}

static enum chain_status check_step(const struct chain_step *step, const struct chain_config *config, struct chain_error *err)
{
	enum chain_status status = chain_template_check(step->args, config, step->name, err);
	for (size_t i = 0; !status && i < step->module_count; i++)
		status = chain_template_check(step->modules[i].string, config, step->name, err);
	return status;
}

enum chain_status chain_config_check_templates(const struct chain_config *config, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < config->step_count; i++) {
		status = check_step(&config->steps[i], config, err);
		if (!status && config->steps[i].fallback)
			status = check_step(config->steps[i].fallback, config, err);
	}
	return status;
}

/* Facts that people name shorter than the handoff does: the first of a list, an address without its prefix. */
static const json_t *net_value(const json_t *handoff, const char *rest, int *part)
{
	char copy[FACT_MAX + 56];
	snprintf(copy, sizeof(copy), "%s", rest);
	const char *what = split(copy);
	const json_t *entry = json_object_get(json_object_get(handoff, "net"), copy);
	if (!what)
		return NULL;
	*part = !strcmp(what, "address") ? 1 : !strcmp(what, "prefix") ? 2 : 0;
	if (*part)
		return json_array_get(json_object_get(entry, "addresses"), 0);
	if (!strcmp(what, "gateway"))
		return json_array_get(json_object_get(entry, "gateways"), 0);
	if (!strcmp(what, "dns"))
		return json_array_get(json_object_get(entry, "dns"), 0);
	return json_object_get(entry, what);
}

/* The fact as text in `buf`; its length (an empty text is there all the same), ABSENT, or SIZE_MAX when it is no plain value. */
#define ABSENT (SIZE_MAX - 1)
static size_t fact_text(const json_t *handoff, const char *fact, char *buf, size_t size)
{
	int part = 0;
	const json_t *value = !strncmp(fact, "net.", 4) ? net_value(handoff, fact + 4, &part) : walk(handoff, fact);
	if (!value || json_is_null(value))
		return ABSENT;
	if (json_is_integer(value))
		return (size_t)snprintf(buf, size, "%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		return (size_t)snprintf(buf, size, "%s", json_is_true(value) ? "true" : "false");
	if (!json_is_string(value) || json_string_length(value) >= size)
		return SIZE_MAX;
	snprintf(buf, size, "%s", json_string_value(value));
	for (const char *c = buf; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return SIZE_MAX;
	char *slash = strchr(buf, '/');
	if (part == 1 && slash)
		*slash = '\0';
	else if (part == 2 && !slash)
		return ABSENT;
	else if (part == 2)
		memmove(buf, slash + 1, strlen(slash + 1) + 1);
	return strlen(buf);
}

struct text {
	char *bytes;
	size_t used, capacity;
};

static enum chain_status append(struct text *text, const char *bytes, size_t count, const char *where, struct chain_error *err)
{
	if (count > CHAIN_TEMPLATE_MAX_BYTES - text->used)
		return chain_fail(err, CHAIN_E_LIMIT, where, NULL, text->used + count, CHAIN_TEMPLATE_MAX_BYTES, 0, 0);
	if (text->used + count + 1 > text->capacity) {
		size_t capacity = 2 * (text->used + count + 1);
		char *grown = realloc(text->bytes, capacity);
		if (!grown)
			return chain_fail(err, CHAIN_E_NO_MEMORY, where, NULL, capacity, 0, 0, 0);
		text->bytes = grown;
		text->capacity = capacity;
	}
	memcpy(text->bytes + text->used, bytes, count);
	text->used += count;
	text->bytes[text->used] = '\0';
	return CHAIN_OK;
}

static enum chain_status append_fact(struct text *text, const struct piece *piece, const json_t *handoff, const char *where,
				     struct chain_error *err)
{
	char value[1024];
	size_t bytes = fact_text(handoff, piece->fact, value, sizeof(value));
	if (bytes == SIZE_MAX)
		return chain_fail(err, CHAIN_E_TEMPLATE_VALUE, where, piece->fact, 0, 0, 0, 0);
	if (bytes != ABSENT)
		return append(text, value, bytes, where, err);
	if (!piece->fallback)
		return chain_fail(err, CHAIN_E_TEMPLATE_ABSENT, where, piece->fact, 0, 0, 0, 0);
	return append(text, piece->fallback, piece->fallback_bytes, where, err);
}

enum chain_status chain_template_expand(const char *text, const json_t *handoff, const char *where, char **out,
					struct chain_error *err)
{
	struct text result = { 0 };
	struct piece piece;
	enum chain_status status = append(&result, "", 0, where, err);
	while (!status && *text) {
		status = next_piece(&text, &piece, where, err);
		if (!status)
			status = append(&result, piece.literal, piece.literal_bytes, where, err);
		if (!status && piece.fact[0])
			status = append_fact(&result, &piece, handoff, where, err);
	}
	if (status)
		free(result.bytes);
	else
		*out = result.bytes;
	return status;
}
