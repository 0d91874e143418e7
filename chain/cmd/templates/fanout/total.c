/* Joins: adds up what the kernels of the step in its argument left, as the handoff has it. */
#include <kchain.h>

#include <jansson.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *text;
	char result[64];
	size_t i;
	json_t *part;
	json_int_t primes = 0;

	json_t *handoff = argc > 1 && kchain_handoff(&text, NULL) ? json_loads(text, 0, NULL) : NULL;
	json_t *parts = json_object_get(json_object_get(json_object_get(handoff, "results"), argv[1]), "result");
	json_array_foreach(parts, i, part)
		primes += json_integer_value(json_object_get(part, "primes"));
	printf("%zu kernels found %lld primes\n", json_array_size(parts), (long long)primes);
	snprintf(result, sizeof(result), "{\"primes\": %lld}", (long long)primes);
	return kchain_result(result) ? 0 : 1;
}
