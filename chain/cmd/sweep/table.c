/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "table.h"

#include "lines.h"
#include "results.h"

#include "chain/json.h"
#include "chain/json_memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- times --- */

/* Below SPREAD_STEPS each microsecond has a step of its own. */
static size_t step_of(uint64_t us)
{
	if (us < SPREAD_STEPS)
		return (size_t)us;
	const unsigned doubling = 63 - (unsigned)__builtin_clzll(us / SPREAD_STEPS);
	const size_t step = SPREAD_STEPS * (doubling + 1) + (size_t)(us >> doubling) - SPREAD_STEPS;
	return step < SPREAD_COUNT ? step : SPREAD_COUNT - 1;
}

uint64_t spread_step_us(size_t step)
{
	if (step < SPREAD_STEPS)
		return step;
	return (uint64_t)(SPREAD_STEPS + step % SPREAD_STEPS) << (step / SPREAD_STEPS - 1);
}

void spread_add(struct spread *spread, uint64_t us)
{
	spread->counts[step_of(us)]++;
	spread->total++;
	spread->most_us = us > spread->most_us ? us : spread->most_us;
}

uint64_t spread_quantile(const struct spread *spread, double share)
{
	uint64_t below = 0;
	const double want = share * (double)spread->total;
	for (size_t i = 0; i < SPREAD_COUNT; i++) {
		below += spread->counts[i];
		if (below && (double)below >= want)
			return spread_step_us(i) < spread->most_us ? spread_step_us(i) : spread->most_us;
	}
	return 0;
}

/* --- failures --- */

static bool is_digit_of(const char *reason, size_t at, bool within)
{
	const unsigned char c = (unsigned char)reason[at];
	return isdigit(c) || (within && (isxdigit(c) || c == 'x'));
}

/* What differs from one instance to the next is mostly numbers; what stands behind "last line:" is its own. */
static void make_key(const char *reason, char out[TABLE_REASON_BYTES])
{
	const char *last = strstr(reason, "; last line: ");
	const size_t count = last ? (size_t)(last - reason) : strlen(reason);
	size_t used = 0;
	bool within = false;
	for (size_t at = 0; at < count && used < TABLE_REASON_BYTES - 1; at++) {
		const bool digit = is_digit_of(reason, at, within);
		if (!digit || !within)
			out[used++] = digit ? '#' : reason[at];
		within = digit;
	}
	out[used] = '\0';
}

static struct table_group *group_of(struct table *table, const struct outcome *outcome, const char *key)
{
	for (size_t i = 0; i < table->group_count; i++)
		if (table->groups[i].status == outcome->status && strcmp(table->groups[i].key, key) == 0)
			return &table->groups[i];
	if (table->group_count == TABLE_GROUPS_MAX)
		return NULL;
	struct table_group *group = &table->groups[table->group_count++];
	group->status = outcome->status;
	snprintf(group->reason, sizeof(group->reason), "%s", outcome->reason);
	snprintf(group->key, sizeof(group->key), "%s", key);
	return group;
}

static enum chain_status note_failure(struct table *table, const struct outcome *outcome, const char *path,
				      struct chain_error *err)
{
	char key[TABLE_REASON_BYTES];
	make_key(outcome->reason, key);
	struct table_group *group = group_of(table, outcome, key);
	if (!group) {
		table->other_count++;
		return CHAIN_OK;
	}
	group->count++;
	if (group->index_count == TABLE_INDICES_MAX)
		return CHAIN_OK;
	if (!(group->index_count & (group->index_count - 1))) {
		const size_t room = (group->index_count ? 2 * group->index_count : 1) * sizeof(uint64_t);
		uint64_t *grown = realloc(group->indices, room);
		if (!grown)
			return chain_fail_no_memory(err, path, room);
		group->indices = grown;
	}
	group->indices[group->index_count++] = outcome->index;
	return CHAIN_OK;
}

/* --- lines --- */

