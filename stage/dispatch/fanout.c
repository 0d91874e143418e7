/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The boot processor's side of a fan-out: works itself, hears what the other workers tell, takes back those whose time
 * is up. */

#include "stage/fanout.h"

#include "stage/clock.h"
#include "stage/pages.h"
#include "stage/processors.h"
#include "stage/ticker.h"
#include "team.h"
#include "worker.h"

#include <stdlib.h>

enum {
	PROGRESS_US = 100000,
	LOOK_US = 1000,
	/* More processors are started when the work has gone on for GROW_AFTER_LOOKS, and for so many times as long as
	 * starting them has taken until then: GROW_BUSY where this one works meanwhile, else GROW_IDLE. */
	GROW_AFTER_LOOKS = 2,
	GROW_BUSY = 8,
	GROW_IDLE = 1,
	GROW_LEAVES = 8 * 1024 * 1024, /* bytes of memory, for results */
};

struct fanout {
	struct crew crew; /* first: a worker knows this much */
	const struct stage_fanout *order;
	void *shared; /* the way's */
	struct worker **workers;
	uint32_t count, most; /* of `most` that there may be */
	uint32_t each;        /* processors */
	struct stage_processors processors;
	struct worker *own; /* the one of them that is on this processor; null: this one only looks after the others */
	bool overran;       /* a kernel has not given its processor back in time */
	uint64_t look_ticks, next_look, progress_ticks;
	uint64_t begun, growing; /* TSC; ticks spent on starting processors and making their workers */
};

/* --- making and freeing --- */

static enum chain_status make_worker(struct fanout *f, uint32_t processor, struct chain_error *err)
{
	struct worker **out = &f->workers[f->count];
	enum chain_status status = worker_make(&f->crew, f->shared, processor, out, err);
	if (status)
		return status;
	f->own = processor ? f->own : *out;
	f->count++;
	return CHAIN_OK;
}

/* Workers on the processors that are started, so far as they have none. Where nobody asked for a number, as many as
 * there is memory for. */
static enum chain_status make_workers(struct fanout *f, struct chain_error *err)
{
	uint32_t others = f->count - (f->own != NULL);
	for (; f->count < f->most && (others + 1) * f->each < f->processors.started; others++) {
		struct chain_error why = { 0 };
		enum chain_status status = make_worker(f, others * f->each + 1, &why);
		if (status && (!f->count || f->order->config->concurrency))
			return chain_fail_again(err, &why, NULL);
		if (status)
			f->most = f->count;
	}
	return CHAIN_OK;
}

/* The boot processor's own, where all processors are to work: nobody can take that one back by INIT. */
static enum chain_status make_own(struct fanout *f, uint32_t processors, struct chain_error *err)
{
	struct chain_error why = { 0 };
	if (f->each > 1 || f->crew.way->has_ended || f->most < processors || f->count == f->most)
		return CHAIN_OK;
	enum chain_status status = make_worker(f, 0, &why);
	if (status && (!f->count || f->order->config->concurrency))
		return chain_fail_again(err, &why, NULL);
	return CHAIN_OK;
}

/* What a processor that did not come back may be using yet stays as it is, for good: its window above all. If it ever
 * does come back, it is to begin nothing. */
static void end(struct fanout *f)
{
	bool lost = false;
	for (uint32_t i = 0; i < f->count; i++)
		worker_stop(f->workers[i]);
	for (uint32_t i = 0; i < f->count; i++)
		if (f->workers[i] != f->own && !f->workers[i]->lost)
			worker_wait_parked(f->workers[i]);
	for (uint32_t i = 0; i < f->count; i++) { /* none before all are parked: one may be looking at another */
		lost = lost || f->workers[i]->lost;
		if (!f->workers[i]->lost)
			worker_free(f->workers[i]);
	}
	free(f->workers);
	if (lost)
		return;
	f->crew.way->close(f->shared);
	free(f);
}

/* --- looking after the others --- */

/* Ends a turn that has to end. A kernel that can't give its processor back says only that it is done. */
static bool look_after(struct fanout *f, struct worker *w)
{
	uint32_t state = atomic_load_explicit(&w->state, memory_order_acquire);
	enum team_request request = w->team ? team_request(w->team) : TEAM_NOTHING;
	bool ended = f->crew.way->has_ended && f->crew.way->has_ended(w), overdue = worker_is_overdue(w);
	if (state % WORKER_STATES != WORKER_RUNNING || w->lost)
		return false;
	if (request == TEAM_MEMBERS) {
		worker_take_back_members(w);
		return true;
	}
	if ((request == TEAM_NOTHING && !ended && !overdue) || !worker_revoke(w, state))
		return false;
	f->overran = f->overran || overdue;
	worker_take_back(w);
	return true;
}

