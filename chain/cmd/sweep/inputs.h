/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the inputs of a sweep: checked wholly before anything starts, then dealt out in order. Must not know: engines,
 * results. */
#ifndef KCHAIN_SWEEP_INPUTS_H
#define KCHAIN_SWEEP_INPUTS_H

#include "job.h"
#include "lines.h"

#include "chain/digest.h"

enum { INPUTS_INSTANCES_MAX = 1000000000 };

struct inputs {
	const char *path; /* borrowed; null: there are only numbers */
	int fd;           /* owned; of a pipe: a copy without a name */
	struct lines lines;
	bool open;
	uint64_t repeat, seed;
	uint64_t line_count; /* or how many were asked for */
	uint8_t digest[CHAIN_SHA256_BYTES];
	uint64_t next; /* index that comes next */
	const char *text;
	size_t bytes; /* of the line that it belongs to */
};

/* Checks each line: one JSON value that a handoff has room for; CHAIN_E_SWEEP_INPUT names the first that is none,
 * CHAIN_E_SWEEP_NO_INPUTS; CHAIN_E_LIMIT above INPUTS_INSTANCES_MAX. "-" is standard input. Without a path there are
 * `count`. On failure nothing is left. */
enum chain_status inputs_open(struct inputs *inputs, const char *path, uint64_t count, uint64_t repeat, uint64_t seed,
			      struct chain_error *err) CHAIN_MUST_CHECK;
void inputs_close(struct inputs *inputs);
/* How many instances there are. */
uint64_t inputs_instances(const struct inputs *inputs);
/* Whether each block of `per_instance` has room in a handoff: CHAIN_E_SWEEP_BLOCK. */
enum chain_status inputs_check_blocks(struct inputs *inputs, uint64_t per_instance,
				      struct chain_error *err) CHAIN_MUST_CHECK;
/* The next instance, borrowed until the next call; false in *out_more after the last. CHAIN_E_FILE_CHANGED: the file is
 * not any more what was checked. */
enum chain_status inputs_next(struct inputs *inputs, struct job_input *out, bool *out_more,
			      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
