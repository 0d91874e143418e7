/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how the failures of a fan-out look: a line for each reason, with its kernels. */

#include "run_view.h"

#include <stdlib.h>
#include <string.h>

enum {
	SHOWN_REASONS = 10,
	SHOWN_KERNELS = 12,
	REASON_BYTES = RUN_FAILURE_BYTES,
	GROUPS_MAX = 300 /* a stage distinguishes fewer; what says otherwise is no stage */
};

/* What went wrong, and where; groups that look alike are shown as one. */
struct reason {
	char text[REASON_BYTES];
	json_int_t count;
	json_int_t *indices;
	size_t known; /* owned: of these kernels */
};

/* Where symbols say the place, that is shown instead of addresses: two in one line of the source are one reason. */
static bool describe_place(const json_t *fault, char out[REASON_BYTES])
{
	const char *place = json_string_value(json_object_get(fault, "place")),
		   *name = json_string_value(json_object_get(fault, "name"));
	json_int_t stack = json_integer_value(json_object_get(fault, "stack_bytes"));
	char overflow[96] = "";
	if (!place || !name)
		return false;
	if (stack > 0)
		snprintf(overflow, sizeof(overflow), ": its stack of %lld bytes overflowed (kchain_stack_bytes)",
			 (long long)stack);
	snprintf(out, REASON_BYTES, "%.80s%s, %.200s", name, overflow, place);
	return true;
}

void run_view_failure_text(const json_t *group, char out[RUN_FAILURE_BYTES])
{
	if (describe_place(json_object_get(group, "fault"), out))
		return;
	const char *reason = json_string_value(json_object_get(group, "reason")),
		   *status = json_string_value(json_object_get(group, "status"));
	snprintf(out, REASON_BYTES, "%.*s", REASON_BYTES - 1, reason ? reason : status ? status : "no reason");
}

static struct reason *find(struct reason *reasons, size_t *count, const char *text)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(reasons[i].text, text) == 0)
			return &reasons[i];
	struct reason *reason = &reasons[(*count)++];
	snprintf(reason->text, sizeof(reason->text), "%s", text);
	return reason;
}

static int by_number(const void *a, const void *b)
{
	json_int_t one = *(const json_int_t *)a, two = *(const json_int_t *)b;
	return one < two ? -1 : one > two;
}

static int by_size(const void *a, const void *b)
{
	const struct reason *one = a, *two = b;
	return one->count < two->count ? 1 : one->count > two->count ? -1 : strcmp(one->text, two->text);
}

static bool add(struct reason *reason, const json_t *group)
{
	const json_t *indices = json_object_get(group, "indices"), *index;
	size_t i;
	json_int_t count = json_integer_value(json_object_get(group, "count"));
	json_int_t *grown = realloc(reason->indices, (reason->known + json_array_size(indices) + 1) * sizeof(*grown));
	if (!grown)
		return false;
	reason->indices = grown;
	reason->count += count > 0 && count <= INT32_MAX ? count : 0;
	json_array_foreach (indices, i, index)
		if (json_is_integer(index))
			reason->indices[reason->known++] = json_integer_value(index);
	return true;
}

static void show(struct run_view *view, struct reason *reason)
{
	char list[SHOWN_KERNELS * 24 + 8] = "";
	size_t used = 0;
	if (reason->known)
		qsort(reason->indices, reason->known, sizeof(*reason->indices), by_number);
	for (size_t i = 0; i < reason->known && i < SHOWN_KERNELS; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%lld", i ? ", " : ": ",
					 (long long)reason->indices[i]);
	run_view_note(view, CMD_RED, "", "%lld x %s%s%s", (long long)reason->count, reason->text, list,
		      reason->known > SHOWN_KERNELS ? ", ..." : "");
}

/* False: no memory for all of them. */
static bool gather(const json_t *groups, struct reason *reasons, size_t *count)
{
	for (size_t i = 0; i < json_array_size(groups) && i < GROUPS_MAX; i++) {
		char text[REASON_BYTES];
		run_view_failure_text(json_array_get(groups, i), text);
		if (!add(find(reasons, count, text), json_array_get(groups, i)))
			return false;
	}
	return true;
}

void run_view_failures(struct run_view *view, const json_t *groups)
{
	size_t count = 0;
	struct reason *reasons = json_array_size(groups) ? calloc(GROUPS_MAX, sizeof(*reasons)) : NULL;
	if (!json_array_size(groups))
		return;
	if (!reasons || !gather(groups, reasons, &count))
		run_view_note(view, CMD_RED, "", "out of memory to show why kernels failed");
	if (count)
		qsort(reasons, count, sizeof(*reasons), by_size);
	for (size_t i = 0; i < count && i < SHOWN_REASONS; i++)
		show(view, &reasons[i]);
	if (count > SHOWN_REASONS)
		run_view_note(view, CMD_RED, "", "and for %zu more reasons: --json lists them", count - SHOWN_REASONS);
	for (size_t i = 0; i < count; i++)
		free(reasons[i].indices);
	free(reasons);
}
