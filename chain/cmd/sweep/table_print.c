/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "table.h"

#include "chain/cmd/cmd.h"

#include <string.h>

enum { GROUPS_SHOWN = 10, RUNS_SHOWN = 8 };

static void put_time(FILE *to, uint64_t us)
{
	const double ms = (double)us / 1e3;
	if (ms < 10000)
		fprintf(to, " %9.1f ms", ms);
	else
		fprintf(to, " %9.1f s ", ms / 1e3);
}

static void print_times(const struct table *table, FILE *to)
{
	fprintf(to, "  %-8s %12s %12s %12s %12s\n", "", "median  ", "90 %   ", "99 %   ", "longest ");
	for (int i = 0; i <= OUTCOME_PHASE_COUNT; i++) {
		const struct spread *s = &table->spreads[i];
		fprintf(to, "  %-8s", i < OUTCOME_PHASE_COUNT ? outcome_phase_name((enum outcome_phase)i) : "in all");
		put_time(to, spread_quantile(s, 0.5));
		put_time(to, spread_quantile(s, 0.9));
		put_time(to, spread_quantile(s, 0.99));
		put_time(to, s->most_us);
		fputc('\n', to);
	}
}

/* "3, 17, 40-49 and 812 more". */
static void print_indices(const struct table_group *group, FILE *to)
{
	size_t at = 0, runs = 0;
	for (; at < group->index_count && runs < RUNS_SHOWN; runs++) {
		size_t end = at + 1;
		while (end < group->index_count && group->indices[end] == group->indices[end - 1] + 1)
			end++;
		fprintf(to, "%s%llu", runs ? ", " : "", (unsigned long long)group->indices[at]);
		if (end > at + 1)
			fprintf(to, "-%llu", (unsigned long long)group->indices[end - 1]);
		at = end;
	}
	if (at < group->count)
		fprintf(to, " and %llu more", (unsigned long long)(group->count - at));
}

static void print_groups(const struct table *table, FILE *to)
{
	size_t left = table->group_count > GROUPS_SHOWN ? table->group_count - GROUPS_SHOWN : 0;
	for (size_t i = 0; i < table->group_count && i < GROUPS_SHOWN; i++) {
		const struct table_group *group = &table->groups[i];
		fprintf(to, "  %-8s %llu: ", outcome_status_name(group->status), (unsigned long long)group->count);
		cmd_text_put(to, group->reason);
		fputs("\n           of ", to);
		print_indices(group, to);
		fputc('\n', to);
	}
	if (left || table->other_count)
		fprintf(to, "  and for %zu%s more reasons\n", left, table->other_count ? " and" : "");
}

static double seconds(const struct table *table)
{
	return (double)(table->end_us - table->begin_us) / 1e6;
}

void table_print(const struct table *table, FILE *to)
{
	const double s = seconds(table);
	fprintf(to, "%llu instances:", (unsigned long long)table->total);
	for (int i = 0; i < OUTCOME_STATUS_COUNT; i++)
		if (table->counts[i] || i == OUTCOME_OK)
			fprintf(to, "%s %llu %s", i ? "," : "", (unsigned long long)table->counts[i],
				outcome_status_name((enum outcome_status)i));
	if (table->lines < table->total)
		fprintf(to, ", %llu without a result", (unsigned long long)(table->total - table->lines));
	fputc('\n', to);
	if (!table->lines)
		return;
	fprintf(to, "  %.1f s, %.1f a second\n", s, s > 0 ? (double)table->lines / s : 0);
	print_times(table, to);
	print_groups(table, to);
	if (table->cut)
		fputs("  the last line is cut, and left out\n", to);
}

static json_t *times_json(const struct spread *s)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "p50_us", (json_int_t)spread_quantile(s, 0.5), "p90_us",
			 (json_int_t)spread_quantile(s, 0.9), "p99_us", (json_int_t)spread_quantile(s, 0.99), "max_us",
			 (json_int_t)s->most_us);
}

static json_t *group_json(const struct table_group *group)
{
	json_t *indices = json_array();
	for (size_t i = 0; i < group->index_count; i++)
		json_array_append_new(indices, json_integer((json_int_t)group->indices[i]));
	return json_pack("{s:s, s:o, s:I, s:o}", "status", outcome_status_name(group->status), "reason",
			 cmd_json_string(group->reason, strlen(group->reason)), "count", (json_int_t)group->count,
			 "indices", indices);
}

json_t *table_json(const struct table *table)
{
	json_t *phases = json_object(), *groups = json_array(), *counts = json_object();
	for (int i = 0; i < OUTCOME_STATUS_COUNT; i++)
		json_object_set_new(counts, outcome_status_name((enum outcome_status)i),
				    json_integer((json_int_t)table->counts[i]));
	for (int i = 0; i <= OUTCOME_PHASE_COUNT; i++)
		json_object_set_new(phases, i < OUTCOME_PHASE_COUNT ? outcome_phase_name((enum outcome_phase)i) : "all",
				    times_json(&table->spreads[i]));
	for (size_t i = 0; i < table->group_count; i++)
		json_array_append_new(groups, group_json(&table->groups[i]));
	return json_pack("{s:O, s:I, s:I, s:o, s:I, s:f, s:I, s:o, s:o, s:I, s:b}", "header", table->header,
			 "instances", (json_int_t)table->total, "results", (json_int_t)table->lines, "counts", counts,
			 "tries", (json_int_t)table->tries, "seconds", seconds(table), "slots",
			 (json_int_t)table->slots, "phases", phases, "failures", groups, "failures_elsewhere",
			 (json_int_t)table->other_count, "cut", (int)table->cut);
}
