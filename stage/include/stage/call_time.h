/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: when a call's time is up, where the ticker's interrupts watch it. They only say when to look: how much time has
 * passed is the counter's to say, since a virtual processor that its host keeps waiting loses ticks. Must not know:
 * what is called, what is done when the time is up. */
#ifndef STAGE_CALL_TIME_H
#define STAGE_CALL_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct stage_call_time {
	uint64_t timeout_us;   /* 0: somebody else watches the time */
	uint64_t start, ticks; /* TSC at its beginning, and how many ticks of it are the timeout; 0: not yet known */
	volatile bool ticked;  /* set by an interrupt, taken away by a look */
};

/* The call begins now. */
void stage_call_time_begin(struct stage_call_time *time, uint64_t timeout_us);
/* In the ticker's interrupt, whatever it interrupted. */
static inline void stage_call_time_tick(struct stage_call_time *time)
{
	time->ticked = true;
}
/* Whether the time is up; never true between two ticks. The first look after one may measure the counter's rate: not
 * where the ticker interrupted such a measurement. */
bool stage_call_time_is_up(struct stage_call_time *time);

/* Measures the counter's rate if that was not done. It may take the ticker's timer for it, so the ticker is started
 * anew. */
void stage_call_time_need_rate(void);

#endif
