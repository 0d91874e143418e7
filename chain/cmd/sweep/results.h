/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the results file: a header line and a line for each instance, each on disk before its instance counts as done;
 * one sweep at a time; read again to go on. Must not know: engines, inputs, what people see. */
#ifndef KCHAIN_SWEEP_RESULTS_H
#define KCHAIN_SWEEP_RESULTS_H

#include "outcome.h"

struct results {
	const char *path; /* borrowed */
	int fd;
	char *buf; /* owned: lines that are not written yet */
	size_t used, room;
	uint64_t bytes;                        /* written; the file ends with a whole line */
	uint64_t unsynced;                     /* lines since the last fsync */
	uint64_t unsynced_at;                  /* when the first of them came, microseconds */
	uint64_t total;                        /* instances that there are */
	uint8_t *done;                         /* owned: a bit for each, of which a line is there */
	uint64_t done_count;                   /* of them: on disk */
	uint64_t counts[OUTCOME_STATUS_COUNT]; /* of all lines, on disk or not */
};

/* Starts a new file: CHAIN_E_SWEEP_EXISTS, CHAIN_E_SWEEP_BUSY, CHAIN_E_IO. */
enum chain_status results_create(struct results *results, const char *path, const json_t *header, uint64_t total,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Goes on with one: its header must say the same (CHAIN_E_SWEEP_DIFFERS names the first member that does not), each
 * line be good (CHAIN_E_SWEEP_LINE, CHAIN_E_SWEEP_TWICE); a last line that is cut is dropped. A file that is not there,
 * or that has not even a header, is begun. */
enum chain_status results_resume(struct results *results, const char *path, const json_t *header, uint64_t total,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* False: there is a line for it. */
bool results_lacks(const struct results *results, uint64_t index);
/* Adds a line; one that is there already is left as it is. */
enum chain_status results_add(struct results *results, const struct outcome *outcome,
			      struct chain_error *err) CHAIN_MUST_CHECK;
/* Writes and syncs what has waited long enough; `now` is by run_clock_us, UINT64_MAX for all there is. After a failure
 * the file ends with a whole line. */
enum chain_status results_sync(struct results *results, uint64_t now, struct chain_error *err) CHAIN_MUST_CHECK;
/* Milliseconds until that; -1: nothing waits. */
int results_wait_ms(const struct results *results, uint64_t now);
void results_close(struct results *results);

/* header.c: what two headers must have in common, as a clause about the first difference; false: nothing differs. */
bool results_header_differs(const json_t *was, const json_t *is, char *out, size_t size);
/* Checks a header's form. Null: good; else a clause. */
const char *results_header_check(const json_t *header);
/* The instances that it tells of. */
uint64_t results_header_count(const json_t *header);

#endif
