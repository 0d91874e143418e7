/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the files of the Slurm engine share: engine_slurm.c deals jobs into chunks and keeps their states,
 * slurm_queue.c asks the scheduler, slurm_parts.c reads what tasks wrote. */
#ifndef KCHAIN_SWEEP_SLURM_H
#define KCHAIN_SWEEP_SLURM_H

#include "engine.h"

#include <limits.h>
#include <stdio.h>

enum { SLURM_CHUNKS_MOST = 1000 /* at once: tasks of an array are numbered below 1001 by default */ };

/* A results file of a task, as far as it was read. */
struct slurm_part {
	char node[OUTCOME_NODE_BYTES];
	uint64_t read_to, base_us; /* base: the task's clock began then, on ours */
	struct slurm_part *next;
};

enum slurm_state { SLURM_FREE, SLURM_FILLING, SLURM_READY, SLURM_SUBMITTED };

/* Some jobs that one task runs one after another: DIR/N.jobs. */
struct slurm_chunk {
	enum slurm_state state;
	FILE *jobs; /* SLURM_FILLING */
	uint64_t job_count, instances, done;
	uint64_t done_at_submit; /* so that it is known whether an attempt was worth anything */
	unsigned attempts;       /* in a row that brought nothing */
	bool listed, running;    /* by the scheduler, when it was asked last */
	unsigned unlisted;       /* how often in a row it was not */
	struct slurm_part *parts;
	uint64_t *seen; /* owned: instances whose lines were read, so that each counts once */
};

struct slurm {
	const struct engine_setting *setting;
	char dir[PATH_MAX], name[64], kchain[PATH_MAX];
	uint64_t cpus;                                /* of the cluster */
	struct slurm_chunk chunks[SLURM_CHUNKS_MOST]; /* task N is chunk N */
	struct slurm_chunk *filling;
	uint64_t out;                   /* chunks that are not free */
	uint64_t jobs_left;             /* that were not given to us yet, as far as is known */
	uint64_t measured, measured_us; /* machines that are over, and their time */
	uint64_t asked_at, failed_at;   /* when the scheduler was; since when it does not answer; 0: it does */
	bool any_submitted, flushing;
	char words[512]; /* its own, of the last failure */
};

/* slurm_queue.c */
/* How many processors the cluster has; 0: not known. */
uint64_t slurm_cpus(void);
/* Submits what is ready, as one array. False: it was not taken (slurm->words), which may pass. */
bool slurm_submit(struct slurm *slurm);
/* Marks which chunks are listed and which run. False: the scheduler does not answer. */
bool slurm_ask(struct slurm *slurm);
/* Takes back all that was submitted under this name. */
void slurm_cancel(const char *name);
enum chain_status slurm_write_task(const struct slurm *slurm, struct chain_error *err) CHAIN_MUST_CHECK;

/* slurm_parts.c: hears of each whole line that tasks have written since. */
enum chain_status slurm_merge(struct slurm *slurm, struct chain_error *err) CHAIN_MUST_CHECK;
/* Removes a chunk's files. */
void slurm_forget(struct slurm *slurm, struct slurm_chunk *chunk);
/* "NODE: " and the first line of what its last task said on its way; "" where it could not write. */
void slurm_last_words(const struct slurm *slurm, const struct slurm_chunk *chunk, char *out, size_t size);

#endif
