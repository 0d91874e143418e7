/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine's clock of date and time, an MC146818 (its data sheet, "Time, Calendar and Alarm Locations"), which
 * is only read. Must not know: time zones, what the time is wanted for. */
#ifndef STAGE_RTC_H
#define STAGE_RTC_H

#include <stdbool.h>
#include <stdint.h>

enum {
	RTC_INDEX = 0x70,
	RTC_DATA = 0x71,
	RTC_SECOND = 0,
	RTC_MINUTE = 2,
	RTC_HOUR = 4,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_STATUS_A = 0xa,
	RTC_STATUS_B = 0xb,
	RTC_STATUS_C = 0xc,
	RTC_STATUS_D = 0xd,
	RTC_CENTURY = 0x32, /* where nearly all machines have it */
	RTC_UPDATING = 0x80,
	RTC_BINARY = 4,
	RTC_24_HOURS = 2,
};

/* Plain numbers: hours 0 to 23, weekday 1 (Sunday) to 7, day and month from 1, year 0 to 99 of its century. */
struct stage_rtc {
	uint8_t second, minute, hour, weekday, day, month, year;
};

/* What the clock shows; false: there is none, or no date. Bounded: waits for the end of an update, 2 ms, and looks
 * again where another one came in between, four times in all. */
bool stage_rtc_read(struct stage_rtc *out);

/* That many seconds later; of the years 2000 to 2099. */
void stage_rtc_advance(struct stage_rtc *time, uint64_t seconds);

#endif
