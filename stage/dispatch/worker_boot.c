/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the boot processor does with a worker: makes it, gives processors to it, hears what it tells, and takes the
 * processors back, also from what does not end. */

#include "worker.h"

#include "stage/clock.h"
#include "stage/assigned.h"
#include "stage/malloc.h"
#include "stage/processors.h"
#include "team.h"

#include <stdlib.h>

enum { PARK_US = 1000000 };

/* --- making and freeing --- */

static void write_text(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	worker_write(worker_of(run), bytes, count);
}

enum chain_status worker_make(struct crew *crew, void *shared, uint32_t processor, struct worker **out,
			      struct chain_error *err)
{
	const uint64_t bytes = sizeof(struct worker) + (processor ? sizeof(struct ring) : 0) + crew->callee->text_bytes;
	struct worker *w = calloc(1, sizeof(*w));
	bool ok = w && (w->texts = malloc(crew->callee->text_bytes));
	if (ok && processor)
		ok = (w->ring = calloc(1, sizeof(*w->ring)));
	if (w) {
		w->crew = crew;
		w->processor = processor;
		w->wipe = true;
		w->run.write = write_text;
	}
	enum chain_status status =
		ok ? crew->way->make(w, shared, err) : chain_fail_no_memory(err, crew->callee->subject, bytes);
	if (status) {
		worker_free(w);
		return status;
	}
	*out = w;
	if (w->team)
		team_give(w->team);
	return CHAIN_OK;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	free(w->texts);
	free(w->ring);
	stage_pool_close(w->pool);
	stage_pool_close(atomic_load(&w->spare));
	if (w->window.base)
		w->crew->way->free(w);
	free(w);
}

/* --- giving, and waiting for the end --- */

static void give_pool(struct worker *w)
{
	const struct stage_fanout_client *client = w->crew->client;
	if (client->pool && !atomic_load_explicit(&w->spare, memory_order_relaxed))
		atomic_store(&w->spare, client->pool(client->ctx));
}

void worker_give(struct worker *w)
{
	give_pool(w);
	stage_processor_give(w->processor, worker_main, w);
}

void worker_stop(struct worker *w)
{
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

/* --- hearing --- */

void crew_done(struct crew *crew, const struct stage_fanout_turn *turn)
{
	crew->came_back = crew->came_back || turn->result.outcome != STAGE_CALL_TIMED_OUT;
	crew->client->done(crew->client->ctx, turn);
}

static void hear(struct worker *w, struct ring_record *record)
{
	struct crew *crew = w->crew;
	const struct stage_fanout_client *client = crew->client;
	const uint32_t *index = (const uint32_t *)record->payload;
	struct stage_fanout_turn *turn = (struct stage_fanout_turn *)record->payload;
	if (record->kind == WORKER_TEXT) {
		client->text(client->ctx, *index, (const char *)(index + 1), record->bytes - sizeof(*index));
		return;
	}
	if (record->kind == WORKER_POOL) {
		stage_pool_close(*(struct stage_pool *const *)record->payload);
		return;
	}
	w->pooled = w->pooled || turn->value;
	turn->result.mailbox = turn->result.mailbox_bytes ? (char *)(turn + 1) : NULL;
	crew_done(crew, turn);
}

/* As much as was there at the beginning: one worker that talks on and on leaves time for the others. */
bool worker_collect(struct worker *w)
{
	struct ring *ring = w->ring;
	struct ring_record *record;
	bool any = false;
	if (!ring)
		return false;
	uint64_t end = atomic_load_explicit(&ring->written, memory_order_relaxed);
	while (atomic_load_explicit(&ring->read, memory_order_relaxed) < end && (record = ring_first(ring))) {
		hear(w, record);
		ring_drop(ring, record);
		any = true;
	}
	if (any && w->pooled)
		give_pool(w);
	if (any && atomic_exchange(&w->waits, false))
		stage_processor_wake(w->processor);
	return any;
}

/* --- taking back --- */

bool worker_revoke(struct worker *w, uint32_t state)
{
	return state % WORKER_STATES == WORKER_RUNNING &&
	       atomic_compare_exchange_strong(&w->state, &state, state - WORKER_RUNNING + WORKER_REVOKED);
}

/* The worker's processors stand still: it is told what became of its turn. */
static void conclude(struct worker *w)
{
	while (worker_collect(w)) /* what the kernel wrote comes before */
		;
	w->turn.end_ticks = stage_rdtsc();
	w->run.result = team_result(w->team);
	if (w->crew->way->conclude)
		w->crew->way->conclude(w);
	worker_tell(w);
}

/* Nothing that the kernel's devices were doing goes on, and a processor that is running yet does not drive them. */
static void end_devices(struct worker *w)
{
	stage_native_env_stopped(w->processor);
	if (w->lost)
		stage_assigned_lose(w->turn.devices);
	else
		stage_assigned_end(w->turn.devices);
}

void worker_take_back(struct worker *w)
{
	w->lost = !stage_processor_take_back(w->processor);
	if (w->team && !team_take_back(w->team))
		w->lost = true;
	end_devices(w);
	conclude(w);
	if (w->lost) /* should it ever come back, it finds its turn revoked */
		return;
	w->wipe = true;
	atomic_store_explicit(&w->waits, false, memory_order_relaxed);
	uint32_t state = atomic_load_explicit(&w->state, memory_order_relaxed);
	atomic_store_explicit(&w->state, state - WORKER_REVOKED + WORKER_IDLE, memory_order_release);
	if (w->team)
		team_give(w->team);
}

void worker_take_back_members(struct worker *w)
{
	if (team_take_back(w->team)) {
		team_give(w->team);
		stage_processor_wake(w->processor);
	} else if (worker_revoke(w,
				 atomic_load(&w->state))) { /* the first waits for the others: nothing else does it */
		worker_take_back(w);
	}
}
