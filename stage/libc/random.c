/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/random.h"

#include "stage/instructions.h"

#include <string.h>

static bool from_processor(uint64_t *out)
{
	enum { RDRAND = 1 << 30, TRIES = 10 };
	if (!(stage_cpuid(1, 0).c & RDRAND))
		return false;
	for (int i = 0; i < TRIES; i++) { /* Intel SDM 1, section 7.3.17 */
		if (stage_rdrand(out))
			return true;
	}
	return false;
}

/* splitmix64 over the time-stamp counter. */
static uint64_t from_time(void)
{
	static uint64_t state;
	uint64_t z = state += stage_rdtsc() ^ 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void stage_random_fill(void *buf, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		uint64_t word;
		if (!from_processor(&word))
			word = from_time();
		memcpy((char *)buf + at, &word, bytes - at < sizeof(word) ? bytes - at : sizeof(word));
	}
}
