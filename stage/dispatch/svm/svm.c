/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "isolation": "svm": any Multiboot 1 kernel, in a physical memory of its own that begins at zero. */

#include "svm.h"

#include "stage/clock.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/dispatch/worker.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = STAGE_PAGE, MAPS_BYTES = SVM_IOPM_BYTES + SVM_MSRPM_BYTES, OWN_PAGES = CHAIN_GUEST_OWN_PAGES };

/* --- what all workers share --- */

static enum chain_status make_maps(struct svm_shared *shared, const char *subject, struct chain_error *err)
{
	shared->maps_phys = stage_pages_alloc(MAPS_BYTES, PAGE, CHAIN_OWNER_HEAP);
	if (!shared->maps_phys)
		return chain_fail_no_memory(err, subject, MAPS_BYTES);
	uint8_t *maps = stage_phys_to_virt(shared->maps_phys);
	memset(maps, 0xff, MAPS_BYTES);
	svm_msr_let_pass(maps + SVM_IOPM_BYTES);
	return CHAIN_OK;
}

static void close_shared(void *ctx)
{
	struct svm_shared *shared = ctx;
	if (!shared)
		return;
	if (shared->maps_phys)
		stage_pages_free(shared->maps_phys, MAPS_BYTES);
	chain_guest_free(&shared->guest);
	free(shared);
}

static enum chain_status open_shared(const struct stage_callee *callee, void **out, struct chain_error *err)
{
	const char *lacks = stage_svm_lacks();
	if (lacks)
		return chain_fail_text(err, CHAIN_E_SVM_MISSING, callee->subject, lacks);
	struct svm_shared *shared = calloc(1, sizeof(*shared));
	if (!shared)
		return chain_fail_no_memory(err, callee->subject, sizeof(*shared));
	shared->clocks.tsc_khz = (uint32_t)(stage_tsc_hz() / 1000);
	shared->clocks.has_time = stage_rtc_read(&shared->clocks.time);
	shared->clocks.time_tsc = stage_rdtsc();
	stage_svm_probe(&shared->processor);
	enum chain_status status = chain_guest_make(&callee->svm.guest, &shared->guest, err);
	if (!status)
		status = make_maps(shared, callee->subject, err);
	if (status)
		close_shared(shared);
	else
		*out = shared;
	return status;
}

/* --- one worker's guest --- */

static struct svm_guest *guest_of(const struct worker *w)
{
	return w->guest;
}

static uint64_t take_table(void *ctx)
{
	struct svm_guest *g = ctx;
	uint64_t phys = g->root_phys + g->tables_used;
	if (phys == g->vmcb_phys)
		return 0;
	g->tables_used += PAGE;
	memset(stage_phys_to_virt(phys), 0, PAGE);
	return phys;
}

static void write_text(void *ctx, const char *bytes, uint64_t count)
{
	struct worker *w = ctx;
	w->run.write(&w->run, bytes, count);
}

static bool lay_out(struct svm_guest *g, uint64_t memory_bytes)
{
	struct stage_table_pages pages = { take_table, g };
	g->root_phys = g->memory_phys + memory_bytes;
	g->vmcb_phys = g->memory_phys + g->bytes - OWN_PAGES * PAGE;
	g->host_phys = g->vmcb_phys + PAGE;
	g->host_save_phys = g->host_phys + PAGE;
	g->vmcb = stage_phys_to_virt(g->vmcb_phys);
	memset(g->vmcb, 0, OWN_PAGES * PAGE);
	return take_table(g) && stage_table_map(g->root_phys, &pages, 0, g->memory_phys, memory_bytes,
						STAGE_MAP_WRITE | STAGE_MAP_EXECUTE | STAGE_MAP_SMALL | STAGE_MAP_USER);
}

static void free_guest(struct worker *w)
{
	struct svm_guest *g = guest_of(w);
	stage_pages_free(g->memory_phys, g->bytes);
	free(g);
	w->guest = NULL;
	w->window = (struct chain_range){ 0, 0 };
}

static enum chain_status make(struct worker *w, void *shared, struct chain_error *err)
{
	const char *subject = w->crew->callee->subject;
	struct svm_guest *g = aligned_alloc(16, sizeof(*g));
	if (!g)
		return chain_fail_no_memory(err, subject, sizeof(*g));
	memset(g, 0, sizeof(*g));
	g->shared = shared;
	uint64_t memory_bytes = g->shared->guest.memory_bytes;
	g->bytes = chain_guest_window_bytes(memory_bytes);
	enum chain_status status = stage_pages_take(g->bytes, PAGE, CHAIN_OWNER_WINDOW, subject, &g->memory_phys, err);
	if (status) {
		free(g);
		return status;
	}
	if (!lay_out(g, memory_bytes))
		stage_panic("nested tables for %llu bytes do not fit their room", (unsigned long long)memory_bytes);
	g->machine.write = write_text;
	g->machine.ctx = w;
	g->machine.clocks = &g->shared->clocks;
	w->guest = g;
	w->window = (struct chain_range){ g->memory_phys, g->memory_phys + g->bytes };
	w->private_bytes =
		g->bytes - memory_bytes + g->shared->guest.plan.bytes_copied + g->shared->guest.plan.bytes_zeroed;
	return CHAIN_OK;
}

static void clean(void *ctx, uint64_t base, uint64_t phys, uint64_t bytes)
{
	const struct svm_guest *g = ctx;
	chain_guest_part(&g->shared->guest, base, bytes, stage_phys_to_virt(phys));
}

static void reset(struct worker *w, const struct stage_call_task *task)
{
	struct svm_guest *g = guest_of(w);
	const struct chain_guest *guest = &g->shared->guest;
	if (w->wipe)
		clean(g, 0, g->memory_phys, guest->memory_bytes);
	else
		stage_table_each_dirty(g->root_phys, 0, guest->memory_bytes, clean, g);
	/* Texts are written to the room that was made for them. */
	(void)chain_guest_texts(guest, stage_phys_to_virt(g->memory_phys), task->handoff, task->handoff_bytes,
				task->args);
	svm_machine_reset(&g->machine);
	svm_guest_enter_state(g);
}

static void run(struct worker *w)
{
	svm_guest_run(guest_of(w), &w->run);
}

static void conclude(struct worker *w)
{
	svm_guest_say_rest(guest_of(w), &w->run.result);
}

static const char *mailbox(const struct worker *w)
{
	const struct svm_machine *m = &guest_of(w)->machine;
	return m->result_bytes && m->result_bytes <= STAGE_CALL_MAILBOX_BYTES ? m->record + m->result_at : NULL;
}

const struct worker_way worker_svm = {
	.open = open_shared,
	.close = close_shared,
	.make = make,
	.free = free_guest,
	.reset = reset,
	.run = run,
	.mailbox = mailbox,
	.conclude = conclude,
	.keeps_ticker = true,
};
