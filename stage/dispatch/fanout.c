/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The boot processor's side: feeds the workers, collects what they did, takes back those whose time is up. */

#include "stage/fanout.h"

#include "stage/clock.h"
#include "stage/processors.h"
#include "stage/ticker.h"
#include "team.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_US = 100000 };

struct fanout {
	const struct stage_fanout *order;
	const struct stage_fanout_client *client;
	const struct worker_way *way;
	void *shared; /* the way's */
	struct worker **workers;
	uint32_t count;
	bool own; /* one worker, on this processor */
	atomic_bool boot_waits;
	uint64_t timeout_ticks, progress_ticks;
};

/* --- making and freeing --- */

static enum chain_status make_worker(struct fanout *f, uint32_t processor, struct worker **out, struct chain_error *err)
{
	const struct stage_callee *callee = f->order->callee;
	struct worker *w = calloc(1, sizeof(*w));
	bool ok = w;
	if (w) {
		w->callee = callee;
		w->timeout_us = f->order->timeout_us;
		w->way = f->way;
		w->processor = processor;
		w->boot_waits = &f->boot_waits;
		w->wipe = true;
		worker_prepare(w, f->own ? f->client : NULL);
	}
	for (size_t i = 0; ok && i < WORKER_ENTRIES; i++) {
		w->entries[i].texts = malloc(callee->text_bytes);
		w->entries[i].mailbox = malloc(STAGE_CALL_MAILBOX_BYTES);
		ok = w->entries[i].texts && w->entries[i].mailbox;
	}
	enum chain_status status =
		ok ? w->way->make(w, f->shared, err) :
		     chain_fail_no_memory(err, callee->subject, sizeof(*w) + WORKER_ENTRIES * callee->text_bytes);
	if (status) {
		worker_free(w);
		return status;
	}
	*out = w;
	return CHAIN_OK;
}

/* As many as asked for; where nobody asked for a number, as many as there is memory for. */
static enum chain_status make_workers(struct fanout *f, uint32_t processors, struct chain_error *err)
{
	const struct stage_callee *callee = f->order->callee;
	uint32_t wanted = 1, each = callee->way == CHAIN_CALL_NATIVE ? callee->native.cpus : 1;
	enum chain_status status = f->way->has_ended ?
					   CHAIN_OK :
					   chain_fanout_workers(f->order->config, callee->subject, f->order->kernels,
								processors, &wanted, err);
	if (status)
		return status;
	f->workers = calloc(wanted, sizeof(*f->workers));
	if (!f->workers)
		return chain_fail_no_memory(err, callee->subject, wanted * sizeof(*f->workers));
	for (uint32_t i = 0; i < wanted; i++) {
		struct chain_error why = { 0 };
		status = make_worker(f, f->own ? 0 : i * each + 1, &f->workers[i], &why);
		if (status && (!i || f->order->config->concurrency)) {
			*err = why;
			return status;
		}
		if (status)
			break;
		f->count = i + 1;
	}
	return CHAIN_OK;
}

/* What a processor that did not come back may be using yet stays as it is, for good: its window above all. If it ever
 * does come back, it is to begin nothing. */
static void end(struct fanout *f)
{
	bool others = f->workers && !f->own, lost = false;
	for (uint32_t i = 0; others && i < f->count; i++)
		worker_stop(f->workers[i]);
	for (uint32_t i = 0; f->workers && i < f->count; i++) {
		if (f->workers[i]->lost) {
			lost = true;
			continue;
		}
		if (others)
			worker_wait_parked(f->workers[i]);
		worker_free(f->workers[i]);
	}
	free(f->workers);
	if (!lost)
		f->way->close(f->shared);
}

/* --- feeding --- */

static void wake_if_waiting(struct fanout *f, struct worker *w)
{
	if (!f->own && atomic_load(&w->waits))
		stage_processor_wake(w->processor);
}

static bool feed(struct fanout *f, struct worker *w)
{
	struct stage_call_task task;
	struct worker_entry *e = worker_entry(w, w->fill);
	if (!f->client->next(f->client->ctx, &task))
		return false;
	memcpy(e->texts, task.handoff, task.handoff_bytes);
	strcpy(e->texts + task.handoff_bytes, task.args); /* text_bytes bounds both */
	e->handoff_bytes = task.handoff_bytes;
	e->turn = (struct stage_fanout_turn){ .index = task.index, .attempt = task.attempt, .devices = task.devices };
	atomic_store_explicit(&e->started, 0, memory_order_relaxed);
	w->fill++;
	atomic_store(&e->state, ENTRY_READY);
	wake_if_waiting(f, w);
	return true;
}

