/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: numbers that look random and are the same in every run: xorshift64 (Marsaglia 2003). One file of a program
 * includes it. */
#ifndef CHAIN_TESTS_RANDOM_H
#define CHAIN_TESTS_RANDOM_H

#include <stdint.h>

static uint64_t seed = 88172645463325252u;

static inline uint64_t random_next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* From 0 to below - 1; of nothing, 0. */
static inline uint64_t rnd(uint64_t below)
{
	uint64_t next = random_next();
	return below ? next % below : 0;
}

#endif
