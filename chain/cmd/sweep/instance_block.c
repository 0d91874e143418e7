/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a block's outcomes, an input each. */

#include "instance.h"

#include "chain/cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

/* Which group of the step's failures each kernel is in; null: none. */
static void note_failures(const json_t *entry, const json_t **groups, size_t count)
{
	size_t n, k;
	json_t *group, *index;
	json_array_foreach (json_object_get(entry, "failures"), n, group)
		json_array_foreach (json_object_get(group, "indices"), k, index) {
			const json_int_t at = json_integer_value(index);
			if (json_is_integer(index) && at >= 0 && (size_t)at < count)
				groups[at] = group;
		}
}

static void of_failure(const json_t *group, char *reason, size_t size, struct outcome *out)
{
	const char *status = json_string_value(json_object_get(group, "status")),
		   *why = json_string_value(json_object_get(group, "reason"));
	const json_t *exit_status = json_object_get(group, "exit");
	out->status = status && strcmp(status, "timeout") == 0 ? OUTCOME_TIMEOUT : OUTCOME_FAILED;
	if (why)
		snprintf(reason, size, "%s", why);
	else if (json_is_integer(exit_status))
		snprintf(reason, size, "the kernel exited with status %lld",
			 (long long)json_integer_value(exit_status));
	else
		snprintf(reason, size, "%s", status ? status : "failed");
	out->reason = reason;
}

void instance_block_outcomes(const struct job *job, const json_t *entry, const struct outcome *whole,
			     instance_sink *sink, void *ctx)
{
	const json_t *results = json_object_get(entry, "result"), *status = json_object_get(entry, "status");
	const bool step_ok = json_is_string(status) && strcmp(json_string_value(status), "ok") == 0;
	const bool reported = json_array_size(results) == job->count && (whole->status == OUTCOME_OK || !step_ok);
	const json_int_t not_run = json_integer_value(json_object_get(entry, "not_run"));
	const json_t **groups = calloc(job->count, sizeof(json_t *));
	if (groups && reported)
		note_failures(entry, groups, job->count);
	for (size_t n = 0; n < job->count; n++) {
		char reason[512];
		struct outcome out = *whole;
		const json_t *result = json_array_get(results, n);
		out.index = job->indices[n];
		if (!reported || !groups) {
			out.status = whole->status == OUTCOME_OK ? OUTCOME_FAILED : whole->status;
			out.reason = whole->reason ? whole->reason : "the step left no list of results";
			sink(ctx, &out);
			continue;
		}
		out.status = OUTCOME_OK;
		out.reason = NULL;
		out.console = NULL;
		out.result = json_is_null(result) ? NULL : result;
		if (groups[n]) {
			of_failure(groups[n], reason, sizeof(reason), &out);
		} else if (not_run > 0 && !out.result) {
			out.status = OUTCOME_FAILED;
			out.reason = "it may not have run: the step was stopped by others' failures";
		}
		sink(ctx, &out);
	}
	free(groups);
}
