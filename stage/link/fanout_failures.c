/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fanout_failures.h"

#include "chain/json.h"
#include "chain/json_write.h"
#include "stage/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_GROUPS = 8, SAID_KERNELS = 8 };

struct fanout_failure {
	struct stage_verdict verdict; /* of the first kernel, without result */
	struct stage_call_result got; /* the same, without mailbox */
	unsigned attempts;
	bool differ; /* others faulted at the same place for another address, or otherwise */
	uint32_t count;
	json_t *made; /* borrowed */
};

/* What of a fault may be another each time. */
struct fanout_failed {
	uint64_t address;
	uint32_t error_code;
	uint16_t cpu, group; /* from 1; 0: it did not fail */
};

enum chain_status fanout_failures_make(struct fanout_failures *f, size_t kernels, const char *subject,
				       struct chain_error *err)
{
	f->kernels = kernels;
	f->of = calloc(kernels, sizeof(*f->of));
	f->groups[FANOUT_GROUPS_MAX] = calloc(1, sizeof(struct fanout_failure));
	if (!f->of || !f->groups[FANOUT_GROUPS_MAX])
		return chain_fail_no_memory(err, subject, kernels * sizeof(*f->of) + sizeof(struct fanout_failure));
	f->groups[FANOUT_GROUPS_MAX]->verdict =
		(struct stage_verdict){ STAGE_VERDICT_FAILED, .exit = -1, .reason = "all other reasons" };
	return CHAIN_OK;
}

void fanout_failures_free(struct fanout_failures *f)
{
	for (size_t i = 0; i <= FANOUT_GROUPS_MAX; i++)
		free(f->groups[i]);
	free(f->of);
}

static bool is_of(const struct fanout_failure *group, unsigned attempts, const struct stage_verdict *verdict)
{
	return group->verdict.status == verdict->status && group->verdict.exit == verdict->exit &&
	       group->attempts == attempts && group->verdict.place_bytes == verdict->place_bytes &&
	       !memcmp(group->verdict.reason, verdict->reason, verdict->place_bytes);
}

static size_t find(struct fanout_failures *f, unsigned attempts, const struct stage_verdict *verdict,
		   const struct stage_call_result *got)
{
	for (size_t i = 0; i < f->count; i++)
		if (is_of(f->groups[i], attempts, verdict))
			return i;
	struct fanout_failure *group = f->count < FANOUT_GROUPS_MAX ? calloc(1, sizeof(*group)) : NULL;
	if (!group)
		return FANOUT_GROUPS_MAX;
	*group = (struct fanout_failure){ .verdict = *verdict, .got = *got, .attempts = attempts };
	f->groups[f->count] = group;
	return f->count++;
}

void fanout_failures_add(struct fanout_failures *f, uint32_t index, unsigned attempts,
			 const struct stage_verdict *verdict, const struct stage_call_result *got)
{
	size_t at = find(f, attempts, verdict, got);
	struct fanout_failure *group = f->groups[at];
	group->count++;
	f->of[index] = (struct fanout_failed){ got->address, (uint32_t)got->error_code, (uint16_t)got->cpu,
					       (uint16_t)(at + 1) };
	if (at == FANOUT_GROUPS_MAX || !strcmp(group->verdict.reason, verdict->reason))
		return;
	group->verdict.reason[verdict->place_bytes] = '\0'; /* what they share */
	group->differ = true;
}

/* Members of `fault` that a list takes the place of where a group's kernels differ, and the lists. */
static const char *const single[] = { "address", "error_code", "cpu" }, *const listed[] = { "addresses", "error_codes",
											    "cpus" };
enum { DIFFERING = sizeof(single) / sizeof(single[0]) };

