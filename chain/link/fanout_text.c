/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What each kernel of a fan-out gets to read. The handoff is dumped once; a kernel's own is that text and a few members
 * more, so a thousand of them cost little. */

#include "chain/fanout.h"
#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_BYTES = 128 }; /* index, count and attempt with their names and punctuation: up to 20 digits each */

bool chain_fanout_args_differ(const char *args)
{
	static const char *const facts[] = { "index", "count", "attempt", "input" };
	for (const char *at = args; (at = strstr(at, "{{self.")); at += 7)
		for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
			if (!strncmp(at + 7, facts[i], strlen(facts[i])))
				return true;
	return false;
}

static const char *input_of(const struct chain_fanout_set *set, size_t index)
{
	return set->inputs ? set->inputs[index] : NULL;
}

/* `{…,"self":{…` : the step's own members of `self`, and room for the kernel's. */
static enum chain_status make_head(struct chain_fanout_texts *t, struct chain_error *err)
{
	json_t *rest = chain_json_shallow(t->handoff);
	const json_t *self = json_object_get(t->handoff, "self");
	int bad = rest ? json_object_del(rest, "self") : -1;
	char *text = bad ? NULL : chain_json_text(rest, 0, NULL), *own = self ? chain_json_text(self, 0, NULL) : NULL;
	json_decref(rest);
	const size_t room = text && own ? strlen(text) + strlen(own) + 16 : 0;
	t->head = room ? malloc(room) : NULL;
	if (room && !t->head)
		chain_json_memory_fail(room);
	if (t->head)
		t->head_bytes = (size_t)sprintf(t->head, "%.*s,\"self\":%.*s", (int)strlen(text) - 1, text,
						(int)strlen(own) - 1, own);
	free(text);
	free(own);
	return t->head ? CHAIN_OK : chain_json_no_memory(err, "handoff");
}

/* At most, and without the terminator. */
static size_t names_bytes(const struct chain_step *step)
{
	size_t bytes = step->device_count ? sizeof(",\"devices\":[]") : 0;
	for (size_t i = 0; i < step->device_count; i++)
		bytes += strlen(step->devices[i].name) + sizeof("\"\",") - 1;
	return bytes;
}

enum chain_status chain_fanout_texts_make(const struct chain_step *step, const struct chain_fanout_set *set,
					  const json_t *handoff, const char *args, struct chain_fanout_texts *out,
					  struct chain_error *err)
{
	size_t longest = 0;
	*out = (struct chain_fanout_texts){ .set = set,
					    .step = step,
					    .args_differ = chain_fanout_args_differ(step->args),
					    .args = step->args,
					    .handoff = chain_json_shallow(handoff) };
	enum chain_status status = out->handoff ? make_head(out, err) : chain_json_no_memory(err, "handoff");
	for (size_t i = 0; i < set->count && set->inputs; i++)
		longest = strlen(set->inputs[i]) > longest ? strlen(set->inputs[i]) : longest;
	out->room_bytes = out->head_bytes + OWN_BYTES + longest + names_bytes(step);
	if (!status && out->room_bytes > CHAIN_HANDOFF_MAX_BYTES)
		status = CHAIN_FAIL(err, LIMIT, .subject = "handoff", .detail = "bytes", .value = out->room_bytes,
				    .limit = CHAIN_HANDOFF_MAX_BYTES);
	if (!status) {
		out->text = malloc(out->room_bytes);
		out->text_args = out->args_differ ? NULL : strdup(args);
		if (!out->text || (!out->args_differ && !out->text_args))
			status = chain_fail_no_memory(err, "handoff", out->room_bytes);
	}
	if (status)
		chain_fanout_texts_free(out);
	return status;
}

void chain_fanout_texts_free(struct chain_fanout_texts *t)
{
	json_decref(t->handoff);
	free(t->head);
	free(t->text);
	free(t->text_args);
	*t = (struct chain_fanout_texts){ 0 };
}

size_t chain_fanout_text_bytes(const struct chain_fanout_texts *t)
{
	size_t args = strlen(t->args_differ ? t->args : t->text_args);
	for (const char *fact = t->args; t->args_differ && (fact = strstr(fact, "{{")); fact += 2)
		args += CHAIN_TEMPLATE_FACT_BYTES;
	return t->room_bytes + args + 1;
}

enum chain_status chain_fanout_args(const struct chain_fanout_texts *t, size_t index, unsigned attempt, char **out,
				    struct chain_error *err)
{
	const char *input = input_of(t->set, index);
	json_t *self = chain_json_shallow(json_object_get(t->handoff, "self"));
	int bad = self ? 0 : -1;
	bad = bad || json_object_set_new(self, "index", json_integer((json_int_t)index)) ||
	      json_object_set_new(self, "count", json_integer((json_int_t)t->set->count)) ||
	      json_object_set_new(self, "attempt", json_integer((json_int_t)attempt)) ||
	      (input && json_object_set_new(self, "input", json_loads(input, JSON_DECODE_ANY, NULL)));
	bad = bad || json_object_set(t->handoff, "self", self);
	json_decref(self);
	if (bad)
		return chain_json_no_memory(err, t->step->name);
	return chain_template_expand_args(t->args, t->handoff, t->pending, t->quoted, t->step->name, out, err);
}

/* printf's part of a kernel's cost would be larger than all else here. */
static char *put_text(char *at, const char *text)
{
	size_t bytes = strlen(text);
	memcpy(at, text, bytes);
	return at + bytes;
}

static char *put_member(char *at, const char *name, uint64_t value)
{
	char digits[20];
	size_t count = 0;
	at = put_text(at, name);
	do
		digits[count++] = (char)('0' + value % 10);
	while (value /= 10);
	while (count)
		*at++ = digits[--count];
	return at;
}

/* Names of devices have no character that JSON would want escaped. */
static char *put_names(char *at, const struct chain_step *step, size_t index)
{
	bool any = false;
	for (size_t i = 0; i < step->device_count; i++) {
		if (step->devices[i].kernel != index)
			continue;
		at = put_text(put_text(at, any ? ",\"" : ",\"devices\":[\""), step->devices[i].name);
		*at++ = '"';
		any = true;
	}
	return any ? put_text(at, "]") : at;
}

size_t chain_fanout_handoff(const struct chain_fanout_texts *t, size_t index, unsigned attempt, char *out)
{
	const char *input = input_of(t->set, index);
	memcpy(out, t->head, t->head_bytes);
	char *at = put_names(out + t->head_bytes, t->step, index);
	at = put_member(at, ",\"index\":", index); /* OWN_BYTES is room for all but the input */
	at = put_member(at, ",\"count\":", t->set->count);
	at = put_member(at, ",\"attempt\":", attempt);
	if (input)
		at = put_text(put_text(at, ",\"input\":"), input);
	at = put_text(at, "}}");
	*at = '\0';
	return (size_t)(at - out);
}

enum chain_status chain_fanout_text(struct chain_fanout_texts *t, size_t index, unsigned attempt,
				    const char **out_handoff, size_t *out_bytes, const char **out_args,
				    struct chain_error *err)
{
	if (t->args_differ) {
		free(t->text_args);
		t->text_args = NULL;
		enum chain_status status = chain_fanout_args(t, index, attempt, &t->text_args, err);
		if (status)
			return status;
	}
	*out_handoff = t->text;
	*out_bytes = chain_fanout_handoff(t, index, attempt, t->text);
	*out_args = t->text_args;
	return CHAIN_OK;
}
