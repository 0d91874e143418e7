/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the boot processor and one worker share: entries to be worked off in turn, and the kernels' text.
 * Must not know: where tasks come from. */
#ifndef STAGE_FANOUT_WORKER_H
#define STAGE_FANOUT_WORKER_H

#include "stage/call_run.h"
#include "stage/fanout.h"

#include <stdatomic.h>

enum {
	WORKER_ENTRIES = 4,       /* a power of two: one being worked off, the others waiting */
	WORKER_TEXT_BYTES = 8192, /* a power of two */
};

enum worker_state { ENTRY_EMPTY, ENTRY_READY, ENTRY_RUNNING, ENTRY_DONE };

/* EMPTY -> READY by the boot processor, READY -> RUNNING -> DONE by the worker, DONE -> EMPTY by the boot processor.
 * Who makes the next change owns the rest. A READY one may be taken back to EMPTY. */
struct worker_entry {
	_Atomic uint32_t state;
	struct stage_fanout_turn turn;
	_Atomic uint64_t started; /* TSC when the kernel was entered; 0: not yet */
	char *texts;              /* handoff, then the terminated arguments */
	uint64_t handoff_bytes;
	char *mailbox; /* STAGE_CALL_MAILBOX_BYTES */
};

struct team;
struct worker;

/* How a kernel is run on a worker's processor: one row for each enum chain_call_way. */
struct worker_way {
	/* What all workers of a fan-out share, made before them and given back after them (null is taken). */
	enum chain_status (*open)(const struct stage_callee *callee, void **out_shared, struct chain_error *err);
	void (*close)(void *shared);
	/* The worker's memory: fills in `window` and `private_bytes`. Nothing stays claimed after a failure. */
	enum chain_status (*make)(struct worker *w, void *shared, struct chain_error *err);
	void (*free)(struct worker *w);
	/* These three on the worker's processor. The memory as it is before a kernel runs, with the task's own texts;
	 * wholly anew where `wipe` is set, else only what was written to. */
	void (*reset)(struct worker *w, const struct stage_call_task *task);
	/* Until the kernel ends; fills in run.result. */
	void (*run)(struct worker *w);
	/* What the kernel left, as many bytes as run.result.mailbox_claimed says; null: nothing, or more than there is
	 * room for. */
	const char *(*mailbox)(const struct worker *w);
	/* Null, unless `run` does not return: then there is one worker, never on the boot processor, which asks while
	 * it runs, and takes its processor away. */
	bool (*has_ended)(const struct worker *w);
	/* Null, or what there is to say of a kernel that was taken back, in run.result and by worker_write: on the boot
	 * processor, its own stands still. */
	void (*conclude)(struct worker *w);
};
extern const struct worker_way worker_native, worker_fixed, worker_svm;

struct worker {
	struct stage_call_run run;
	const struct worker_way *way;
	void *guest;               /* the way's */
	struct team *team;         /* owned; null: the kernels have one processor */
	struct chain_range window; /* physical */
	uint64_t private_bytes;    /* of it, in use when nothing has run yet, without free heap */
	bool wipe;                 /* the window was left in the middle of something */
	const struct stage_callee *callee;
	uint64_t timeout_us;
	struct worker_entry entries[WORKER_ENTRIES];
	uint32_t at; /* the worker's: which entry is next. Entries are numbered on and on, modulo WORKER_ENTRIES */
	uint32_t fill, collected; /* the boot processor's: which is filled next, which is collected next */
	uint32_t processor;
	bool lost;
	atomic_bool stop, waits;
	atomic_bool *boot_waits;
	/* Text: kernel index, count, bytes; written by the worker, read by the boot processor. */
	_Atomic uint64_t text_written, text_read;
	uint8_t text[WORKER_TEXT_BYTES];
	/* Where the boot processor is its own worker, text goes straight there. */
	const struct stage_fanout_client *direct;
};

static inline struct worker *worker_of(struct stage_call_run *run)
{
	return (struct worker *)((uint8_t *)run - offsetof(struct worker, run));
}

/* `direct`: where the boot processor is its own worker, who gets the text; else null. */
void worker_prepare(struct worker *worker, const struct stage_fanout_client *direct);
/* On the worker's processor, until `stop`. */
void worker_main(void *worker);
/* One READY entry, if there is one. */
bool worker_turn(struct worker *worker);
/* Its run is over: keeps what run.result says of it, and the mailbox, in the entry. */
void worker_keep(struct worker *worker, struct worker_entry *entry);
/* Text of the running kernel; on one of its processors at a time. */
void worker_write(struct worker *worker, const char *bytes, uint64_t count);
/* On any processor: the boot processor has a look, if it was waiting. */
void worker_call_boot(struct worker *worker);

/* On the boot processor. */
static inline struct worker_entry *worker_entry(struct worker *w, uint32_t sequence)
{
	return &w->entries[sequence % WORKER_ENTRIES];
}
static inline uint32_t worker_state_of(const struct worker_entry *e)
{
	return atomic_load_explicit(&e->state, memory_order_acquire);
}
/* Its processors, which stand still, begin to work for it. */
void worker_give(struct worker *worker);
/* Takes them away, whatever they do, and gives them to it anew; the turn that was under way is over, its text handed
 * over. `lost`, when one does not come back. */
void worker_take_back(struct worker *worker, const struct stage_fanout_client *client);
/* All but the first, which is out of the kernel with a result and waits for the others. */
void worker_take_back_members(struct worker *worker, const struct stage_fanout_client *client);
/* It has nothing to do and is to have nothing more; its processors are parked when the second returns. */
void worker_stop(struct worker *worker);
void worker_wait_parked(struct worker *worker);
/* Null is taken. */
void worker_free(struct worker *worker);
/* Hands over all text so far. */
void worker_drain(struct worker *worker, const struct stage_fanout_client *client);

#endif
