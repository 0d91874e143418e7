/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Kernels that share the stage's processor mode: page tables isolate them. */

#include "team.h"
#include "worker.h"

#include <stdlib.h>

/* Tables with the filesystem, which all windows show. */
static enum chain_status open_tables(const struct stage_callee *callee, void **out, struct chain_error *err)
{
	struct stage_call_fs_table *table = malloc(sizeof(*table));
	if (!table)
		return chain_fail_no_memory(err, callee->subject, sizeof(*table));
	if (stage_call_fs_table_make(callee->native.fs, table)) {
		*out = table;
		return CHAIN_OK;
	}
	uint64_t bytes = table->bytes;
	stage_call_fs_table_free(table);
	free(table);
	return chain_fail_no_memory(err, callee->subject, bytes);
}

static void close_tables(void *shared)
{
	if (shared)
		stage_call_fs_table_free(shared);
	free(shared);
}

static enum chain_status make(struct worker *w, void *shared, struct chain_error *err)
{
	const uint32_t cpus = w->crew->callee->native.cpus;
	const struct stage_call_fs_table *table = shared;
	const struct stage_call_window_request request = { .callee = w->crew->callee,
							   .processor = w->processor,
							   .fs_root_entry = table->root_entry,
							   .recycled = true };
	enum chain_status status = stage_call_window_make(&request, &w->run.window, err);
	w->window = (struct chain_range){ w->run.window.phys, w->run.window.phys + w->run.window.bytes };
	w->private_bytes = w->run.window.used;
	return status || cpus < 2 ? status : team_make(w, cpus, &w->team, err);
}

static void free_window(struct worker *w)
{
	stage_call_window_free(&w->run.window);
	free(w->team);
}

static void reset(struct worker *w, const struct stage_call_task *task)
{
	w->run.window.wipe = w->wipe;
	stage_call_window_reset(&w->run.window, task);
}

static void run(struct worker *w)
{
	stage_call_run(&w->run);
	if (w->team)
		team_join(w->team);
}
static const char *mailbox(const struct worker *w)
{
	return stage_call_mailbox(&w->run);
}

const struct worker_way worker_native = {
	.open = open_tables,
	.close = close_tables,
	.make = make,
	.free = free_window,
	.reset = reset,
	.run = run,
	.mailbox = mailbox,
};
