/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A worker's side. Nothing here may use the heap, the console or the C library's state: every processor runs it at
 * once. */

#include "worker.h"

#include "stage/assigned.h"
#include "stage/malloc.h"
#include "stage/processors.h"

#include <string.h>

enum { SPINS = 4096 /* between two calls for room */ };
static_assert(sizeof(struct stage_fanout_turn) + STAGE_CALL_MAILBOX_BYTES <= RING_RECORD_MOST, "a turn is one record");

/* --- telling the boot processor --- */

/* On the boot processor there is nobody to be told by the ring. */
static bool is_boot(void)
{
	return !stage_cpu()->index;
}

static bool is_awaited(const struct crew *crew)
{
	return atomic_load(&crew->waits);
}

void worker_call_boot(struct worker *w)
{
	atomic_store(&w->crew->news, true);
	if (is_awaited(w->crew))
		stage_processor_call_boot();
}

/* Also when the boot processor is in a kernel. */
static void call_for_room(struct worker *w)
{
	worker_call_boot(w);
	if (!is_awaited(w->crew))
		stage_processor_interrupt_boot();
}

/* In a trap nothing may halt. The boot processor reads all the time, and takes the processor away when the kernel's
 * time is up. */
static void *spin_for_room(struct worker *w, uint32_t bytes)
{
	void *place;
	for (uint32_t spins = 0; !(place = ring_begin(w->ring, bytes)); spins++) {
		if (spins % SPINS == 0)
			call_for_room(w);
		stage_pause();
	}
	return place;
}

static void *begin_record(struct worker *w, uint32_t bytes)
{
	return ring_begin(w->ring, bytes);
}

static void *is_all_heard(struct worker *w, uint32_t bytes)
{
	(void)bytes;
	return ring_used(w->ring) ? NULL : w;
}

/* Halted, until `look` finds what it looks for. */
static void *wait_for(struct worker *w, void *(*look)(struct worker *w, uint32_t bytes), uint32_t bytes)
{
	void *found;
	while (!(found = look(w, bytes))) {
		atomic_store(&w->waits, true);
		found = look(w, bytes);
		if (found)
			break;
		call_for_room(w);
		stage_processor_wait();
	}
	atomic_store_explicit(&w->waits, false, memory_order_relaxed);
	return found;
}

void worker_write(struct worker *w, const char *bytes, uint64_t count)
{
	const struct stage_fanout_client *client = w->crew->client;
	if (is_boot()) {
		client->text(client->ctx, w->turn.index, bytes, count);
		return;
	}
	while (count) {
		uint32_t piece = count < STAGE_CALL_MAILBOX_BYTES ? (uint32_t)count : STAGE_CALL_MAILBOX_BYTES;
		uint32_t whole = piece + (uint32_t)sizeof(w->turn.index);
		uint8_t *place = spin_for_room(w, whole);
		memcpy(place, &w->turn.index, sizeof(w->turn.index));
		memcpy(place + sizeof(w->turn.index), bytes, piece);
		ring_commit(w->ring, WORKER_TEXT, whole);
		bytes += piece;
		count -= piece;
	}
	worker_call_boot(w);
}

/* A pool that is full makes room for the next mailbox, not for this one, which may be too large for any. */
static void *make_value(struct worker *w, const char *mailbox)
{
	const struct stage_fanout_client *client = w->crew->client;
	if (!w->pool)
		w->pool = atomic_exchange(&w->spare, NULL);
	if (!w->pool)
		return NULL;
	void *value = client->value(client->ctx, &w->turn.result, mailbox, w->pool);
	if (!w->pool->lacking)
		return value;
	struct stage_pool **place = wait_for(w, begin_record, sizeof(w->pool));
	*place = w->pool;
	ring_commit(w->ring, WORKER_POOL, sizeof(w->pool));
	w->pool = NULL;
	return value;
}

