/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/run.h"

#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/boot.h"
#include "stage/callee.h"
#include "stage/clock.h"
#include "stage/commit.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/devices.h"
#include "stage/interrupts.h"
#include "stage/pages.h"
#include "stage/processors.h"
#include "stage/judge.h"
#include "stage/report.h"
#include "stage/run_fanout.h"
#include "stage/transport.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct chain_link this_link(struct stage_run *run)
{
	return (struct chain_link){
		.config = &run->config,
		.sources = &run->sources,
		.fs = run->fs,
		.parent = run->parent,
		.net = run->net,
		.block = run->block,
		.results = run->results,
		.shared = &run->shared,
		.opened = &run->opened,
		.door = run->sources.bootinfo->door,
		.boot_id = run->boot_id,
		.entered_ticks = stage_entry_tsc(),
		.left_ticks = stage_rdtsc(),
		.tsc_hz = stage_tsc_hz_known(),
		.in_use = stage_pages_claims(),
	};
}

static void announce(const struct stage_run *run, const struct chain_step *step, const struct chain_prepared *prepared,
		     uint64_t began_ticks)
{
	static const char ways[][8] = {
		[CHAIN_CALL_NATIVE] = "native", [CHAIN_CALL_FIXED] = "fixed", [CHAIN_CALL_SVM] = "svm"
	};
	char digest[CHAIN_DIGEST_TEXT_BYTES];
	bool call = step->kind == CHAIN_STEP_CALL;
	chain_digest_text(&prepared->kernel.digest, digest);
	stage_say(call ? "call" : "boot", "%s  %s  %s, %" PRIu64 " bytes", step->name, step->source,
		  chain_kernel_kind_name(prepared->kind), prepared->kernel.blob.bytes_count);
	stage_record_members(CHAIN_TEXT("event", "step"), CHAIN_TEXT("name", step->name),
			     CHAIN_TEXT("kind", call ? "call" : "boot"), CHAIN_TEXT("source", step->source),
			     CHAIN_TEXT("digest", digest), CHAIN_INT("ticks", (json_int_t)began_ticks),
			     CHAIN_TEXT("called", call ? ways[prepared->way] : NULL),
			     CHAIN_TEXT("instead_of", run->instead_of), CHAIN_INT("retry", (json_int_t)run->retry),
			     CHAIN_INT("retries", (json_int_t)step->retries));
	if (!call || !run->few_records)
		stage_record_handoff(step->name, prepared->handoff_text);
}

static void skip(const struct chain_step *step, const struct chain_prepared *prepared)
{
	char *text = chain_json_text(prepared->unmet, 0, NULL);
	stage_say("skip", "%s  %.200s", step->name, text ? text : "");
	free(text);
	json_t *event = chain_json_object(CHAIN_TEXT("event", "skipped"), CHAIN_TEXT("step", step->name));
	if (event)
		json_object_update(event, prepared->unmet);
	stage_record_event(event);
}

/* --- calls --- */

static enum chain_status call_once(struct stage_run *run, const struct chain_step *step,
				   const struct chain_prepared *prepared, bool *good, struct chain_error *err)
{
	struct stage_call_result got = { 0 };
	struct stage_assigned *assigned;
	const struct stage_callee callee = stage_callee_of(run, step, prepared, chain_prepared_text_bytes(prepared));
	struct stage_call call = {
		.callee = &callee,
		.task = { .handoff = prepared->handoff_text,
			  .handoff_bytes = prepared->handoff_bytes,
			  .args = prepared->args },
		.timeout_us = step->timeout_us,
		.marker = step->expect_console,
	};
	enum chain_status status = stage_devices_give(step, run->net, run->block, &assigned, err);
	call.task.devices = assigned;
	if (!status)
		status = stage_call(&call, &got, err);
	stage_assigned_free(assigned);
	if (status)
		return status;
	struct stage_verdict verdict;
	stage_judge(step, &got, &verdict);
	free(got.mailbox);
	json_t *entry = stage_verdict_entry(&verdict, &got);
	if (!entry && verdict.result) {
		stage_verdict_drop_result(&verdict, &got);
		entry = stage_verdict_entry(&verdict, &got);
	}
	*good = verdict.good;
	stage_verdict_free(&verdict);
	if (!entry || json_object_set_new(run->results, step->name, entry))
		return chain_json_no_memory(err, step->name);
	stage_say("result", "%s  %s%s%s", step->name, stage_verdict_name(verdict.status), verdict.reason[0] ? ": " : "",
		  verdict.reason);
	json_t *event = chain_json_object(CHAIN_TEXT("event", "result"), CHAIN_TEXT("step", step->name));
	if (event && (json_object_update(event, entry) || !stage_fault_add(event, &got, true))) {
		json_decref(event);
		event = NULL;
	}
	stage_record_event(event);
	return CHAIN_OK;
}