static void call_watcher(struct fanout *f)
{
	uint32_t watcher = atomic_load(&f->crew.watcher);
	atomic_store(&f->crew.watcher_called, true);
	if (watcher)
		stage_processor_wake(watcher);
}

/* Parked workers for what is ready, and no more of them. */
static bool give(struct fanout *f)
{
	uint32_t ready = f->crew.client->ready(f->crew.client->ctx);
	bool any = false;
	for (uint32_t i = 0; i < f->count && ready; i++) {
		struct worker *w = f->workers[i];
		bool watches = w->processor && atomic_load(&f->crew.watcher) == w->processor;
		if (w == f->own || w->lost || !(watches || stage_processor_is_parked(w->processor)))
			continue;
		if (watches)
			call_watcher(f);
		else
			worker_give(w);
		any = true;
		ready--;
	}
	return any;
}

static void report_progress(struct fanout *f)
{
	uint64_t now = stage_rdtsc();
	uint32_t running = 0;
	if (now < f->progress_ticks)
		return;
	f->progress_ticks = stage_deadline_after_us(PROGRESS_US);
	for (uint32_t i = 0; i < f->count; i++)
		running += atomic_load(&f->workers[i]->state) % WORKER_STATES == WORKER_RUNNING;
	f->crew.client->progress(f->crew.client->ctx, running);
	if (f->own)
		stage_ticker_start(); /* a kernel may have stopped its timer by a wild instruction */
}

/* All that the others ask for. True: there was something. */
static bool look(struct fanout *f)
{
	bool news = atomic_exchange(&f->crew.news, false);
	for (uint32_t i = 0; i < f->count; i++) {
		struct worker *w = f->workers[i];
		if (w == f->own || w->lost)
			continue;
		news = worker_collect(w) || news;
		news = look_after(f, w) || news;
	}
	news = give(f) || news;
	report_progress(f);
	f->next_look = stage_rdtsc() + f->look_ticks;
	return news;
}

/* In an interrupt, while a kernel is on this processor. */
static void look_meanwhile(struct stage_call_run *run)
{
	look((struct fanout *)worker_of(run)->crew);
}

static bool is_time_to_look(const struct fanout *f)
{
	return atomic_load_explicit(&f->crew.news, memory_order_relaxed) || stage_rdtsc() >= f->next_look;
}

/* --- the loop --- */

static uint32_t count_others(const struct fanout *f)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < f->count; i++)
		count += f->workers[i] != f->own && !f->workers[i]->lost;
	return count;
}

static bool may_grow(const struct fanout *f, bool busy)
{
	uint64_t elapsed = stage_rdtsc() - f->begun;
	return f->count < f->most && f->processors.left && elapsed > f->growing + GROW_AFTER_LOOKS * f->look_ticks &&
	       f->growing < elapsed / (busy ? GROW_BUSY : GROW_IDLE) && f->crew.client->ready(f->crew.client->ctx);
}

/* Twice as many others. */
static void grow(struct fanout *f)
{
	uint64_t bytes = chain_range_bytes(f->workers[0]->window) + GROW_LEAVES, before = stage_rdtsc();
	uint64_t phys = stage_pages_alloc(bytes, STAGE_PAGE, CHAIN_OWNER_WINDOW);
	struct chain_error err = { 0 };
	stage_pages_free(phys, bytes);
	if (!phys || stage_processors_more(2 * f->processors.started, &f->processors, &err) || make_workers(f, &err))
		f->most = f->count; /* there is no memory for more */
	f->growing += stage_rdtsc() - before;
}

/* Other processors are taken back by INIT whatever a kernel does; this one by the ticker, which a native kernel could
 * stop. So it works only once a kernel of the step has come back by itself, and none has overrun its time. */
static bool may_work(const struct fanout *f)
{
	return f->own && (f->crew.way->keeps_ticker || (f->crew.came_back && !f->overran) || !count_others(f));
}

static void wait(struct fanout *f)
{
	atomic_store(&f->crew.waits, true);
	if (!atomic_load(&f->crew.news))
		stage_wait_for_interrupt(); /* of stage_processors_watch, or a worker's */
	atomic_store(&f->crew.waits, false);
}

static enum chain_status work_off(struct fanout *f, struct chain_error *err)
{
	const struct stage_fanout_client *client = f->crew.client;
	while (!client->is_over(client->ctx)) {
		bool more = client->prepare(client->ctx), news = is_time_to_look(f) && look(f);
		if (!f->own && !count_others(f))
			return CHAIN_FAIL(err, FANOUT_LOST, .subject = f->crew.callee->subject, .count = f->count);
		bool busy = may_work(f);
		if (may_grow(f, busy))
			grow(f);
		if (busy && worker_turn(f->own))
			continue;
		if (!more && !news && !look(f) && !client->is_over(client->ctx))
			wait(f);
	}
	return CHAIN_OK;
}