/* A task that waits behind a long turn goes to a worker that has nothing to do. */
static bool move_task(struct fanout *f, struct worker *idle)
{
	for (uint32_t i = 0; i < f->count; i++) {
		struct worker *w = f->workers[i];
		struct worker_entry *from = worker_entry(w, w->fill - 1), *to = worker_entry(idle, idle->fill);
		uint32_t ready = ENTRY_READY;
		if (w == idle || w->fill == w->collected || (!w->lost && w->fill - w->collected < 2) ||
		    !atomic_compare_exchange_strong(&from->state, &ready, ENTRY_EMPTY))
			continue;
		w->fill--;
		char *texts = to->texts;
		to->texts = from->texts;
		from->texts = texts;
		to->handoff_bytes = from->handoff_bytes;
		to->turn = from->turn;
		atomic_store_explicit(&to->started, 0, memory_order_relaxed);
		idle->fill++;
		atomic_store(&to->state, ENTRY_READY);
		wake_if_waiting(f, idle);
		return true;
	}
	return false;
}

/* Everybody gets a first task before anybody gets one in advance. */
static bool feed_all(struct fanout *f)
{
	bool fed = false, more = true;
	for (uint32_t depth = 1; depth <= WORKER_ENTRIES; depth++) {
		for (uint32_t i = 0; i < f->count; i++) {
			struct worker *w = f->workers[i];
			if (w->lost || w->fill - w->collected >= depth)
				continue;
			more = more && feed(f, w);
			fed = fed || more;
			if (!more && w->fill == w->collected)
				fed = move_task(f, w) || fed;
		}
	}
	return fed;
}

/* --- collecting --- */

static bool collect(struct fanout *f, struct worker *w)
{
	bool any = atomic_load_explicit(&w->text_written, memory_order_acquire) != w->text_read;
	uint32_t fill = w->fill;
	bool done = w->collected != fill && worker_state_of(worker_entry(w, w->collected)) == ENTRY_DONE;
	worker_drain(w, f->client); /* all of a turn's text was there before it was done */
	while (done) {
		struct worker_entry *e = worker_entry(w, w->collected);
		f->client->done(f->client->ctx, &e->turn);
		atomic_store(&e->state, ENTRY_EMPTY);
		w->collected++;
		any = true;
		done = false; /* the next one's text may have come since */
	}
	return any;
}

static bool is_overdue(const struct fanout *f, struct worker *w)
{
	for (uint32_t s = w->collected; s != w->fill; s++) {
		struct worker_entry *e = worker_entry(w, s);
		uint64_t started = atomic_load_explicit(&e->started, memory_order_acquire), now = stage_rdtsc();
		if (worker_state_of(e) == ENTRY_RUNNING && started && now > started && now - started > f->timeout_ticks)
			return true;
	}
	return false;
}

/* A kernel that can't give its processor back says only that it is done. */
static bool has_ended(const struct fanout *f, struct worker *w)
{
	const struct worker_entry *e = worker_entry(w, w->collected);
	return f->way->has_ended && w->collected != w->fill && worker_state_of(e) == ENTRY_RUNNING &&
	       atomic_load(&e->started) && f->way->has_ended(w);
}

/* True: some processor was taken back. */
static bool look_after(struct fanout *f, struct worker *w)
{
	enum team_request request = w->team && !w->lost ? team_request(w->team) : TEAM_NOTHING;
	if (w->lost || (request == TEAM_NOTHING && !has_ended(f, w) && !is_overdue(f, w)))
		return false;
	if (request == TEAM_MEMBERS)
		worker_take_back_members(w, f->client);
	else
		worker_take_back(w, f->client);
	return true;
}

/* A worker has tasks in advance: it runs one of them. */
static uint32_t running(const struct fanout *f)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < f->count; i++)
		for (uint32_t s = f->workers[i]->collected; s != f->workers[i]->fill; s++)
			count += worker_state_of(worker_entry(f->workers[i], s)) == ENTRY_RUNNING;
	return count;
}

