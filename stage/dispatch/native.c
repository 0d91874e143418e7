/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Kernels that share the stage's processor mode: page tables keep them apart. */

#include "team.h"
#include "worker.h"

#include <stdlib.h>

static enum chain_status make(struct worker *w, void *shared, struct chain_error *err)
{
	(void)shared;
	enum chain_status status = stage_call_window_make(w->request, w->processor, &w->run.window, err);
	w->window = (struct chain_range){ w->run.window.phys, w->run.window.phys + w->run.window.bytes };
	w->private_bytes = w->run.window.used;
	return status || w->request->cpus < 2 ? status : team_make(w, w->request->cpus, &w->team, err);
}

static void free_window(struct worker *w)
{
	stage_call_window_free(&w->run.window);
	free(w->team);
}

static void reset(struct worker *w, const struct stage_call_request *request)
{
	w->run.window.wipe = w->wipe;
	stage_call_window_reset(&w->run.window, request); /* the room was made for these texts */
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
	.make = make, .free = free_window, .reset = reset, .run = run, .mailbox = mailbox
};
