/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a worker: one kernel's turn after another in memory of its own, on processors of its own, and what it tells the
 * boot processor of them. Must not know: where tasks come from, what becomes of results.
 *
 * How a fan-out's processors share the work
 *
 * Tasks. A worker takes the next task itself (stage_fanout_client.take), on its own processor; nobody hands it one, so
 * nobody wakes it for one. When there is none it is done: its processor is parked, and the boot processor gives it back
 * to the worker should there be tasks again. The boot processor may be a worker too.
 *
 * Turns. `state` holds the number of the turn and who it belongs to:
 *
 *     IDLE    -> RUNNING  by the worker: `turn` and `started` are filled in before (release)
 *     RUNNING -> IDLE     by the worker, when the kernel has left its processor (compare-exchange)
 *     RUNNING -> REVOKED  by the boot processor, when the turn has to end (compare-exchange)
 *     REVOKED -> IDLE     by the boot processor, when the worker's processors stand still
 *
 * Whoever makes the first exchange after RUNNING owns the turn, and reports how it ended: each is reported once. The
 * number makes sure that what the boot processor read of a turn (that its time is up) is of the one that it revokes. A
 * worker that finds its turn revoked touches nothing any more and waits for INIT. So INIT comes to a processor that is
 * in a kernel, in a trap of a kernel's, or waits for it: never while it takes a task, clears its window, drives a
 * device on its own account or holds a lock of the stage's.
 *
 * What is reported. Text and turns that ended go through the worker's ring, in order, without a call for each: the boot
 * processor looks at all rings about once a millisecond, or every 10 ms while it runs a kernel itself. It is called
 * when a ring fills up, and when it waits and there is text. For the boot processor's own worker there is no ring.
 *
 * What a kernel left is judged where it ran, if it is good for sure; then its value is reported instead of its text.
 * Values are made in the worker's pool. The boot processor puts a spare one beside it before the worker begins, and
 * again once it has reported a value; the worker takes that when its own is full, which it reports, too: there is
 * nothing in it any more that is not in the ring before.
 *
 * The boot processor's own turn. Its kernel ends when its time is up at a tick (stage/ticker.h), which a native kernel
 * could stop. So others look at it, too, and send a tick that comes without a timer: between two turns of theirs, and
 * one that has no task stays for it instead of being parked.
 *
 * Flags that are set by one side, looked at by the other, and wake it (`waits` of a worker for room, `waits` and
 * `news` of the crew) are sequentially consistent: who is about to halt sets its flag and looks once more, who has
 * news stores them and looks at the flag. */
#ifndef STAGE_FANOUT_WORKER_H
#define STAGE_FANOUT_WORKER_H

#include "ring.h"
#include "stage/call_run.h"
#include "stage/fanout.h"

#include <stdatomic.h>

enum worker_state { WORKER_IDLE, WORKER_RUNNING, WORKER_REVOKED, WORKER_STATES = 4 /* the turn's number above */ };

enum worker_record { WORKER_TEXT = 1, WORKER_DONE, WORKER_POOL };

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
	/* Nothing that a kernel does keeps the ticker's interrupt from the boot processor, should it run there. */
	bool keeps_ticker;
};
extern const struct worker_way worker_native, worker_fixed, worker_svm;

/* What the workers of a fan-out have in common. */
struct crew {
	const struct stage_callee *callee;
	const struct stage_fanout_client *client;
	const struct worker_way *way;
	uint64_t timeout_us;
	atomic_bool news;  /* for the boot processor: to be looked at soon */
	atomic_bool waits; /* the boot processor has nothing to do, and may be halted */
	/* Where a kernel on the boot processor could stop the timer that it is taken back by: its worker, and the one
	 * that has no task and watches it meanwhile, by its processor. Else null; 0: none does. */
	struct worker *_Atomic watched;
	_Atomic uint32_t watcher;
	atomic_bool watcher_called; /* there may be a task for it */
	uint64_t timeout_ticks;
	bool came_back; /* the boot processor's: some kernel has given its processor back by itself */
};

struct worker {
	struct stage_call_run run; /* first: the traps know this much */
	struct crew *crew;
	void *guest;               /* the way's */
	struct team *team;         /* owned; null: the kernels have one processor */
	struct chain_range window; /* physical */
	uint64_t private_bytes;    /* of it, in use when nothing has run yet, without free heap */
	bool wipe;                 /* the window was left in the middle of something */
	uint32_t processor;
	bool lost;   /* the boot processor's: a processor did not come back */
	char *texts; /* owned: the task's, of the callee's text_bytes */
	_Atomic uint32_t state;
	_Atomic uint64_t started; /* TSC when the kernel of a turn that is RUNNING was entered */
	struct stage_fanout_turn turn;
	struct ring
		*ring; /* owned: to the boot processor, which tells its client at once what it tells itself. Null: it
			      is that one's own worker */
	atomic_bool waits;                /* for room in the ring, halted */
	struct stage_pool *pool;          /* owned: the worker's; nullable */
	struct stage_pool *_Atomic spare; /* owned: put there by the boot processor, taken away by the worker */
	bool pooled;                      /* the boot processor's: it is to have pools */
};

static inline struct worker *worker_of(struct stage_call_run *run)
{
	return (struct worker *)((uint8_t *)run - offsetof(struct worker, run));
}

/* On the worker's processor: one turn; false: there is no task. */
bool worker_turn(struct worker *worker);
/* The kernel of the turn that is under way has had its time. */
bool worker_is_overdue(const struct worker *worker);
/* One turn after another until there is no task: what its processor is given to do. */
void worker_main(void *worker);
/* Text of the running kernel; on one of its processors at a time, in traps too. */
void worker_write(struct worker *worker, const char *bytes, uint64_t count);
/* On any processor: the boot processor has a look soon, at once if it waits. */
void worker_call_boot(struct worker *worker);
/* The turn is over: tells how. On the worker's processor, or on the boot processor when that one stands still. */
void worker_tell(struct worker *worker);

/* --- on the boot processor --- */

/* A turn has ended. */
void crew_done(struct crew *crew, const struct stage_fanout_turn *turn);

/* A worker on `processor`, and as many more as the callee asks for; on the boot processor itself where that is 0. It is
 * given nothing yet. Nothing stays claimed after a failure. */
enum chain_status worker_make(struct crew *crew, void *shared, uint32_t processor, struct worker **out,
			      struct chain_error *err) CHAIN_MUST_CHECK;
/* Null is taken. */
void worker_free(struct worker *worker);
/* Its first processor, which is parked, is the worker's until there is no task. */
void worker_give(struct worker *worker);
/* Hands over what the worker reported. False: nothing. */
bool worker_collect(struct worker *worker);
/* The turn that is under way, as `state` said of it, belongs to the boot processor from now on; false: it has ended. */
bool worker_revoke(struct worker *worker, uint32_t state);
/* Of a turn that was revoked: takes the processors away, whatever they do; the turn is reported. `lost`, when one does
 * not come back. */
void worker_take_back(struct worker *worker);
/* All but the first, which is out of the kernel with a result and waits for the others. */
void worker_take_back_members(struct worker *worker);
/* There are no tasks any more, and no turn is under way: its processors are parked when the second returns. */
void worker_stop(struct worker *worker);
void worker_wait_parked(struct worker *worker);

#endif
