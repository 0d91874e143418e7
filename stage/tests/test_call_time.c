/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A call's time on a machine whose ticks come late, or not at all. */

#include "stage/call_time.h"

#include "stage/instructions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define HZ 1000000000ull

static uint64_t now, known_hz;
static unsigned measured, ticker_started;

uint64_t stage_rdtsc(void)
{
	return now;
}
uint64_t stage_tsc_hz_known(void)
{
	return known_hz;
}
uint64_t stage_tsc_hz(void)
{
	measured++;
	now += HZ / 500; /* it takes its time */
	return known_hz = HZ;
}
uint64_t stage_ticks_of_us(uint64_t us)
{
	assert_true(known_hz);
	return us > UINT64_MAX / (HZ / 1000000) ? UINT64_MAX : us * (HZ / 1000000);
}
void stage_ticker_start(void)
{
	ticker_started++;
}

static int begin(void **state)
{
	(void)state;
	now = 123456789;
	known_hz = measured = ticker_started = 0;
	return 0;
}

/* Looks at every step, a tick at every `every`th. Returns how long it took, 0: `most` passed without an end. */
static uint64_t run(uint64_t timeout_us, uint64_t step_us, unsigned every, uint64_t most_us)
{
	struct stage_call_time time;
	uint64_t start = now;
	stage_call_time_begin(&time, timeout_us);
	for (unsigned i = 1; now - start < most_us * 1000; i++) {
		now += step_us * 1000;
		if (i % every == 0)
			stage_call_time_tick(&time);
		if (stage_call_time_is_up(&time))
			return (now - start) / 1000;
		assert_false(stage_call_time_is_up(&time)); /* one look a tick */
	}
	return 0;
}

static void the_time_is_up_when_it_is(void **state)
{
	static const struct {
		uint64_t timeout_us, step_us;
		unsigned every;
	} rows[] = {
		{ 2000000, 10000, 1 },
		{ 2000000, 1000, 10 },
		{ 1, 10000, 1 },
		{ 300000, 10000, 1 },
		{ 9999, 10000, 1 },
		{ 10001, 10000, 1 },
		/* the host was away: of 5 ticks one came, of 50, of 190 */
		{ 2000000, 10000, 5 },
		{ 2000000, 10000, 50 },
		{ 2000000, 10000, 190 },
	};
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t timeout_us = rows[i / 2].timeout_us, between_us = rows[i / 2].step_us * rows[i / 2].every;
		known_hz = i % 2 ? HZ : 0;
		uint64_t took_us =
			run(timeout_us, rows[i / 2].step_us, rows[i / 2].every, 3 * timeout_us + between_us + 10000);
		assert_true(took_us >= timeout_us && took_us <= timeout_us + between_us + 2000);
	}
}

static void without_a_tick_nobody_looks(void **state)
{
	(void)state;
	known_hz = HZ;
	assert_int_equal(run(1000, 100, 100000, 100000), 0);
	assert_int_equal(measured, 0);
}

static void somebody_else_watches(void **state)
{
	(void)state;
	assert_int_equal(run(0, 10000, 1, 10000000), 0);
	assert_int_equal(measured, 0);
}

/* A measurement may have used the ticker's timer: it goes on ticking. Where the rate was known nothing is touched. */
static void the_rate_is_measured_once_and_only_by_who_needs_it(void **state)
{
	(void)state;
	struct stage_call_time time;
	stage_call_time_begin(&time, 50000);
	assert_false(stage_call_time_is_up(&time));
	assert_int_equal(measured, 0);
	stage_call_time_tick(&time);
	assert_false(stage_call_time_is_up(&time));
	assert_int_equal(measured, 1);
	assert_int_equal(ticker_started, 1);
	stage_call_time_tick(&time);
	assert_false(stage_call_time_is_up(&time));
	stage_call_time_need_rate();
	assert_int_equal(measured, 1);
	assert_int_equal(ticker_started, 1);
}

static void no_time_is_too_long(void **state)
{
	static const uint64_t timeouts[] = { UINT64_MAX, UINT64_MAX / 1000, UINT64_MAX / 2000 };
	(void)state;
	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
		assert_int_equal(run(timeouts[i], 3600ull * 1000000, 1, 100ull * 3600 * 1000000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_time_is_up_when_it_is, begin),
		cmocka_unit_test_setup(without_a_tick_nobody_looks, begin),
		cmocka_unit_test_setup(somebody_else_watches, begin),
		cmocka_unit_test_setup(the_rate_is_measured_once_and_only_by_who_needs_it, begin),
		cmocka_unit_test_setup(no_time_is_too_long, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
