/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: time: the time-stamp counter, calibrated when a time is first asked for (10 ms of the 8254's channel 2, or
 * CPUID leaf 0x15 or 0x40000010), deadlines and waiting.
 * Must not know: what is waited for. */
#ifndef STAGE_CLOCK_H
#define STAGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since the first link's entry; since this kernel's own where nothing is known of a first one. */
uint64_t stage_clock_us(void);
/* The same clock at TSC value `ticks`, not before that entry. */
uint64_t stage_clock_us_at(uint64_t ticks);
/* A handoff says when the first link was entered and, if `hz` is not 0, how fast the counter goes. False, and nothing
 * changed: that entry would lie ahead of this one, so the counter is another. A rate that no processor has is ignored.
 */
bool stage_clock_continue(uint64_t first_entry_tsc, uint64_t hz);
/* TSC at this kernel's entry. */
uint64_t stage_entry_tsc(void);

uint64_t stage_tsc_hz(void);       /* calibrates if that was not done */
uint64_t stage_tsc_hz_known(void); /* 0: not calibrated */
uint64_t stage_tsc_hz_reported(
	void); /* known, or the processor or a hypervisor says it; 0: it would have to be measured */

/* How far the TSC gets in `us`; UINT64_MAX: further than it can count. */
uint64_t stage_ticks_of_us(uint64_t us);
/* A deadline is a TSC value. */
uint64_t stage_deadline_after_us(uint64_t us);
bool stage_deadline_passed(uint64_t deadline);
/* Waits for `us` or a little more, halted where a timer can wake the processor. */
void stage_sleep_us(uint64_t us);
/* Between two polls of a device: returns after at most about a millisecond. */
void stage_idle(void);
void stage_clock_idle(void); /* the same where the timer is one's own (stage/runtime/booted.c) */
/* Somebody else may have used the timer and the interrupt controller: both are silent after this, and set up again when
 * they are needed. */
void stage_idle_anew(void);

#endif
