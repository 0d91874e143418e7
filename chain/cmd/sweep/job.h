/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what an engine is given to run: a job is one virtual machine's worth, an instance or a block of them, as the
 * state of a handoff. Must not know: engines, where the inputs come from. */
#ifndef KCHAIN_SWEEP_JOB_H
#define KCHAIN_SWEEP_JOB_H

#include "chain/error.h"

enum { JOB_COUNT_MAX = 65536 /* CHAIN_FANOUT_MAX: of one block */ };

/* One instance, as a state has it. */
struct job_input {
	uint64_t index, repeat, seed;
	const char *text; /* JSON, borrowed; null: it has none */
	size_t bytes;
};

/* Owned by whoever has it: job_free. */
struct job {
	uint64_t *indices;
	size_t count, room;
	bool block;  /* its inputs are one list, for a fan-out */
	char *state; /* the members of the state, as JSON text; complete after job_end */
	size_t used, state_room;
	unsigned tries; /* how often it was begun */
};

/* Begins, adds, ends. Without memory, CHAIN_E_NO_MEMORY and nothing is added. */
void job_begin(struct job *job, bool block);
enum chain_status job_add(struct job *job, const struct job_input *input, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status job_end(struct job *job, struct chain_error *err) CHAIN_MUST_CHECK;
void job_free(struct job *job);

/* The least that each state, and each handoff around it, has more than its inputs. */
enum { JOB_INPUT_MORE = 96, JOB_HANDOFF_MORE = 256 };
/* The handoff that it runs with: new text. The boot's id follows from the seed and the first index. */
enum chain_status job_handoff(const struct job *job, uint64_t seed, char **out, size_t *out_bytes,
			      struct chain_error *err) CHAIN_MUST_CHECK;

/* A number of 53 bits, so that no reader of JSON rounds it: the n-th of a sequence that the seed stands for. */
uint64_t job_seed(uint64_t seed, uint64_t n);

#endif
