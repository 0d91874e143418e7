/* A kernel that a pipeline calls: it prints, leaves a result, and returns. */
#include <kchain.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "nobody";
	char result[128];

	printf("hello, %s\n", name);
	snprintf(result, sizeof(result), "{\"greeted\": \"%s\"}", name);
	return kchain_result(result) ? 0 : 1;
}
