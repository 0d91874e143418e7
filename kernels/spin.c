/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Never ends. With "cli" it turns interrupts off first, with "halt" it halts that way, with "talk" it does nothing but
 * print, with "clock" it asks for the time once before it spins. */

#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	puts("spin: for ever");
	if (!strcmp(how, "cli") || !strcmp(how, "halt"))
		__asm__ volatile("cli");
	if (!strcmp(how, "clock")) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	for (;;) {
		if (!strcmp(how, "halt"))
			__asm__ volatile("hlt");
		if (!strcmp(how, "talk"))
			puts("spin: still here, and printing a line that takes its caller longer to write than us to "
			     "ask for");
		__asm__ volatile("pause" : : : "memory");
	}
}
