/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one virtual machine of a sweep, from its start to its verdict: what it says, when its time is up, what its end
 * comes to for each input. Must not know: how many there are, files, what people see. */
#ifndef KCHAIN_SWEEP_INSTANCE_H
#define KCHAIN_SWEEP_INSTANCE_H

#include "job.h"
#include "machine.h"
#include "outcome.h"

#include "chain/cmd/run/run_judge.h"

enum { INSTANCE_TAIL_BYTES = 4096, INSTANCE_WORDS_BYTES = 1024 };

struct instance;
struct instance_stream {
	struct instance *of;
	struct records records;
};

struct instance {
	uint64_t slot, limit_us;
	const char *fanout; /* borrowed: the step whose kernels are a block's inputs; null: there are no blocks */
	struct job job;     /* owned */
	struct machine machine;
	struct run_judge judge;
	struct instance_stream streams[RECORDS_CHANNEL_COUNT];
	uint64_t begun_us, entered_us, over_us, boot_us; /* run_clock_us; 0: not yet */
	enum { INSTANCE_IDLE, INSTANCE_RUNS, INSTANCE_KILLED } state;
	enum run_end end;                       /* why it was killed */
	char tail[2 * INSTANCE_TAIL_BYTES + 1]; /* of its text */
	size_t tail_used;
	char words[INSTANCE_WORDS_BYTES]; /* QEMU's own, the first of them */
	size_t words_used;
	bool refused; /* its QEMU ended before it started a machine */
};

/* Takes the job, also where it fails. */
enum chain_status instance_start(struct instance *instance, struct machine_template *made, struct job *job,
				 uint64_t seed, struct chain_error *err) CHAIN_MUST_CHECK;
/* Hears what has come by one of the machine's descriptors; false: it came to its end, and is closed. */
bool instance_hear(struct instance *instance, int *fd);
/* Kills a machine whose time is up, or which has no more to say. Microseconds until it should be asked again. */
uint64_t instance_watch(struct instance *instance, uint64_t now);
/* The process has ended: hears the rest, and tells `sink` of each input. False: it is to be tried again (at most
 * `retries` times), and has reported nothing; its job is in `job` either way. */
typedef void instance_sink(void *ctx, const struct outcome *outcome);
bool instance_finish(struct instance *instance, uint64_t origin_us, uint64_t retries, instance_sink *sink, void *ctx);
/* Ends it without a word. */
void instance_drop(struct instance *instance);

/* instance_block.c: tells `sink` of each input of a block, by what the step left in the final handoff. `whole` is the
 * machine's own outcome. */
void instance_block_outcomes(const struct job *job, const json_t *entry, const struct outcome *whole,
			     instance_sink *sink, void *ctx);

#endif
