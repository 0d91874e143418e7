/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/call_time.h"

#include "stage/clock.h"
#include "stage/instructions.h"
#include "stage/ticker.h"

void stage_call_time_begin(struct stage_call_time *time, uint64_t timeout_us)
{
	*time = (struct stage_call_time){ .timeout_us = timeout_us, .start = stage_rdtsc() };
}

void stage_call_time_need_rate(void)
{
	if (stage_tsc_hz_known())
		return;
	(void)stage_tsc_hz();
	stage_ticker_start();
}

bool stage_call_time_is_up(struct stage_call_time *time)
{
	if (!time->ticked || !time->timeout_us)
		return false;
	time->ticked = false;
	stage_call_time_need_rate(); /* not before: a call that ends before the first tick does not pay for it */
	if (!time->ticks)
		time->ticks = stage_ticks_of_us(time->timeout_us);
	return stage_rdtsc() - time->start >= time->ticks;
}
