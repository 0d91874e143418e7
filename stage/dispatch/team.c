/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "team.h"

#include "abi/native.h"
#include "stage/pages.h"
#include "stage/processors.h"
#include "worker.h"

#include <stdlib.h>

/* --- on the kernel's processors: no heap, no console --- */

/* What one of them writes stays in one piece. Whoever holds the lock when it is taken back is taken back with the
 * others. */
static void write_text(struct team *t, const char *bytes, uint64_t count)
{
	while (atomic_exchange(&t->writing, true))
		stage_pause();
	worker_write(t->worker, bytes, count);
	atomic_store(&t->writing, false);
}

static void write_first(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	write_text(worker_of(run)->team, bytes, count);
}

static void write_member(struct stage_call_run *run, const char *bytes, uint64_t count)
{
	write_text(((struct team_member *)run)->team, bytes, count);
}

static uint64_t start(struct stage_call_run *run, uint64_t entry, uint64_t argument)
{
	struct team *t = worker_of(run)->team;
	if (atomic_load(t->busy))
		return UINT64_MAX;
	atomic_store(t->busy, t->count);
	for (uint32_t i = 0; i < t->count; i++) {
		struct team_member *m = &t->members[i];
		m->run.window.entry = entry;
		m->run.argument = argument;
		atomic_store(&m->state, TEAM_BUSY);
		stage_processor_wake(m->processor);
	}
	return 0;
}

/* One that ended the kernel stays busy: only the boot processor makes the window free again. */
static void finish(struct team_member *m)
{
	struct team *t = m->team;
	uint32_t nobody = 0;
	if (m->run.result.outcome == STAGE_CALL_DONE) {
		atomic_store(&m->state, TEAM_IDLE);
		if (atomic_fetch_sub(t->busy, 1) == 1)
			stage_processor_wake(t->worker->processor);
		return;
	}
	atomic_store(&m->state, TEAM_ENDED);
	atomic_compare_exchange_strong(&t->ended_by, &nobody, m->run.cpu);
	worker_call_boot(t->worker);
}

static void member_main(void *arg)
{
	struct team_member *m = arg;
	for (uint32_t state; (state = atomic_load(&m->state)) != TEAM_STOP;) {
		if (state == TEAM_BUSY) {
			stage_call_run(&m->run);
			finish(m);
		} else {
			stage_processor_wait(); /* a start that comes after the look wakes it */
		}
	}
}

void team_join(struct team *t)
{
	atomic_store(&t->left, true);
	while (atomic_load(t->busy)) {
		worker_call_boot(t->worker);
		stage_processor_wait(); /* woken by the last member, or by the boot processor */
	}
	atomic_store(&t->left, false);
}

/* --- on the boot processor --- */

enum team_request team_request(const struct team *t)
{
	if (atomic_load(&t->ended_by))
		return TEAM_END;
	return atomic_load(&t->left) && atomic_load(t->busy) ? TEAM_MEMBERS : TEAM_NOTHING;
}

enum chain_status team_make(struct worker *w, uint32_t cpus, struct team **out, struct chain_error *err)
{
	uint64_t bytes = sizeof(struct team) + (cpus - 1) * sizeof(struct team_member);
	struct team *t = calloc(1, bytes);
	if (!t)
		return chain_fail_no_memory(err, w->crew->callee->subject, bytes);
	struct kchain_team *page = stage_phys_to_virt(w->run.window.team_phys);
	t->worker = w;
	t->count = cpus - 1;
	t->busy = (_Atomic uint32_t *)&page->busy;
	page->processors[0] = w->processor;
	for (uint32_t i = 0; i < t->count; i++) {
		struct team_member *m = &t->members[i];
		*m = (struct team_member){ .team = t, .processor = w->processor + 1 + i };
		m->run.window = stage_call_window_of(&w->run.window, i + 1);
		m->run.cpu = i + 1;
		m->run.write = write_member;
		page->processors[i + 1] = m->processor;
	}
	w->run.write = write_first;
	w->run.start = start;
	*out = t;
	return CHAIN_OK;
}

void team_give(struct team *t)
{
	atomic_store(&t->ended_by, 0);
	atomic_store(&t->left, false);
	atomic_store(&t->writing, false);
	atomic_store(t->busy, 0);
	for (uint32_t i = 0; i < t->count; i++) {
		atomic_store(&t->members[i].state, TEAM_IDLE);
		stage_processor_give(t->members[i].processor, member_main, &t->members[i]);
	}
}

bool team_take_back(const struct team *t)
{
	bool all = true;
	for (uint32_t i = 0; i < t->count; i++)
		all = stage_processor_take_back(t->members[i].processor) && all;
	return all;
}

struct stage_call_result team_result(const struct team *t)
{
	uint32_t by = t ? atomic_load(&t->ended_by) : 0;
	if (!by)
		return (struct stage_call_result){ .outcome = STAGE_CALL_TIMED_OUT };
	struct stage_call_result result = t->members[by - 1].run.result;
	result.cpu = by;
	return result;
}
