/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/rtc.h"

#include "stage/instructions.h"

#include <string.h>

static uint8_t read_register(uint8_t index)
{
	stage_outb(RTC_INDEX, index);
	return stage_inb(RTC_DATA);
}

static uint8_t days_of(const struct stage_rtc *t)
{
	if (t->month == 2)
		return t->year % 4 ? 28 : 29;
	return t->month == 4 || t->month == 6 || t->month == 9 || t->month == 11 ? 30 : 31;
}

static uint8_t plain(uint8_t value, uint8_t status)
{
	return status & RTC_BINARY ? value : (uint8_t)((value >> 4) * 10 + (value & 15));
}

static bool read_once(struct stage_rtc *out)
{
	/* An update takes 2 ms; a read of a port takes more than 100 ns. */
	enum { POLLS_MAX = 20000, AFTERNOON = 0x80, NOBODY = 0xff };
	uint32_t polls = 0;
	uint8_t status;
	while ((status = read_register(RTC_STATUS_A)) & RTC_UPDATING)
		if (status == NOBODY || ++polls == POLLS_MAX)
			return false;
	status = read_register(RTC_STATUS_B);
	uint8_t hour = read_register(RTC_HOUR);
	*out = (struct stage_rtc){
		.second = plain(read_register(RTC_SECOND), status),
		.minute = plain(read_register(RTC_MINUTE), status),
		.hour = plain(status & RTC_24_HOURS ? hour : hour & (uint8_t)~AFTERNOON, status),
		.weekday = plain(read_register(RTC_WEEKDAY), status),
		.day = plain(read_register(RTC_DAY), status),
		.month = plain(read_register(RTC_MONTH), status),
		.year = plain(read_register(RTC_YEAR), status),
	};
	if (!(status & RTC_24_HOURS))
		out->hour = (uint8_t)(out->hour % 12 + (hour & AFTERNOON ? 12 : 0));
	return out->second < 60 && out->minute < 60 && out->hour < 24 && out->month >= 1 && out->month <= 12 &&
	       out->year < 100 && out->day >= 1 && out->day <= days_of(out);
}

/* Another update may begin in the middle, where this processor was away so long: what two looks agree on is right. */
bool stage_rtc_read(struct stage_rtc *out)
{
	enum { LOOKS_MAX = 4 };
	struct stage_rtc before;
	bool good = read_once(out);
	for (int i = 1; good && i < LOOKS_MAX; i++) {
		before = *out;
		good = read_once(out);
		if (good && memcmp(&before, out, sizeof(before)) == 0)
			return true;
	}
	return false;
}

static void next_day(struct stage_rtc *t)
{
	t->weekday = (uint8_t)(t->weekday % 7 + 1);
	if (t->day++ < days_of(t))
		return;
	t->day = 1;
	if (t->month++ < 12)
		return;
	t->month = 1;
	t->year = (uint8_t)((t->year + 1) % 100);
}

void stage_rtc_advance(struct stage_rtc *t, uint64_t seconds)
{
	uint64_t carry = t->second + seconds;
	t->second = (uint8_t)(carry % 60);
	carry = t->minute + carry / 60;
	t->minute = (uint8_t)(carry % 60);
	carry = t->hour + carry / 60;
	t->hour = (uint8_t)(carry % 24);
	for (carry /= 24; carry; carry--)
		next_day(t);
}