/* False: the step has ended, as `out_over` says; it was skipped, or can't be prepared. */
static bool prepare(const struct chain_link *link, const struct chain_step *step, struct chain_prepared *out,
		    enum stage_end *out_over, struct chain_error *err)
{
	*out_over = STAGE_END_FAILED;
	if (chain_step_prepare(link, step, out, err))
		return false;
	if (!out->unmet)
		return true;
	skip(step, out);
	chain_prepared_free(out);
	*out_over = STAGE_END_OK;
	return false;
}

static enum stage_end take_call(struct stage_run *run, const struct chain_step *step, struct chain_error *err)
{
	bool good = false;
	uint64_t retries =
		step->fanout.kind == CHAIN_FANOUT_NONE ? step->retries : 0; /* a fan-out retries single kernels */
	for (uint64_t attempt = 0; !good && attempt <= retries; attempt++) {
		struct chain_link link = this_link(run);
		struct chain_prepared prepared;
		enum stage_end over;
		run->retry = attempt;
		if (!prepare(&link, step, &prepared, &over, err))
			return over;
		announce(run, step, &prepared, link.left_ticks);
		enum chain_status status = step->fanout.kind == CHAIN_FANOUT_NONE ?
						   call_once(run, step, &prepared, &good, err) :
						   stage_run_fanout(run, step, &prepared, &good, err);
		chain_prepared_free(&prepared);
		if (status)
			return STAGE_END_FAILED;
	}
	return good || step->expect == CHAIN_EXPECT_ENTERED ? STAGE_END_OK : STAGE_END_CHILD_FAILED;
}

/* --- boots --- */

/* All of the plan that can fail: what is not in memory yet is read to its places, and the trampoline gets one. */
static enum chain_status get_ready(const struct stage_run *run, const struct chain_plan *plan, struct stage_commit *out,
				   struct chain_error *err)
{
	enum chain_status status = stage_transport_fill(plan, err);
	if (status)
		return status;
	status = stage_commit_prepare(plan, run->sources.bootinfo, stage_pages_claims(), out, err);
	if (status)
		stage_transport_release(plan);
	return status;
}

/* Returns only when the step is skipped, or fails. Nothing is lost until the last two lines. */
static enum stage_end take_boot(struct stage_run *run, const struct chain_step *step, struct chain_error *err)
{
	struct chain_link link = this_link(run);
	struct chain_prepared prepared;
	struct stage_commit commit;
	enum stage_end over;
	run->retry = 0;
	if (!prepare(&link, step, &prepared, &over, err))
		return over;
	if (get_ready(run, &prepared.plan, &commit, err)) {
		chain_prepared_free(&prepared);
		return STAGE_END_FAILED;
	}
	announce(run, step, &prepared, link.left_ticks);
	stage_record_members(CHAIN_TEXT("event", "boot"), CHAIN_TEXT("step", step->name),
			     CHAIN_TEXT("kernel", chain_kernel_kind_name(prepared.kind)),
			     CHAIN_STEAL("expect", chain_step_expect_json(step)),
			     CHAIN_INT("ticks", (json_int_t)stage_rdtsc()),
			     CHAIN_INT("bytes_copied", (json_int_t)prepared.plan.bytes_copied),
			     CHAIN_INT("bytes_in_place", (json_int_t)prepared.plan.bytes_in_place),
			     CHAIN_INT("bytes_free", (json_int_t)stage_pages_unclaimed()));
	stage_devices_quiesce();
	stage_processors_stop();
	stage_commit(&commit);
}

/* --- the pipeline --- */