/* A kernel may change what interrupts come from, one at fixed addresses since it owns the machine, another by a wild
 * instruction: until all are over, only the boot processor's own timer wakes it, and the ticker interrupts its own
 * kernels. */
static enum chain_status run_on_others(struct fanout *f, struct chain_error *err)
{
	stage_idle_anew(); /* what the firmware's timer asks for would be pending for ever */
	stage_processors_watch(true);
	if (f->own)
		stage_ticker_start();
	if (!f->crew.way->keeps_ticker)
		atomic_store(&f->crew.watched, f->own);
	enum chain_status status = work_off(f, err);
	atomic_store(&f->crew.watched, NULL);
	call_watcher(f);
	if (f->own)
		stage_ticker_stop();
	stage_idle_anew();
	stage_processors_watch(false);
	return status;
}

/* The time is watched by the ticker's interrupts alone. */
static void run_here(struct fanout *f)
{
	const struct stage_fanout_client *client = f->crew.client;
	stage_ticker_start();
	do {
		while (worker_turn(f->own))
			report_progress(f);
	} while (client->prepare(client->ctx) || !client->is_over(client->ctx));
	stage_ticker_stop();
}

/* As many workers as there may be, and those that begin. Where the step says how many, all of them. */
static enum chain_status make_first(struct fanout *f, struct chain_error *err)
{
	const struct stage_callee *callee = f->crew.callee;
	const struct chain_config_fanout *config = f->order->config;
	bool alone = f->crew.way->has_ended, all = alone || config->concurrency || f->each > 1;
	struct stage_processors *there = &f->processors;
	uint64_t before = stage_rdtsc();
	enum chain_status status = stage_processors_start(all ? UINT32_MAX : 2, there, err);
	uint32_t processors = there->started + there->left;
	if (!status && f->order->kernels < processors) /* a processor for each */
		status = stage_processors_more((uint32_t)f->order->kernels + 1, there, err);
	f->most = 1;
	if (!status && alone)
		status = chain_fixed_check_processors(processors, callee->subject, err);
	else if (!status)
		status = chain_fanout_workers(config, callee->subject, f->order->kernels, processors, &f->most, err);
	if (status)
		return status;
	f->workers = calloc(f->most, sizeof(struct worker *));
	if (!f->workers)
		return chain_fail_no_memory(err, callee->subject, f->most * sizeof(struct worker *));
	status = make_workers(f, err);
	if (!status)
		status = make_own(f, processors, err);
	f->growing = stage_rdtsc() - before;
	return status;
}

/* Everything but the turns; nothing of it fails once one has begun. */
static enum chain_status prepare(struct fanout *f, struct chain_error *err)
{
	enum chain_status status = stage_call_run_init(err);
	if (!status)
		status = f->crew.way->open(f->crew.callee, &f->shared, err);
	if (!status)
		status = make_first(f, err);
	if (!status && f->own)
		status = stage_ticker_open(err);
	f->crew.timeout_ticks = stage_ticks_of_us(f->crew.timeout_us);
	f->look_ticks = stage_ticks_of_us(LOOK_US);
	f->begun = stage_rdtsc() - f->growing;
	return status;
}

static void describe(const struct fanout *f, struct stage_fanout_machine *out)
{
	*out = (struct stage_fanout_machine){ .processors = f->processors.started + f->processors.left,
					      .processors_failed = f->processors.failed,
					      .workers = f->count };
	for (uint32_t i = 0; i < f->count; i++)
		out->processors_failed += f->workers[i]->lost;
	if (!f->count)
		return;
	out->window_bytes = chain_range_bytes(f->workers[0]->window);
	out->private_bytes = f->workers[0]->private_bytes;
}

enum chain_status stage_fanout_run(const struct stage_fanout *order, const struct stage_fanout_client *client,
				   struct stage_fanout_machine *out, struct chain_error *err)
{
	static const struct worker_way *const ways[CHAIN_CALL_WAYS] = {
		[CHAIN_CALL_NATIVE] = &worker_native,
		[CHAIN_CALL_FIXED] = &worker_fixed,
		[CHAIN_CALL_SVM] = &worker_svm,
	};
	struct fanout *f =
		calloc(1, sizeof(*f)); /* not on the stack: a processor that is lost may look at it at any time */
	if (!f)
		return chain_fail_no_memory(err, order->callee->subject, sizeof(*f));
	f->order = order;
	f->crew.callee = order->callee;
	f->crew.client = client;
	f->crew.way = ways[order->callee->way];
	f->crew.timeout_us = order->timeout_us;
	f->each = order->callee->way == CHAIN_CALL_NATIVE ? order->callee->native.cpus : 1;
	enum chain_status status = prepare(f, err);
	if (!status && f->own && f->count == 1) {
		run_here(f);
	} else if (!status) {
		if (f->own)
			f->own->run.look = look_meanwhile;
		status = run_on_others(f, err);
	}
	describe(f, out);
	end(f);
	return status;
}
