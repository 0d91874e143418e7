/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The smallest native kernel worth copying: `kchain run` boots it, a pipeline's "call" calls it. */

#include <kchain.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "world";
	char result[128];

	printf("hello, %s: this kernel was %s\n", name, kchain_is_called() ? "called" : "booted");
	snprintf(result, sizeof(result), "{\"greeted\": \"%s\"}", name);
	return kchain_result(result) ? 0 : 1;
}
