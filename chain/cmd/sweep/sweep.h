/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the files of `kchain sweep` share: sweep.c has the order of things, sweep_options.c what was asked for,
 * sweep_prepare.c what it comes to, sweep_view.c what people see meanwhile. */
#ifndef KCHAIN_SWEEP_H
#define KCHAIN_SWEEP_H

#include "engine.h"
#include "inputs.h"
#include "results.h"

struct sweep_options {
	struct cmd_args operands;
	const char *inputs, *output, *engine, *accel, *dealt;
	uint64_t count, repeat, per_instance, jobs, memory_bytes, cpus, timeout_us, retries, seed, chunk;
	struct cmd_list slurm;
	bool load_each, resume, json;
};

/* What people see while it goes on: a line that is overwritten on a terminal, else one now and then. */
struct sweep_view {
	uint64_t origin_us, shown_us;
	uint64_t before; /* instances that were done when it began */
	bool terminal, live;
};

struct sweep {
	struct sweep_options options;
	struct run_input input;
	struct inputs inputs;
	struct dealt *dealt; /* owned; null: it deals out its own inputs */
	struct results results;
	bool results_open;
	const struct engine *engine;
	void *running; /* of the engine; null: not open */
	struct engine_setting setting;
	struct sweep_view view;
	char program[4096], version[128], image_digest[80];
	char *fanout;               /* owned: the step that blocks go to; null: none */
	json_t *header;             /* owned */
	struct chain_error failure; /* of a result that could not be kept */
	int signals;                /* signalfd; -1: none */
	bool interrupted;
	bool dealt_out; /* nothing is left to be given to the engine */
};

/* Returns -1 to go on, or the exit code to leave with. */
int sweep_options_read(struct sweep_options *options, int argc, char **argv);

/* Opens and checks all there is to be checked before anything starts; then the results. */
enum chain_status sweep_prepare(struct sweep *sweep, int argc, char **argv, struct chain_error *err) CHAIN_MUST_CHECK;
void sweep_release(struct sweep *sweep);

/* The next job: instances of which there is no result yet. False in *out_more: there are no more. */
enum chain_status sweep_next_job(struct sweep *sweep, struct job *job, bool *out_more,
				 struct chain_error *err) CHAIN_MUST_CHECK;

void sweep_view_begin(struct sweep_view *view, const struct sweep *sweep);
void sweep_view_show(struct sweep_view *view, const struct sweep *sweep);
void sweep_view_end(struct sweep_view *view);
/* Milliseconds after which it should be shown again. */
enum { SWEEP_VIEW_MS = 200 };

#endif
