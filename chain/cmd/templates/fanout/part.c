/* One of many: each of these kernels, side by side on the machine's processors, counts the primes of its own 1024
 * numbers. */
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
	unsigned long first = argc > 1 ? 1024 * strtoul(argv[1], NULL, 10) : 0, found = 0;
	char result[64];

	for (unsigned long n = first; n < first + 1024; n++)
		found += is_prime(n);
	snprintf(result, sizeof(result), "{\"primes\": %lu}", found);
	return kchain_result(result) ? 0 : 1;
}
