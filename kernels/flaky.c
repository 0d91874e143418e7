/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A kernel of a fan-out that goes wrong on purpose, foreseeably: flaky EVERY ATTEMPT. Of each EVERY kernels one fails
 * in its first attempt, each time in another way; of these, one in ten fails always. All others leave {"index": N}. */

#include <kchain.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fault(void)
{
	*(volatile int *)(volatile uintptr_t){ 8 } = 1;
}

static void jump(void)
{
	volatile uintptr_t address = 0x123456789000;
	((void (*)(void))address)();
}

static void overflow(void)
{
	uintptr_t stack;
	__asm__("mov %%rsp, %0" : "=r"(stack));
	*(volatile int *)(stack - 64 * 1024) = 1; /* beyond the page below the stack, or in it */
	__asm__ volatile("1: push %%rax\n\tjmp 1b" : : : "memory");
}

static void hang(void)
{
	for (;;)
		__asm__ volatile("cli\n\tpause" : : : "memory");
}

static void malformed(void)
{
	kchain_result("{\"index\": ");
	exit(0);
}

static void status(void)
{
	exit(3);
}

int main(int argc, char **argv)
{
	static void (*const ways[])(void) = { fault, jump, overflow, malformed, status, hang };
	unsigned every = argc > 1 ? (unsigned)atoi(argv[1]) : 20, attempt = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	unsigned index = kchain_index(), turn = index / (every ? every : 1);
	if (every && index % every == every - 1 && (!attempt || turn % 10 == 9))
		ways[turn % (sizeof(ways) / sizeof(ways[0]))]();
	char result[32];
	snprintf(result, sizeof(result), "{\"index\":%u}", index);
	return kchain_result(result) ? 0 : 1;
}
