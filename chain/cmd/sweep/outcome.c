/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "outcome.h"

#include "chain/cmd/cmd.h"
#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/json_memory.h"

#include <string.h>

enum { DEPTH_MAX = CHAIN_JSON_DEPTH_MAX + 2 };

const char *outcome_status_name(enum outcome_status status)
{
	static const char *const NAMES[] = { "ok", "failed", "timeout", "lost" };
	return NAMES[status];
}

const char *outcome_phase_name(enum outcome_phase phase)
{
	static const char *const NAMES[] = { "start", "run", "stop" };
	return NAMES[phase];
}

char *outcome_text(const struct outcome *outcome)
{
	const uint64_t *us = outcome->phase_us;
	json_t *doc = json_pack("{s:I, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "index", (json_int_t)outcome->index,
				"status", outcome_status_name(outcome->status), "tries", (json_int_t)outcome->tries,
				"slot", (json_int_t)outcome->slot, "at_us", (json_int_t)outcome->at_us, "us",
				outcome_phase_name(OUTCOME_START), (json_int_t)us[OUTCOME_START],
				outcome_phase_name(OUTCOME_RUN), (json_int_t)us[OUTCOME_RUN],
				outcome_phase_name(OUTCOME_STOP), (json_int_t)us[OUTCOME_STOP]);
	int bad = doc ? 0 : -1;
	if (outcome->node)
		bad |= json_object_set_new(doc, "node", json_string(outcome->node));
	if (outcome->block > 1)
		bad |= json_object_set_new(doc, "block", json_integer((json_int_t)outcome->block));
	if (outcome->result)
		bad |= json_object_set(doc, "result", (json_t *)(uintptr_t)outcome->result);
	if (outcome->reason)
		bad |= json_object_set_new(doc, "reason", cmd_json_string(outcome->reason, strlen(outcome->reason)));
	if (outcome->console)
		bad |= json_object_set(doc, "console", (json_t *)(uintptr_t)outcome->console);
	char *text = bad ? NULL : cmd_json_text(doc, JSON_COMPACT);
	json_decref(doc);
	return text;
}

/* --- reading --- */

/* False: not there, no integer, or out of its range. */
static bool number(const json_t *doc, const char *key, uint64_t most, uint64_t *out)
{
	const json_t *value = json_object_get(doc, key);
	const json_int_t n = json_integer_value(value);
	*out = (uint64_t)n;
	return json_is_integer(value) && n >= 0 && (uint64_t)n <= most;
}

static bool read_status(const json_t *doc, enum outcome_status *out)
{
	const char *text = json_string_value(json_object_get(doc, "status"));
	for (int i = 0; text && i < OUTCOME_STATUS_COUNT; i++) {
		*out = (enum outcome_status)i;
		if (strcmp(text, outcome_status_name(*out)) == 0)
			return true;
	}
	return false;
}

static bool are_texts(const json_t *list)
{
	size_t i;
	json_t *text;
	json_array_foreach (list, i, text)
		if (!json_is_string(text))
			return false;
	return json_is_array(list);
}

static const char *read_members(const json_t *doc, struct outcome *out)
{
	const json_t *us = json_object_get(doc, "us"), *reason = json_object_get(doc, "reason"),
		     *node = json_object_get(doc, "node");
	if (!number(doc, "index", INT64_MAX, &out->index))
		return "no \"index\"";
	if (!read_status(doc, &out->status))
		return "no \"status\" that is known";
	if (!number(doc, "tries", OUTCOME_TRIES_MAX, &out->tries) ||
	    !number(doc, "slot", OUTCOME_SLOT_MAX, &out->slot) || !number(doc, "at_us", INT64_MAX / 2, &out->at_us))
		return "no \"tries\", \"slot\" and \"at_us\" that can be";
	for (int i = 0; i < OUTCOME_PHASE_COUNT; i++)
		if (!number(us, outcome_phase_name((enum outcome_phase)i), (uint64_t)OUTCOME_US_MAX * 1000,
			    &out->phase_us[i]))
			return "no times of its phases";
	out->block = 1;
	if (json_object_get(doc, "block") && !number(doc, "block", INT32_MAX, &out->block))
		return "a \"block\" that can't be";
	out->console = json_object_get(doc, "console");
	if ((reason && !json_is_string(reason)) || (node && !json_is_string(node)) ||
	    json_string_length(node) >= OUTCOME_NODE_BYTES || (out->console && !are_texts(out->console)))
		return "a member of another type than it has";
	if (out->status != OUTCOME_OK && !reason)
		return "no \"reason\" of one that is not ok";
	out->reason = json_string_value(reason);
	out->node = json_string_value(node);
	out->result = json_object_get(doc, "result");
	return NULL;
}

enum chain_status outcome_parse(const char *line, size_t bytes, struct outcome *out, const char **out_why)
{
	*out = (struct outcome){ 0 };
	*out_why = NULL;
	enum chain_status status = chain_json_any(line, bytes, DEPTH_MAX, "it", &out->doc, NULL);
	if (status == CHAIN_E_NO_MEMORY)
		return status;
	*out_why = status ? "no JSON" : !json_is_object(out->doc) ? "no object" : read_members(out->doc, out);
	if (!*out_why)
		return CHAIN_OK;
	outcome_free(out);
	return CHAIN_E_SWEEP_LINE;
}

void outcome_free(struct outcome *outcome)
{
	json_decref(outcome->doc);
	*outcome = (struct outcome){ 0 };
}
