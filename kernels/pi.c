/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A piece of a Monte-Carlo estimate: pi SEED PIECE POINTS throws so many points at a square, and leaves how many fell
 * into the circle. Each piece of each seed has a sequence of its own, the same each time. */

#include <kchain.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Both coordinates have 32 bits, so nothing is rounded: outside means that the sum of the squares overflows. */
static bool is_inside(uint64_t point)
{
	const uint64_t x = point >> 32, y = point & UINT32_MAX;
	uint64_t sum;
	return !__builtin_add_overflow(x * x, y * y, &sum);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		printf("usage: pi SEED PIECE POINTS\n");
		return 2;
	}
	const uint64_t points = strtoull(argv[3], NULL, 10);
	uint64_t state = strtoull(argv[1], NULL, 10) + strtoull(argv[2], NULL, 10) * 0xd1342543de82ef95, inside = 0;
	char result[80];
	for (uint64_t i = 0; i < points; i++)
		inside += is_inside(next(&state));
	snprintf(result, sizeof(result), "{\"inside\":%" PRIu64 ",\"points\":%" PRIu64 "}", inside, points);
	return kchain_result(result) ? 0 : 1;
}
