/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which kernel ran where and when, as `kernels` records tell it (docs/RECORDS.md).
 * Must not know: what the kernels left. */
#ifndef STAGE_LINK_FANOUT_ROWS_H
#define STAGE_LINK_FANOUT_ROWS_H

#include "stage/fanout.h"
#include "stage/judge.h"

struct fanout_row;
struct fanout_rows {
	struct fanout_row *rows;
	size_t count, room; /* owned */
	uint64_t *windows;
	uint32_t window_room; /* owned: where each processor's window lay; 0: it had none */
	size_t lost;          /* turns that there was no memory to note */
};

/* With room for `count` turns. */
enum chain_status fanout_rows_make(struct fanout_rows *rows, size_t count, const char *subject,
				   struct chain_error *err) CHAIN_MUST_CHECK;
void fanout_rows_free(struct fanout_rows *rows);

void fanout_rows_add(struct fanout_rows *rows, const struct stage_fanout_turn *turn,
		     const struct stage_verdict *verdict);

/* Reported when all is over: a byte on a debug port can take as long as a kernel. */
enum chain_status fanout_rows_record(const struct fanout_rows *rows, const char *step,
				     struct chain_error *err) CHAIN_MUST_CHECK;
/* {"1": "0x…"}: the physical address of each processor's window. New, or null: no memory. */
json_t *fanout_rows_windows(const struct fanout_rows *rows);

#endif
