/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A worker's side. Nothing here may use the heap, the console or the C library's state: every processor runs it at
 * once. */

#include "worker.h"

#include "stage/assigned.h"
#include "stage/processors.h"

#include <string.h>

/* --- text --- */

static void put(struct worker *w, uint64_t at, const void *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		w->text[(at + i) % WORKER_TEXT_BYTES] = ((const uint8_t *)bytes)[i];
}

static void get(const struct worker *w, uint64_t at, void *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		((uint8_t *)bytes)[i] = w->text[(at + i) % WORKER_TEXT_BYTES];
}

void worker_call_boot(struct worker *w)
{
	if (atomic_load(w->boot_waits))
		stage_processor_call_boot();
}

/* Waits for room: the boot processor reads all the time, and takes the processor away when the kernel's time is up. */
void worker_write(struct worker *w, const char *bytes, uint64_t count)
{
	uint32_t head[2] = { w->entries[w->at % WORKER_ENTRIES].turn.index, (uint32_t)count };
	if (w->direct) {
		w->direct->text(w->direct->ctx, head[0], bytes, count);
		return;
	}
	uint64_t written = atomic_load_explicit(&w->text_written, memory_order_relaxed);
	while (WORKER_TEXT_BYTES - (written - atomic_load_explicit(&w->text_read, memory_order_acquire)) <
	       sizeof(head) + count) {
		worker_call_boot(w);
		stage_pause();
	}
	put(w, written, head, sizeof(head));
	put(w, written + sizeof(head), bytes, count);
	atomic_store(&w->text_written, written + sizeof(head) + count);
	worker_call_boot(w);
}

static void write_text(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	worker_write(worker_of(run), bytes, count);
}

void worker_drain(struct worker *w, const struct stage_fanout_client *client)
{
	uint64_t written = atomic_load_explicit(&w->text_written, memory_order_acquire);
	uint64_t at = atomic_load_explicit(&w->text_read, memory_order_relaxed);
	while (at != written) {
		uint32_t head[2];
		char piece[256];
		get(w, at, head, sizeof(head));
		at += sizeof(head);
		for (uint32_t left = head[1], count; left; left -= count, at += count) {
			count = left < sizeof(piece) ? left : sizeof(piece);
			get(w, at, piece, count);
			client->text(client->ctx, head[0], piece, count);
		}
		atomic_store_explicit(&w->text_read, at, memory_order_release);
	}
}

/* --- turns --- */

void worker_prepare(struct worker *w, const struct stage_fanout_client *direct)
{
	w->direct = direct;
	w->run.write = write_text;
}

void worker_keep(struct worker *w, struct worker_entry *e)
{
	e->turn.end_ticks = stage_rdtsc();
	e->turn.result = w->run.result;
	const char *mailbox = w->way->mailbox(w);
	if (!mailbox)
		return;
	memcpy(e->mailbox, mailbox, w->run.result.mailbox_claimed);
	e->turn.result.mailbox = e->mailbox;
	e->turn.result.mailbox_bytes = w->run.result.mailbox_claimed;
}

static void run_entry(struct worker *w, struct worker_entry *e)
{
	const struct stage_call_task task = {
		.index = e->turn.index,
		.attempt = e->turn.attempt,
		.handoff = e->texts,
		.handoff_bytes = e->handoff_bytes,
		.args = e->texts + e->handoff_bytes,
		.devices = e->turn.devices,
	};
	e->turn.processor = w->processor;
	e->turn.window_phys = w->window.base;
	w->way->reset(w, &task);
	w->wipe = e->turn.devices; /* no page says that a device wrote to it */
	stage_assigned_begin(e->turn.devices);
	e->turn.start_ticks = stage_rdtsc();
	stage_call_time_begin(&w->run.time, w->direct ? w->timeout_us : 0);
	atomic_store_explicit(&e->started, e->turn.start_ticks, memory_order_release);
	w->way->run(w);
	stage_assigned_end(e->turn.devices);
	worker_keep(w, e);
}

bool worker_turn(struct worker *w)
{
	struct worker_entry *e = &w->entries[w->at % WORKER_ENTRIES];
	uint32_t ready = ENTRY_READY;
	if (!atomic_compare_exchange_strong(&e->state, &ready, ENTRY_RUNNING))
		return false;
	run_entry(w, e);
	w->at++;
	atomic_store(&e->state, ENTRY_DONE);
	return true;
}

/* The boot processor is called to half of the entries at once: each call costs as much as a short turn. */
static bool is_running_dry(struct worker *w)
{
	return atomic_load(&w->entries[(w->at + WORKER_ENTRIES / 2 - 1) % WORKER_ENTRIES].state) != ENTRY_READY;
}

void worker_main(void *arg)
{
	struct worker *w = arg;
	while (!atomic_load(&w->stop)) {
		if (worker_turn(w)) {
			if (is_running_dry(w))
				worker_call_boot(w);
			continue;
		}
		/* A task that comes after this look wakes the processor: `waits` is seen, or the state was. */
		atomic_store(&w->waits, true);
		bool idle =
			atomic_load(&w->entries[w->at % WORKER_ENTRIES].state) != ENTRY_READY && !atomic_load(&w->stop);
		if (idle)
			stage_processor_wait();
		atomic_store(&w->waits, false);
	}
}
