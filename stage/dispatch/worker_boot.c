/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the boot processor does with a worker's processors: gives them to it, and takes them back, also from what does
 * not end. */

#include "worker.h"

#include "stage/clock.h"
#include "stage/assigned.h"
#include "stage/processors.h"
#include "team.h"

#include <stdlib.h>

enum { PARK_US = 1000000 };

void worker_free(struct worker *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < WORKER_ENTRIES; i++) {
		free(w->entries[i].texts);
		free(w->entries[i].mailbox);
	}
	if (w->window.base)
		w->way->free(w);
	free(w);
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	stage_processor_wake(w->processor);
	for (uint32_t i = 0; w->team && i < w->team->count; i++) {
		atomic_store(&w->team->members[i].state, TEAM_STOP);
		stage_processor_wake(w->team->members[i].processor);
	}
}

static void wait_parked(uint32_t processor)
{
	uint64_t deadline = stage_deadline_after_us(PARK_US);
	while (!stage_processor_is_parked(processor) && !stage_deadline_passed(deadline))
		stage_pause();
	if (!stage_processor_is_parked(processor))
		stage_processor_take_back(processor);
}

void worker_wait_parked(struct worker *w)
{
	wait_parked(w->processor);
	for (uint32_t i = 0; w->team && i < w->team->count; i++)
		wait_parked(w->team->members[i].processor);
}

/* The worker's processors stand still now. What it was doing is over; what it had not begun stays. */
static void resolve(struct worker *w)
{
	bool ended = false;
	w->at = w->fill;
	for (uint32_t s = w->collected; s != w->fill; s++) {
		struct worker_entry *e = worker_entry(w, s);
		if (worker_state_of(e) == ENTRY_RUNNING && !ended && atomic_load(&e->started)) {
			w->run.result = team_result(w->team);
			w->at = s; /* whose text it is */
			if (w->way->conclude)
				w->way->conclude(w);
			w->at = w->fill;
			worker_keep(w, e);
			e->turn.processor = w->processor;
			e->turn.window_phys = w->window.base;
			atomic_store(&e->state, ENTRY_DONE);
			ended = true;
		} else if (worker_state_of(e) == ENTRY_RUNNING) {
			atomic_store(&e->state, ENTRY_READY);
		}
		if (worker_state_of(e) == ENTRY_READY && w->at == w->fill)
			w->at = s;
	}
}

/* Nothing that the kernel's devices were doing goes on, and a processor that is running yet does not drive them. */
static void end_devices(struct worker *w)
{
	stage_native_env_stopped(w->processor);
	for (uint32_t s = w->collected; s != w->fill; s++) {
		struct worker_entry *e = worker_entry(w, s);
		if (worker_state_of(e) != ENTRY_RUNNING)
			continue;
		if (w->lost)
			stage_assigned_lose(e->turn.devices);
		else
			stage_assigned_end(e->turn.devices);
	}
}

void worker_give(struct worker *w)
{
	if (w->team)
		team_give(w->team);
	stage_processor_give(w->processor, worker_main, w);
}

void worker_take_back(struct worker *w, const struct stage_fanout_client *client)
{
	w->lost = !stage_processor_take_back(w->processor);
	if (w->team && !team_take_back(w->team))
		w->lost = true;
	end_devices(w);
	worker_drain(w, client);
	w->direct = client;
	resolve(w);
	w->direct = NULL;
	w->wipe = true; /* it may have been stopped while clearing it */
	atomic_store(&w->waits, false);
	if (!w->lost)
		worker_give(w);
}

void worker_take_back_members(struct worker *w, const struct stage_fanout_client *client)
{
	if (!team_take_back(w->team)) {
		worker_take_back(w, client);
		return;
	}
	team_give(w->team);
	stage_processor_wake(w->processor);
}