void worker_tell(struct worker *w)
{
	const char *mailbox = w->crew->way->mailbox(w);
	struct stage_fanout_turn *turn = &w->turn;
	turn->result = w->run.result;
	turn->result.mailbox_bytes = mailbox ? turn->result.mailbox_claimed : 0;
	if (is_boot()) {
		turn->result.mailbox = (char *)(uintptr_t)mailbox;
		crew_done(w->crew, turn);
		return;
	}
	turn->value = mailbox ? make_value(w, mailbox) : NULL;
	if (turn->value)
		turn->result.mailbox_bytes = 0;
	uint32_t bytes = (uint32_t)(sizeof(*turn) + turn->result.mailbox_bytes);
	uint8_t *place = wait_for(w, begin_record, bytes);
	memcpy(place, turn, sizeof(*turn));
	if (turn->result.mailbox_bytes)
		memcpy(place + sizeof(*turn), mailbox, turn->result.mailbox_bytes);
	ring_commit(w->ring, WORKER_DONE, bytes);
	if (!turn->value && w->crew->client->is_decisive(w->crew->client->ctx, &turn->result))
		wait_for(w, is_all_heard, 0);
	else if (ring_used(w->ring) > RING_BYTES / 2)
		worker_call_boot(w);
}

/* --- turns --- */

static void begin(struct worker *w, const struct stage_call_task *task)
{
	w->turn.index = task->index;
	w->turn.attempt = task->attempt;
	w->turn.devices = task->devices;
	w->turn.value = NULL;
	w->turn.processor = w->processor;
	w->turn.window_phys = w->window.base;
	w->crew->way->reset(w, task);
	w->wipe = task->devices; /* no page says that a device wrote to it */
	stage_assigned_begin(task->devices);
	w->turn.start_ticks = stage_rdtsc();
	stage_call_time_begin(&w->run.time, w->processor ? 0 : w->crew->timeout_us);
	atomic_store_explicit(&w->started, w->turn.start_ticks, memory_order_relaxed);
}

bool worker_turn(struct worker *w)
{
	const struct stage_fanout_client *client = w->crew->client;
	struct stage_call_task task;
	if (!client->take(client->ctx, w->texts, &task))
		return false;
	begin(w, &task);
	uint32_t idle = atomic_load_explicit(&w->state, memory_order_relaxed);
	uint32_t running = idle + WORKER_STATES - idle % WORKER_STATES + WORKER_RUNNING, expected = running;
	atomic_store_explicit(&w->state, running, memory_order_release);
	w->crew->way->run(w);
	w->turn.end_ticks = stage_rdtsc();
	if (!atomic_compare_exchange_strong(&w->state, &expected, running - WORKER_RUNNING + WORKER_IDLE))
		for (;;)
			stage_processor_wait(); /* INIT is on its way, or this processor was given up */
	stage_assigned_end(task.devices);
	worker_tell(w);
	return true;
}

bool worker_is_overdue(const struct worker *w)
{
	uint64_t started = atomic_load_explicit(&w->started, memory_order_relaxed), now = stage_rdtsc();
	return now > started && now - started > w->crew->timeout_ticks;
}

static bool watch_boot(struct crew *crew)
{
	const struct worker *watched = atomic_load(&crew->watched);
	if (watched && atomic_load(&watched->state) % WORKER_STATES == WORKER_RUNNING && worker_is_overdue(watched))
		stage_processor_interrupt_boot();
	return watched;
}

static bool watch_on(void *crew)
{
	return watch_boot(crew) && !atomic_exchange(&((struct crew *)crew)->watcher_called, false);
}

/* True: there may be a task. */
static bool stay_and_watch(struct worker *w)
{
	struct crew *crew = w->crew;
	uint32_t nobody = 0;
	if (!atomic_load(&crew->watched) || !atomic_compare_exchange_strong(&crew->watcher, &nobody, w->processor))
		return false;
	stage_processor_look(watch_on, crew);
	atomic_store(&crew->watcher, 0);
	return atomic_load(&crew->watched);
}

void worker_main(void *arg)
{
	struct worker *w = arg;
	do {
		while (worker_turn(w))
			watch_boot(w->crew);
	} while (stay_and_watch(w));
}
