/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fanout_rows.h"

#include "chain/json_write.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROWS_MAX = 500,
	ROW_BYTES = 112,
	HEAD_BYTES = 128 /* of a record, and of a row and the beginning of one as text */
};

struct fanout_row {
	uint32_t index, processor;
	uint64_t start_ticks, end_ticks;
	uint8_t attempt, status; /* enum stage_verdict_status */
	int16_t exit;
};

static bool grow(struct fanout_rows *r, size_t room)
{
	struct fanout_row *grown = realloc(r->rows, room * sizeof(*grown));
	if (!grown)
		return false;
	r->rows = grown;
	r->room = room;
	return true;
}

enum chain_status fanout_rows_make(struct fanout_rows *r, size_t count, const char *subject, struct chain_error *err)
{
	return grow(r, count) ? CHAIN_OK : chain_fail_no_memory(err, subject, count * sizeof(*r->rows));
}

void fanout_rows_free(struct fanout_rows *r)
{
	free(r->windows);
	free(r->rows);
}

static bool note_window(struct fanout_rows *r, const struct stage_fanout_turn *turn)
{
	if (turn->processor >= r->window_room) {
		uint32_t room = 2 * turn->processor + 1;
		uint64_t *grown = realloc(r->windows, room * sizeof(*grown));
		if (!grown)
			return false;
		memset(grown + r->window_room, 0, (room - r->window_room) * sizeof(*grown));
		r->windows = grown;
		r->window_room = room;
	}
	r->windows[turn->processor] = turn->window_phys;
	return true;
}

void fanout_rows_add(struct fanout_rows *r, const struct stage_fanout_turn *turn, const struct stage_verdict *verdict)
{
	if (!note_window(r, turn) || (r->count == r->room && !grow(r, 2 * r->room))) {
		r->lost++;
		return;
	}
	r->rows[r->count++] = (struct fanout_row){
		.index = turn->index,
		.processor = turn->processor,
		.start_ticks = turn->start_ticks,
		.end_ticks = turn->end_ticks,
		.attempt = (uint8_t)turn->attempt,
		.status = (uint8_t)verdict->status,
		.exit = (int16_t)verdict->exit,
	};
}

/* index, attempt, processor, start, duration; then, unless it is ok with 0, status and exit. */
static int put_row(const struct fanout_row *row, char *out, size_t size)
{
	int used = snprintf(out, size, "[%" PRIu32 ",%u,%" PRIu32 ",%" PRIu64 ",%" PRIu64, row->index, row->attempt,
			    row->processor, stage_clock_us_at(row->start_ticks),
			    stage_clock_us_at(row->end_ticks) - stage_clock_us_at(row->start_ticks));
	if (row->status != STAGE_VERDICT_OK || row->exit)
		used += snprintf(out + used, size - (size_t)used, ",\"%s\",%d",
				 stage_verdict_name((enum stage_verdict_status)row->status), row->exit);
	return used + snprintf(out + used, size - (size_t)used, "],");
}

enum chain_status fanout_rows_record(const struct fanout_rows *r, const char *step, struct chain_error *err)
{
	const size_t room = HEAD_BYTES + ROWS_MAX * ROW_BYTES;
	char *text = malloc(room);
	if (!text)
		return chain_fail_no_memory(err, step, room);
	for (size_t i = 0; i < r->count;) {
		int used = snprintf(text, HEAD_BYTES, "{\"event\":\"kernels\",\"step\":\"%s\",\"rows\":[", step);
		size_t end = r->count - i < ROWS_MAX ? r->count : i + ROWS_MAX;
		for (; i < end; i++)
			used += put_row(&r->rows[i], text + used, ROW_BYTES);
		used += snprintf(text + used - 1, 3, "]}") - 1; /* over the last comma */
		stage_record(text, (uint64_t)used);
	}
	free(text);
	return CHAIN_OK;
}

json_t *fanout_rows_windows(const struct fanout_rows *r)
{
	json_t *windows = json_object();
	for (uint32_t i = 0; windows && i < r->window_room; i++) {
		char processor[16];
		if (!r->windows[i])
			continue;
		snprintf(processor, sizeof(processor), "%" PRIu32, i);
		if (json_object_set_new(windows, processor, chain_json_hex(r->windows[i]))) {
			json_decref(windows);
			return NULL;
		}
	}
	return windows;
}
