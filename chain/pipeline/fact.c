/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/fact.h"

#include "chain/json_memory.h"
#include "chain/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of a fact's name, to be taken apart. */
struct name {
	char text[CHAIN_FACT_MAX + 1];
};

static struct name copy(const char *fact)
{
	struct name name;
	snprintf(name.text, sizeof(name.text), "%s", fact);
	return name;
}

/* Ends the first word; what is behind its dot, or null. */
static char *split(char *fact)
{
	char *dot = strchr(fact, '.');
	if (!dot)
		return NULL;
	*dot = '\0';
	return dot + 1;
}

static bool one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

static enum chain_certainty net_certainty(const struct chain_config *config, char *rest)
{
	static const char *const sure[] = { "address", "prefix", "mac", "status", NULL };
	static const char *const perhaps[] = { "gateway", "dns", "hostname", "driver", "pci", "mmio", NULL };
	const char *what = rest ? split(rest) : NULL;
	for (size_t i = 0; what && i < config->net_count; i++) {
		if (strcmp(config->net[i].name, rest))
			continue;
		if (one_of(what, sure))
			return config->net[i].need == CHAIN_NEED_REQUIRED || !strcmp(what, "status") ?
				       CHAIN_FACT_ALWAYS :
				       CHAIN_FACT_MAYBE;
		return one_of(what, perhaps) ? CHAIN_FACT_MAYBE : CHAIN_FACT_UNKNOWN;
	}
	return CHAIN_FACT_UNKNOWN;
}

static enum chain_certainty block_certainty(const struct chain_config *config, char *rest)
{
	static const char *const sure[] = { "bytes", "sector_bytes", "status", NULL };
	static const char *const perhaps[] = { "serial", "driver", "pci", "mmio", NULL };
	const char *what = rest ? split(rest) : NULL;
	for (size_t i = 0; what && i < config->block_count; i++) {
		if (strcmp(config->block[i].name, rest))
			continue;
		if (one_of(what, sure))
			return config->block[i].need == CHAIN_NEED_REQUIRED || !strcmp(what, "status") ?
				       CHAIN_FACT_ALWAYS :
				       CHAIN_FACT_MAYBE;
		return one_of(what, perhaps) ? CHAIN_FACT_MAYBE : CHAIN_FACT_UNKNOWN;
	}
	return CHAIN_FACT_UNKNOWN;
}

static const json_t *walk(const json_t *value, const char *path)
{
	struct name name = copy(path);
	for (char *key = name.text; value && key;) {
		char *rest = split(key);
		value = json_object_get(value, key);
		key = rest;
	}
	return value;
}

/* What the pipeline states itself is known by kind as well: null is absent, a list or an object can't stand in a text.
 */
static enum chain_certainty state_certainty(const struct chain_config *config, char *rest, enum chain_fact_use use)
{
	const json_t *value = walk(config->state, rest);
	(void)split(rest);
	if (use == CHAIN_FACT_IN_STATE && chain_template_in(json_object_get(config->state, rest)))
		return CHAIN_FACT_MAYBE; /* this is what was received: our own is being made */
	if (!value || json_is_null(value) || chain_template_may_be_null(value))
		return CHAIN_FACT_MAYBE;
	bool text = use != CHAIN_FACT_IN_STATE && use != CHAIN_FACT_IN_WHEN;
	if (text && !json_is_string(value) && !json_is_number(value) && !json_is_boolean(value))
		return CHAIN_FACT_UNKNOWN;
	return CHAIN_FACT_ALWAYS;
}

static enum chain_certainty self_certainty(const char *rest, enum chain_fact_use use)
{
	static const char *const own[] = { "index", "count", "attempt", "cpus", NULL };
	static const char *const placed[] = { "window.phys", "window.bytes", "mailbox.phys", "mailbox.bytes", NULL };
	if (!strcmp(rest, "step"))
		return CHAIN_FACT_ALWAYS;
	if (one_of(rest, placed)) /* a kernel's own place is known when it was opened */
		return use == CHAIN_FACT_IN_STATE || use == CHAIN_FACT_IN_WHEN ? CHAIN_FACT_UNKNOWN : CHAIN_FACT_MAYBE;
	if (use != CHAIN_FACT_IN_FANOUT && use != CHAIN_FACT_IN_EACH)
		return CHAIN_FACT_UNKNOWN;
	if (!strcmp(rest, "input") || !strncmp(rest, "input.", 6))
		return use == CHAIN_FACT_IN_EACH && !rest[5] ? CHAIN_FACT_ALWAYS : CHAIN_FACT_MAYBE;
	return one_of(rest, own) ? CHAIN_FACT_ALWAYS : CHAIN_FACT_UNKNOWN;
}

enum chain_certainty chain_fact_certainty(const struct chain_config *config, const char *fact, enum chain_fact_use use)
{
	struct name name = copy(fact);
	char *rest = split(name.text);
	if (!strcmp(name.text, "boot_id"))
		return rest ? CHAIN_FACT_UNKNOWN : CHAIN_FACT_ALWAYS;
	if (!rest)
		return CHAIN_FACT_UNKNOWN;
	if (!strcmp(name.text, "net"))
		return net_certainty(config, rest);
	if (!strcmp(name.text, "block"))
		return block_certainty(config, rest);
	if (!strcmp(name.text, "self"))
		return self_certainty(rest, use);
	if (!strcmp(name.text, "platform"))
		return !strcmp(rest, "cpus") || !strcmp(rest, "door") ? CHAIN_FACT_ALWAYS : CHAIN_FACT_MAYBE;
	if (!strcmp(name.text, "state"))
		return state_certainty(config, rest, use);
	return strcmp(name.text, "results") ? CHAIN_FACT_UNKNOWN : CHAIN_FACT_MAYBE;
}

/* Made facts: false is out of memory, an absent fact leaves *out null. */
static bool address(const char *text, json_t **out)
{
	*out = text ? json_stringn(text, strcspn(text, "/")) : NULL;
	return *out || !text;
}

static bool prefix(const char *text, json_t **out)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;
	*out = NULL;
	if (!digits || digits > 3 || slash[1 + digits])
		return true;
	*out = json_integer(strtol(slash + 1, NULL, 10));
	return *out;
}

/* Facts that people name shorter than the handoff does: the first of a list, an address without its prefix. */
static bool net_value(const json_t *handoff, char *rest, json_t **out)
{
	const char *what = split(rest);
	const json_t *entry = json_object_get(json_object_get(handoff, "net"), rest), *value;
	const char *configured = json_string_value(json_array_get(json_object_get(entry, "addresses"), 0));
	if (what && !strcmp(what, "address"))
		return address(configured, out);
	if (what && !strcmp(what, "prefix"))
		return prefix(configured, out);
	if (what && !strcmp(what, "gateway"))
		value = json_array_get(json_object_get(entry, "gateways"), 0);
	else if (what && !strcmp(what, "dns"))
		value = json_array_get(json_object_get(entry, "dns"), 0);
	else
		value = what ? walk(entry, what) : NULL;
	*out = json_incref((json_t *)(uintptr_t)value);
	return true;
}

enum chain_status chain_fact_value(const json_t *handoff, const char *fact, json_t **out, struct chain_error *err)
{
	struct name name = copy(fact);
	if (strncmp(fact, "net.", 4))
		*out = json_incref((json_t *)(uintptr_t)walk(handoff, fact));
	else if (!net_value(handoff, name.text + 4, out))
		return chain_json_no_memory(err, fact);
	if (json_is_null(*out)) {
		json_decref(*out);
		*out = NULL;
	}
	return CHAIN_OK;
}