static _Noreturn void reboot(void)
{
	stage_outb(0xcf9, 0x06); /* reset control register of the chipset: hard reset */
	stage_outb(0x64, 0xfe);  /* keyboard controller: pulse the reset line */
	/* Machines without either (QEMU's microvm) reset on a triple fault, as every PC does. */
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} no_idt = { 0, 0 };
	__asm__ volatile("lidt %0\n\tud2" : : "m"(no_idt));
	stage_halt();
}

/* The handoff as it would go to a next link: with all results in it. False: there is none. */
static bool record_last_handoff(const struct stage_run *run)
{
	struct chain_error err = { 0 };
	json_t *doc;
	struct chain_handoff_input input = {
		.parent = run->parent,
		.config = &run->config,
		.step = &run->config.steps[run->config.step_count - 1],
		.image_sha256 = run->image.header.id,
		.door = run->sources.bootinfo->door,
		.entered_ticks = stage_entry_tsc(),
		.left_ticks = stage_rdtsc(),
		.tsc_hz = stage_tsc_hz_known(),
		.boot_id = run->boot_id,
		.bootinfo = run->sources.bootinfo,
		.net = run->net,
		.block = run->block,
		.results = run->results,
	};
	if (chain_handoff_build(&input, &doc, &err)) {
		stage_report_error(NULL, &err);
		return false;
	}
	if (run->few_records) { /* the rest is what it was begun with */
		json_t *results = json_incref(json_object_get(doc, "results"));
		json_decref(doc);
		doc = chain_json_object(CHAIN_STEAL("results", results));
	}
	stage_record_members(CHAIN_TEXT("event", "handoff"), CHAIN_BOOL("final", 1), CHAIN_STEAL("doc", doc));
	return true;
}

/* `more` ends the record: its reason, or nothing. */
static enum stage_end tell_end(struct stage_run *run, enum stage_end end, const char *more)
{
	static const char *const names[] = { "ok", "child-failed", "failed", "unmet" };
	if (run->config.step_count && !record_last_handoff(run) && end == STAGE_END_OK)
		end = STAGE_END_FAILED;
	const char *name = names[end - STAGE_END_OK];
	stage_devices_quiesce();
	stage_say("end", "%s", name);
	/* The verdict needs no memory. */
	char text[192];
	int count = snprintf(text, sizeof(text), "{\"event\":\"end\",\"status\":\"%s\"%s", name, more);
	if (stage_interrupts_dismissed())
		count += snprintf(text + count, sizeof(text) - (size_t)count, ",\"interrupts\":%" PRIu64,
				  stage_interrupts_dismissed());
	if (stage_tsc_hz_known())
		count += snprintf(text + count, sizeof(text) - (size_t)count, ",\"us\":%" PRIu64, stage_clock_us());
	text[count++] = '}';
	stage_record(text, (uint64_t)count);
	return end;
}

int stage_run_end(struct stage_run *run, enum stage_end end)
{
	return (int)tell_end(run, end, "");
}

static enum stage_end take(struct stage_run *run, const struct chain_step *step)
{
	struct chain_error err = { 0 };
	if (step->kind == CHAIN_STEP_BOOT || step->fanout.kind != CHAIN_FANOUT_NONE)
		stage_call_forget();
	enum stage_end end = step->kind == CHAIN_STEP_CALL ? take_call(run, step, &err) : take_boot(run, step, &err);
	if (end == STAGE_END_OK)
		return end;
	if (err.status)
		stage_report_error(step->name, &err);
	switch (step->on_error) {
	case CHAIN_ON_ERROR_CONTINUE:
		return STAGE_END_OK;
	case CHAIN_ON_ERROR_BOOT:
		stage_say("rescue", "%s failed: %s", step->name, step->fallback->source);
		run->instead_of = step->name;
		return take(run, step->fallback);
	case CHAIN_ON_ERROR_REBOOT:
		stage_say("reboot", "%s failed", step->name);
		tell_end(run, end, ",\"reason\":\"the machine reboots, as on_error says\"");
		reboot();
	case CHAIN_ON_ERROR_HALT:
		break;
	}
	return end;
}

int stage_run_steps(struct stage_run *run)
{
	for (size_t i = 0; i < run->config.step_count; i++) {
		enum stage_end end = take(run, &run->config.steps[i]);
		if (end != STAGE_END_OK)
			return stage_run_end(run, end);
	}
	return stage_run_end(run, STAGE_END_OK);
}