static enum chain_status note(struct table *table, const struct outcome *outcome, const char *path,
			      struct chain_error *err)
{
	uint64_t all = 0;
	for (int i = 0; i < OUTCOME_PHASE_COUNT; i++) {
		spread_add(&table->spreads[i], outcome->phase_us[i]);
		all += outcome->phase_us[i];
	}
	spread_add(&table->spreads[OUTCOME_PHASE_COUNT], all);
	const uint64_t end = outcome->at_us + all;
	table->begin_us = !table->lines || outcome->at_us < table->begin_us ? outcome->at_us : table->begin_us;
	table->end_us = end > table->end_us ? end : table->end_us;
	table->slots = outcome->slot >= table->slots ? outcome->slot + 1 : table->slots;
	table->counts[outcome->status]++;
	table->tries += outcome->tries;
	table->lines++;
	return outcome->status == OUTCOME_OK ? CHAIN_OK : note_failure(table, outcome, path, err);
}

static enum chain_status read_header(struct table *table, const char *text, size_t bytes, const char *path,
				     struct chain_error *err)
{
	enum chain_status status = chain_json_any(text, bytes, CHAIN_JSON_DEPTH_MAX, path, &table->header, NULL);
	if (status == CHAIN_E_NO_MEMORY)
		return chain_json_no_memory(err, path);
	const char *why = status ? "no JSON" : results_header_check(table->header);
	if (why)
		return chain_fail_text(err, CHAIN_E_SWEEP_HEADER, path, why);
	table->total = results_header_count(table->header);
	return CHAIN_OK;
}

static enum chain_status read_line(struct table *table, const struct lines *lines, const char *text, size_t bytes,
				   table_sink *sink, void *ctx, struct chain_error *err)
{
	struct outcome outcome;
	const char *why;
	enum chain_status status = outcome_parse(text, bytes, &outcome, &why);
	if (!status && outcome.index >= table->total)
		why = "an index that is not in the sweep";
	if (why)
		status = CHAIN_FAIL(err, SWEEP_LINE, .subject = lines->path, .line = lines->line, .detail = why);
	else if (status)
		status = chain_json_no_memory(err, lines->path);
	if (!status)
		status = note(table, &outcome, lines->path, err);
	if (!status && sink)
		sink(ctx, &outcome);
	outcome_free(&outcome);
	return status;
}

static int by_index(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static int by_count(const void *a, const void *b)
{
	const struct table_group *x = a, *y = b;
	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->key, y->key);
}

static void sort(struct table *table)
{
	for (size_t i = 0; i < table->group_count; i++)
		if (table->groups[i].index_count)
			qsort(table->groups[i].indices, table->groups[i].index_count, sizeof(uint64_t), by_index);
	if (table->group_count)
		qsort(table->groups, table->group_count, sizeof(table->groups[0]), by_count);
}

enum chain_status table_read(struct table *table, int fd, const char *path, table_sink *sink, void *ctx,
			     struct chain_error *err)
{
	struct lines lines;
	const char *text = NULL;
	size_t bytes;
	*table = (struct table){ .groups = calloc(TABLE_GROUPS_MAX, sizeof(struct table_group)) };
	enum chain_status status = table->groups ? lines_open(&lines, fd, path, err) :
						   chain_fail_no_memory(err, path, sizeof(struct table_group));
	if (status) {
		table_free(table);
		return status;
	}
	while (!status) {
		status = lines_next(&lines, &text, &bytes, err);
		if (status || !text)
			break;
		table->cut = !lines.whole && lines.line > 1;
		if (table->cut)
			break;
		status = lines.line == 1 ? read_header(table, text, bytes, path, err) :
					   read_line(table, &lines, text, bytes, sink, ctx, err);
	}
	if (!status && !table->header)
		status = chain_fail_text(err, CHAIN_E_SWEEP_HEADER, path, "it is empty");
	lines_close(&lines);
	if (status)
		table_free(table);
	else
		sort(table);
	return status;
}

void table_free(struct table *table)
{
	for (size_t i = 0; table->groups && i < TABLE_GROUPS_MAX; i++)
		free(table->groups[i].indices);
	free(table->groups);
	json_decref(table->header);
	table->groups = NULL;
	table->header = NULL;
}

bool table_is(int fd)
{
	static const char BEGIN[] = "{\"kchain_sweep\":";
	char bytes[sizeof(BEGIN)] = "";
	return pread(fd, bytes, sizeof(BEGIN) - 1, 0) == (ssize_t)sizeof(BEGIN) - 1 &&
	       memcmp(bytes, BEGIN, sizeof(BEGIN) - 1) == 0;
}
