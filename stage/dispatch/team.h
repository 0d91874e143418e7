/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the further processors of a worker whose kernels have several ("cpus"): halted in the stage until the kernel's
 * first one starts them, at work in its window, and taken back. Must not know: tasks, results beyond what one of them
 * did. */
#ifndef STAGE_FANOUT_TEAM_H
#define STAGE_FANOUT_TEAM_H

#include "stage/call_run.h"

#include <stdatomic.h>

struct worker;

/* IDLE -> BUSY by the kernel's first processor; BUSY -> IDLE by the member itself, or -> ENDED when it did what ends
 * the kernel. The boot processor sets any of them while the member's processor stands still. */
enum team_state { TEAM_IDLE, TEAM_BUSY, TEAM_ENDED, TEAM_STOP };

struct team_member {
	struct stage_call_run run; /* first: the traps know this much */
	struct team *team;
	uint32_t processor;
	_Atomic uint32_t state;
};

struct team {
	struct worker *worker;
	_Atomic uint32_t *busy;    /* in struct kchain_team: members whose kernel code may still run */
	_Atomic uint32_t ended_by; /* a member that faulted or exited, by its number in the kernel; 0: none. The kernel
				      is over */
	atomic_bool left;          /* the first processor is out of the kernel, and waits for the members */
	atomic_bool writing;       /* one processor at a time hands its text on */
	uint32_t count;
	struct team_member members[]; /* the first is number 1 */
};

/* What a team wants of the boot processor. */
enum team_request {
	TEAM_NOTHING,
	TEAM_END /* the kernel is over by a member's doing */,
	TEAM_MEMBERS /* left, while members run on */
};
enum team_request team_request(const struct team *team);

/* For a worker whose window is made; on its own processor and the `cpus` - 1 behind it. */
enum chain_status team_make(struct worker *worker, uint32_t cpus, struct team **out,
			    struct chain_error *err) CHAIN_MUST_CHECK;

/* On the worker's processor, when the kernel has left it: until no member is in the kernel any more. */
void team_join(struct team *team);

/* On the boot processor. Gives the members' processors, which stand still, to the team. */
void team_give(struct team *team);
/* Takes them back, whatever they do. False: one did not come back. */
bool team_take_back(const struct team *team);
/* What the member that ended the kernel did; without one, that the time was up. The processors stand still. */
struct stage_call_result team_result(const struct team *team);

#endif
