/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the jobs that an engine deals out to a node, as a file: a line that says how many instances the sweep has, then
 * a line a job. Must not know: engines. */
#ifndef KCHAIN_SWEEP_DEALT_H
#define KCHAIN_SWEEP_DEALT_H

#include "job.h"
#include "results.h"

#include <stdio.h>

struct dealt;

/* CHAIN_E_SWEEP_INPUT where a line is none of these. On failure nothing is left. */
enum chain_status dealt_open(struct dealt **out, const char *path, struct chain_error *err) CHAIN_MUST_CHECK;
void dealt_close(struct dealt *dealt); /* null is allowed */
uint64_t dealt_index_end(const struct dealt *dealt);
/* The next job some of whose results are missing; false in *out_more: there are no more. */
enum chain_status dealt_next(struct dealt *dealt, const struct results *results, struct job *job, bool *out_more,
			     struct chain_error *err) CHAIN_MUST_CHECK;

/* What dealt_open reads; the stream's errors are the caller's to ask for. */
void dealt_write_head(FILE *to, uint64_t total);
void dealt_write_job(FILE *to, const struct job *job);

#endif