static bool any_left(const struct fanout *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->workers[i]->fill != f->workers[i]->collected)
			return true;
	return false;
}

static bool all_lost(const struct fanout *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (!f->workers[i]->lost)
			return false;
	return true;
}

/* --- the loop --- */

static void wait(struct fanout *f)
{
	bool news = false;
	atomic_store(&f->boot_waits, true);
	for (uint32_t i = 0; i < f->count && !news; i++) {
		struct worker *w = f->workers[i];
		news = atomic_load(&w->text_written) != w->text_read ||
		       (w->team && !w->lost && team_request(w->team)) ||
		       (w->collected != w->fill && worker_state_of(worker_entry(w, w->collected)) == ENTRY_DONE) ||
		       has_ended(f, w);
	}
	if (!news)
		stage_wait_for_interrupt(); /* of stage_processors_watch, or a worker's */
	atomic_store(&f->boot_waits, false);
}

static void report_progress(struct fanout *f)
{
	uint64_t now = stage_rdtsc();
	if (now < f->progress_ticks)
		return;
	f->progress_ticks = stage_deadline_after_us(PROGRESS_US);
	f->client->progress(f->client->ctx, running(f));
}

static enum chain_status work_off(struct fanout *f, struct chain_error *err)
{
	for (uint32_t i = 0; i < f->count; i++)
		worker_give(f->workers[i]);
	for (;;) {
		bool news = feed_all(f);
		for (uint32_t i = 0; i < f->count; i++) {
			news = collect(f, f->workers[i]) || news;
			news = look_after(f, f->workers[i]) || news;
		}
		report_progress(f);
		if (news)
			continue;
		if (!any_left(f))
			return CHAIN_OK;
		if (all_lost(f))
			return CHAIN_FAIL(err, FANOUT_LOST, .subject = f->order->callee->subject, .count = f->count);
		wait(f);
	}
}

/* A kernel may change what interrupts come from, one at fixed addresses since it owns the machine, another by a wild
 * instruction: until all are over, only the boot processor's own timer wakes it. */
static enum chain_status run_on_others(struct fanout *f, struct chain_error *err)
{
	stage_idle_anew(); /* what the firmware's timer asks for would be pending for ever */
	stage_processors_watch(true);
	enum chain_status status = work_off(f, err);
	stage_idle_anew();
	stage_processors_watch(false);
	return status;
}

/* The time is watched by the ticker's interrupts here. */
static void run_here(struct fanout *f)
{
	struct worker *w = f->workers[0];
	stage_ticker_start();
	while (feed(f, w)) {
		worker_turn(w);
		collect(f, w);
		report_progress(f);
	}
	stage_ticker_stop();
}

enum chain_status stage_fanout_run(const struct stage_fanout *order, const struct stage_fanout_client *client,
				   struct stage_fanout_machine *out, struct chain_error *err)
{
	static const struct worker_way *const ways[CHAIN_CALL_WAYS] = {
		[CHAIN_CALL_NATIVE] = &worker_native,
		[CHAIN_CALL_FIXED] = &worker_fixed,
		[CHAIN_CALL_SVM] = &worker_svm,
	};
	const struct stage_callee *callee = order->callee;
	struct fanout f = { .order = order, .client = client, .way = ways[callee->way] };
	*out = (struct stage_fanout_machine){ 0 };
	enum chain_status status = stage_processors_start(&out->processors, &out->processors_failed, err);
	if (status)
		return status;
	f.own = out->processors == 1;
	if (f.way->has_ended)
		status = chain_fixed_check_processors(out->processors, callee->subject, err);
	if (status)
		return status;
	status = stage_call_run_init(err);
	if (!status && f.own)
		status = stage_ticker_open(err);
	if (status)
		return status;
	f.timeout_ticks = stage_ticks_of_us(order->timeout_us);
	status = f.way->open(callee, &f.shared, err);
	if (!status)
		status = make_workers(&f, out->processors, err);
	if (!status) {
		out->workers = f.count;
		out->window_bytes = chain_range_bytes(f.workers[0]->window);
		out->private_bytes = f.workers[0]->private_bytes;
		if (f.own)
			run_here(&f);
		else
			status = run_on_others(&f, err);
	}
	for (uint32_t i = 0; i < f.count; i++)
		out->processors_failed += f.workers[i]->lost;
	end(&f);
	return status;
}
