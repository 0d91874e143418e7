/* The first kernel is called. What it leaves as its result, the second one is told. */
#include <kchain.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_prime(unsigned long n)
{
	for (unsigned long d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

int main(int argc, char **argv)
{
	unsigned long end = argc > 1 ? strtoul(argv[1], NULL, 10) : 100, found = 0;
	char result[64];

	for (unsigned long n = 0; n < end; n++)
		found += is_prime(n);
	snprintf(result, sizeof(result), "{\"primes\": %lu}", found);
	return kchain_result(result) ? 0 : 1;
}
