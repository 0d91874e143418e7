/* The second kernel is booted: the machine is its own, and ends with it. It is told one fact as an argument; all that
 * the links before it found out is in the handoff. */
#include <kchain.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *handoff;
	size_t bytes;

	if (argc < 2 || !kchain_handoff(&handoff, &bytes)) {
		printf("started by something else than the pipeline\n");
		return 1;
	}
	printf("%s primes were found before me, as the handoff's %zu bytes say too\n", argv[1], bytes);
	return 0;
}
