/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what an engine is: who runs a sweep's jobs. Another one is a file with a row, and a line in engines.c. Must not
 * know: any of them. */
#ifndef KCHAIN_SWEEP_ENGINE_H
#define KCHAIN_SWEEP_ENGINE_H

#include "job.h"
#include "outcome.h"

#include "chain/cmd/cmd.h"
#include "chain/cmd/run/run_input.h"

/* What all engines are given. All borrowed, for as long as the engine is open. */
struct engine_setting {
	const struct run_input *input; /* the image, opened and verified */
	const char *image;             /* its name, as it was given */
	const char *image_digest;      /* its id in text */
	const char *output;            /* the results file: an engine's own files go into OUTPUT.d */
	const char *program, *accel;   /* QEMU, and how it is to accelerate */
	uint64_t memory_bytes, cpus, jobs, timeout_us, retries, seed, origin_us, chunk, per_instance;
	uint64_t total; /* instances of the sweep */
	bool load_each; /* load QEMU anew for each machine */
	bool block;     /* jobs have lists of inputs, for the fan-out of the step `fanout` */
	const char *fanout;
	char **extra; /* further arguments for QEMU */
	size_t extra_count;
	struct cmd_list slurm; /* further arguments for the scheduler */
	int wake_fd;           /* whatever waits comes back when this is readable */
	/* Hears of each instance that is over, once or more: the first outcome counts. */
	void (*done)(void *ctx, const struct outcome *outcome);
	void *ctx;
};

/* How many jobs there are, for people. */
struct engine_counts {
	uint64_t running, queued; /* of instances */
};

struct engine {
	const char *name;
	/* Checks all that it needs and takes what it holds until `close`. On failure nothing is left. */
	enum chain_status (*open)(const struct engine_setting *setting, void **out, struct chain_error *err);
	/* How many jobs it takes now. One that has none left to take is waited for. */
	size_t (*room)(const void *engine);
	/* Takes the job, also where it fails. */
	enum chain_status (*submit)(void *engine, struct job *job, struct chain_error *err);
	/* There are no more jobs to come: what was collected is to be started. */
	enum chain_status (*flush)(void *engine, struct chain_error *err);
	/* Waits until something happened, at most `wait_ms`, and calls `done` for what is over. A failure ends the
	 * sweep. */
	enum chain_status (*wait)(void *engine, int wait_ms, struct chain_error *err);
	/* True: no job is with it any more. */
	bool (*idle)(const void *engine);
	void (*count)(const void *engine, struct engine_counts *out);
	/* Ends what still runs, and leaves nothing: no process, no job of a scheduler, no file. `finished`: all is
	 * over. */
	void (*close)(void *engine, bool finished);
};

extern const struct engine engine_local, engine_slurm;
extern const struct engine *const engines[]; /* ends with null */
const struct engine *engine_named(const char *name);

#endif
