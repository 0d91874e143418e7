/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Goes wrong in the way its last argument names; without one, by a null pointer. Ends well only where nothing caught
 * it. */

#include <kchain.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void null_pointer(void)
{
	volatile uintptr_t address = 8;
	*(volatile int *)address = 1;
}

static void invalid_opcode(void)
{
	__asm__ volatile("ud2");
}

static void divide(void)
{
	volatile int one = 1, zero = 0;
	volatile int quotient = one / zero;
	(void)quotient;
}

static void wild_jump(void)
{
	volatile uintptr_t address = 0x123456789000;
	((void (*)(void))address)();
}

static volatile unsigned depth = UINT32_MAX; /* not known to the compiler to have no end */

static int deeper(volatile char *above, unsigned left)
{
	volatile char room[4096];
	room[0] = *above;
	return left ? deeper(room, left - 1) + room[0] : 0;
}

static void stack_overflow(void)
{
	volatile char start = 0;
	printf("%d\n", deeper(&start, depth));
}

static void write_text(void)
{
	*(volatile char *)(uintptr_t)null_pointer = 0;
}

static void non_canonical(void)
{
	volatile uintptr_t address = (uintptr_t)1 << 63;
	*(volatile int *)address = 1;
}

static const struct {
	const char *name;
	void (*go)(void);
} ways[] = {
	{ "null", null_pointer },       { "ud2", invalid_opcode },   { "div0", divide },
	{ "jump", wild_jump },          { "stack", stack_overflow }, { "text", write_text },
	{ "canonical", non_canonical },
};

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "null";
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(name, ways[i].name) != 0)
			continue;
		printf("fault: %s\n", name);
		ways[i].go();
		printf("fault: %s was not caught\n", name);
		return 0;
	}
	printf("fault: unknown way to fault: %s\n", name);
	return 2;
}
