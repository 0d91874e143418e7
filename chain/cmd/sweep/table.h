/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a results file comes to, in bounded memory: counts, how its times are distributed, failures by reason. For
 * the summary at a sweep's end and for `kchain report`. Must not know: how it is shown. */
#ifndef KCHAIN_SWEEP_TABLE_H
#define KCHAIN_SWEEP_TABLE_H

#include "outcome.h"

/* How many times fall where: 64 steps to each doubling, so that a quantile is right within 1.6 %. */
enum { SPREAD_STEPS = 64, SPREAD_DOUBLINGS = 40, SPREAD_COUNT = SPREAD_STEPS * SPREAD_DOUBLINGS };
struct spread {
	uint64_t counts[SPREAD_COUNT], total, most_us;
};
void spread_add(struct spread *spread, uint64_t us);
/* The time that this share (0 to 1) of all is at or below. */
uint64_t spread_quantile(const struct spread *spread, double share);
/* Least and greatest time of a step. */
uint64_t spread_step_us(size_t step);

enum { TABLE_GROUPS_MAX = 64, TABLE_INDICES_MAX = 4096, TABLE_REASON_BYTES = 256 };
struct table_group {
	enum outcome_status status;
	char reason[TABLE_REASON_BYTES]; /* of the first of them */
	char key[TABLE_REASON_BYTES];    /* the same with # for numbers: those with one key are one group */
	uint64_t count;
	uint64_t *indices; /* owned: the first of them, ascending after table_read */
	size_t index_count;
};

struct table {
	json_t *header; /* owned */
	uint64_t total; /* instances of the sweep */
	uint64_t lines, counts[OUTCOME_STATUS_COUNT], tries, machines;
	uint64_t begin_us, end_us;                      /* of the first and last of them, on the sweep's clock */
	uint64_t slots;                                 /* one more than the highest */
	bool cut;                                       /* the last line was not whole, and left out */
	struct spread spreads[OUTCOME_PHASE_COUNT + 1]; /* the last: of all phases together */
	struct table_group *groups;                     /* owned; largest first after table_read */
	size_t group_count;
	uint64_t other_count; /* failures in groups beyond TABLE_GROUPS_MAX */
};

/* Hears of each line that is read; nullable. */
typedef void table_sink(void *ctx, const struct outcome *outcome);
/* Reads a whole file. CHAIN_E_SWEEP_HEADER, CHAIN_E_SWEEP_LINE, CHAIN_E_IO, CHAIN_E_NO_MEMORY. On failure nothing is
 * left. */
enum chain_status table_read(struct table *table, int fd, const char *path, table_sink *sink, void *ctx,
			     struct chain_error *err) CHAIN_MUST_CHECK;
void table_free(struct table *table);
/* Whether the file begins as one of these does. */
bool table_is(int fd);

/* table_print.c: for people; as one document, new. */
void table_print(const struct table *table, FILE *to);
json_t *table_json(const struct table *table);

#endif
