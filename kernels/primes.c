/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Counts the primes from FROM up to, but not including, TO: primes FROM TO. All processors that the kernel has take
 * numbers from one counter, so that none waits for another that has the larger ones. Leaves {"primes", "cpus"}. */

#include <kchain.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { AT_ONCE = 256 };

struct job {
	_Atomic uint64_t next;
	uint64_t end;
	_Atomic uint64_t found;
};

static bool is_prime(uint64_t n)
{
	for (uint64_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static void search(unsigned cpu, void *arg)
{
	struct job *job = arg;
	uint64_t found = 0;
	(void)cpu;
	for (uint64_t at; (at = atomic_fetch_add(&job->next, AT_ONCE)) < job->end;)
		for (uint64_t n = at; n < at + AT_ONCE && n < job->end; n++)
			found += is_prime(n);
	job->found += found;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		printf("usage: primes FROM TO\n");
		return 2;
	}
	struct job job = { .next = strtoull(argv[1], NULL, 10), .end = strtoull(argv[2], NULL, 10) };
	char result[64];
	if (!kchain_parallel(search, &job))
		return 1;
	snprintf(result, sizeof(result), "{\"primes\":%" PRIu64 ",\"cpus\":%u}", job.found, kchain_cpus());
	return kchain_result(result) ? 0 : 1;
}