/* Its lists are filled in later. */
static json_t *group_json(struct fanout_failure *group)
{
	json_t *out = chain_json_object(
		CHAIN_TEXT("reason", group->verdict.reason),
		CHAIN_TEXT("status", stage_verdict_name(group->verdict.status)),
		CHAIN_INT("exit", (json_int_t)group->verdict.exit), CHAIN_INT("attempts", (json_int_t)group->attempts),
		CHAIN_INT("count", (json_int_t)group->count), CHAIN_STEAL("indices", json_array()));
	group->made = out;
	int bad = out && stage_fault_add(out, &group->got, false) ? 0 : -1;
	json_t *fault = json_object_get(out, "fault");
	for (size_t i = 0; i < DIFFERING && fault && group->differ; i++) {
		(void)json_object_del(fault, single[i]);
		bad |= json_object_set_new(fault, listed[i], json_array());
	}
	if (!bad)
		return out;
	json_decref(out);
	return NULL;
}

/* Adds a kernel to its group's lists. */
static int list_kernel(const struct fanout_failure *group, const struct fanout_failed *kernel, size_t index)
{
	json_t *fault = group->differ ? json_object_get(group->made, "fault") : NULL;
	int bad = json_array_append_new(json_object_get(group->made, "indices"), json_integer((json_int_t)index));
	if (fault && !bad)
		bad = json_array_append_new(json_object_get(fault, listed[0]), chain_json_hex(kernel->address)) ||
		      json_array_append_new(json_object_get(fault, listed[1]), chain_json_hex(kernel->error_code)) ||
		      json_array_append_new(json_object_get(fault, listed[2]), json_integer(kernel->cpu));
	return bad;
}

static int by_size(const void *a, const void *b)
{
	const struct fanout_failure *one = *(struct fanout_failure *const *)a,
				    *two = *(struct fanout_failure *const *)b;
	return one->count < two->count ? 1 :
	       one->count > two->count ? -1 :
					 strcmp(one->verdict.reason, two->verdict.reason);
}

json_t *fanout_failures_json(struct fanout_failures *f)
{
	struct fanout_failure *sorted[FANOUT_GROUPS_MAX + 1];
	json_t *groups = json_array();
	size_t count = f->count;
	memcpy(sorted, f->groups, count * sizeof(struct fanout_failure *));
	if (f->groups[FANOUT_GROUPS_MAX]->count)
		sorted[count++] = f->groups[FANOUT_GROUPS_MAX];
	qsort(sorted, count, sizeof(struct fanout_failure *), by_size);
	int bad = groups ? 0 : -1;
	for (size_t i = 0; !bad && i < count; i++)
		bad = json_array_append_new(groups, group_json(sorted[i]));
	for (size_t i = 0; !bad && i < f->kernels; i++)
		if (f->of[i].group)
			bad = list_kernel(f->groups[f->of[i].group - 1], &f->of[i], i);
	if (!bad)
		return groups;
	json_decref(groups);
	return NULL;
}

bool fanout_failures_add_inputs(struct fanout_failures *f, const struct chain_fanout_set *set)
{
	int bad = 0;
	for (size_t i = 0; !bad && set->inputs && i < f->kernels; i++) {
		json_t *group = f->of[i].group ? f->groups[f->of[i].group - 1]->made : NULL, *input;
		if (!group)
			continue;
		if (!json_object_get(group, "inputs"))
			bad = json_object_set_new(group, "inputs", json_array());
		bad = bad ||
		      chain_json_any(set->inputs[i], strlen(set->inputs[i]), CHAIN_JSON_DEPTH_MAX, "", &input, NULL) ||
		      json_array_append_new(json_object_get(group, "inputs"), input);
	}
	return !bad;
}

void fanout_failures_say(const json_t *groups)
{
	size_t i, k;
	json_t *group, *index;
	json_array_foreach (groups, i, group) {
		char list[SAID_KERNELS * 12 + 8] = "";
		int used = 0;
		if (i == SAID_GROUPS) {
			stage_say("failed", "for %zu more reasons", json_array_size(groups) - i);
			break;
		}
		json_array_foreach (json_object_get(group, "indices"), k, index) {
			used += sprintf(list + used, k < SAID_KERNELS ? ", %" JSON_INTEGER_FORMAT : ", ...",
					json_integer_value(index));
			if (k == SAID_KERNELS)
				break;
		}
		stage_say("failed", "%" JSON_INTEGER_FORMAT " x %s: %s",
			  json_integer_value(json_object_get(group, "count")),
			  json_string_value(json_object_get(group, "reason")), list + 2);
	}
}
