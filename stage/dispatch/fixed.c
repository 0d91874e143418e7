/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A Multiboot 1 kernel where its addresses say, on a processor of its own (docs/FIXED.md). The processor leaves long
 * mode for it and comes back by INIT only: when the mailbox says that the kernel is done, or its time is up. */

#include "chain/guest.h"
#include "stage/commit.h"
#include "abi/mailbox.h"
#include "stage/pages.h"
#include "stage/processors.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct kchain_mailbox) == KCHAIN_MAILBOX_BYTES, "mailbox");
static_assert((int)KCHAIN_MAILBOX_TEXT_BYTES == (int)STAGE_CALL_MAILBOX_BYTES, "what fits the mailbox can be kept");

struct fixed {
	struct chain_fixed place;
	struct chain_guest guest; /* its memory: the window without its mailbox */
	struct stage_commit commit;
	uint64_t code_phys, code_bytes;
	bool claimed;
};

static void close_fixed(void *ctx)
{
	struct fixed *f = ctx;
	if (!f)
		return;
	stage_pages_free(f->code_phys, f->code_bytes);
	if (f->claimed && chain_claims_remove(stage_pages_claims(), f->place.window, NULL))
		stage_panic("the window at %#llx was not claimed", (unsigned long long)f->place.window.base);
	chain_guest_free(&f->guest);
	free(f);
}

/* The way out of long mode: a booted kernel's, without anything to move. */
static enum chain_status make_code(struct fixed *f, const char *subject, struct chain_error *err)
{
	struct chain_plan enter = f->guest.plan;
	enter.move_count = 0;
	f->code_bytes = stage_commit_bytes(&enter);
	enum chain_status status = stage_pages_take_below(chain_entry_memory_end(enter.entry.mode), f->code_bytes,
							  CHAIN_OWNER_HEAP, subject, &f->code_phys, err);
	if (!status)
		stage_commit_lay_out(&enter, f->code_phys, &f->commit);
	return status;
}

static enum chain_status open_fixed(const struct stage_callee *callee, void **out, struct chain_error *err)
{
	const struct chain_guest_request *guest = &callee->fixed.guest;
	struct fixed *f = calloc(1, sizeof(*f));
	if (!f)
		return chain_fail_no_memory(err, callee->subject, sizeof(*f));
	f->place = *guest->fixed;
	enum chain_status status = chain_fixed_claim(&f->place, stage_pages_claims(), callee->subject, err);
	f->claimed = !status;
	if (!status)
		status = chain_guest_make(guest, &f->guest, err);
	if (!status)
		status = make_code(f, callee->subject, err);
	if (status)
		close_fixed(f);
	else
		*out = f;
	return status;
}

static enum chain_status make(struct worker *w, void *shared, struct chain_error *err)
{
	struct fixed *f = shared;
	(void)err;
	w->guest = f;
	w->window = f->place.window;
	w->private_bytes = f->guest.plan.bytes_copied + f->guest.plan.bytes_zeroed + KCHAIN_MAILBOX_BYTES;
	return CHAIN_OK;
}

static void forget(struct worker *w)
{
	w->window = (struct chain_range){ 0, 0 };
}

static struct kchain_mailbox *mailbox_of(const struct worker *w)
{
	return stage_phys_to_virt(((const struct fixed *)w->guest)->place.mailbox.base);
}

/* Nobody says what the kernel wrote to: all of its memory is made anew. */
static void reset(struct worker *w, const struct stage_call_task *task)
{
	const struct fixed *f = w->guest;
	uint8_t *memory = stage_phys_to_virt(f->guest.base);
	struct kchain_mailbox *mailbox = mailbox_of(w);
	chain_guest_part(&f->guest, f->guest.base, f->guest.memory_bytes, memory);
	/* Texts are written to the room that was made for them. */
	(void)chain_guest_texts(&f->guest, memory, task->handoff, task->handoff_bytes, task->args);
	memset(mailbox, 0, chain_range_bytes(f->place.mailbox));
	mailbox->magic = KCHAIN_MAILBOX_MAGIC;
}

static void run(struct worker *w)
{
	stage_processor_mask();
	stage_commit(&((const struct fixed *)w->guest)->commit);
}

/* On the boot processor, while the kernel runs. */
static bool has_ended(const struct worker *w)
{
	const volatile struct kchain_mailbox *mailbox = mailbox_of(w);
	return mailbox->state != KCHAIN_MAILBOX_OPEN || mailbox->magic != KCHAIN_MAILBOX_MAGIC;
}

static void spoilt(struct stage_call_result *out, const char *what, uint32_t value, const volatile void *where)
{
	out->outcome = STAGE_CALL_FAULTED;
	out->what = what;
	out->address = value;
	out->rip = stage_virt_to_phys((const void *)where);
}

/* On the boot processor, once the kernel's has been stopped. Each number is read once. */
static void conclude(struct worker *w)
{
	const volatile struct kchain_mailbox *mailbox = mailbox_of(w);
	struct stage_call_result *out = &w->run.result;
	uint32_t magic = mailbox->magic, state = mailbox->state, exit_status = mailbox->exit_status;
	*out = (struct stage_call_result){ .outcome = STAGE_CALL_TIMED_OUT };
	if (magic != KCHAIN_MAILBOX_MAGIC) {
		spoilt(out, "its mailbox was overwritten", magic, &mailbox->magic);
	} else if (state == KCHAIN_MAILBOX_DONE) {
		out->outcome = STAGE_CALL_EXITED;
		out->exit = (uint8_t)(exit_status < UINT8_MAX ? exit_status : UINT8_MAX);
		out->mailbox_claimed = mailbox->text_bytes;
	} else if (state != KCHAIN_MAILBOX_OPEN) {
		spoilt(out, "its mailbox has a state that means nothing", state, &mailbox->state);
	}
}

static const char *mailbox_text(const struct worker *w)
{
	uint64_t bytes = w->run.result.mailbox_claimed;
	return bytes && bytes <= KCHAIN_MAILBOX_TEXT_BYTES ? mailbox_of(w)->text : NULL;
}

const struct worker_way worker_fixed = {
	.open = open_fixed,
	.close = close_fixed,
	.make = make,
	.free = forget,
	.reset = reset,
	.run = run,
	.mailbox = mailbox_text,
	.has_ended = has_ended,
	.conclude = conclude,
};
