/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A native kernel that does one wrong thing, named by its first argument: the tests' way to see that a call ends and the
 * stage lives on. */

#include <kchain.h>

#include "stage/boot.h"
#include "stage/native.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void leave(unsigned char status)
{
	__asm__ volatile("int %0" : : "i"(KCHAIN_SERVICE_VECTOR), "a"(KCHAIN_SERVICE_EXIT), "D"((uint64_t)status) : "memory");
}

/* Writes past what the runtime would allow: straight into the mailbox, as a kernel with a runtime of its own might. */
static int raw_result(const char *text, uint64_t claimed)
{
	struct kchain_call *call = (struct kchain_call *)stage_boot.call;
	memcpy((void *)(uintptr_t)call->mailbox, text, strlen(text));
	call->mailbox_used = claimed;
	leave(0);
	return 1;
}

static int read_null(void) { return *(volatile int *)(uintptr_t)8; }
static int write_stage(void) { return *(volatile int *)(uintptr_t)(KCHAIN_STAGE_VIRT + 0x1000) = 1; }
static int write_text(void) { return *(volatile char *)(uintptr_t)read_null = 0; }
static int write_fs(void) { return *(volatile char *)(uintptr_t)KCHAIN_FS_VIRT = 0; }
static int divide(void)
{
	volatile int zero = 0;
	return 1 / zero;
}
static int wild_jump(void)
{
	void (*volatile nowhere)(void) = (void (*)(void))(uintptr_t)0x123456789abc;
	nowhere();
	return 0;
}
static int bad_instruction(void)
{
	__asm__ volatile("ud2");
	return 0;
}
static int spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}
static int cli_spin(void)
{
	__asm__ volatile("cli");
	return spin();
}
static int halt(void)
{
	for (;;)
		__asm__ volatile("hlt");
}
static int deep(int level)
{
	volatile char room[4096];
	room[0] = (char)level;
	return deep(level + 1) + room[0];
}
static int stack_overflow(void) { return deep(0); }
static int bad_stack(void)
{
	__asm__ volatile("xor %%esp, %%esp; push %%rax" : : : "memory");
	return 0;
}
static int malformed(void) { return raw_result("{\"half\":", 8); }
static int oversized(void) { return raw_result("{}", 1 << 20); }
static int wrapped(void) { return raw_result("{}", UINT64_MAX); }
static int too_large(void)
{
	size_t room = kchain_result_room();
	char *text = malloc(room + 3);
	if (!text)
		return 2;
	memset(text, 'x', room + 2);
	text[0] = text[room + 1] = '"';
	text[room + 2] = '\0';
	return kchain_result(text) ? 1 : kchain_result("{\"refused\":true}") ? 0 : 3;
}
static int exit_seven(void) { return 7; }
static int quiet(void) { return 0; }
static int call_exit(void) { exit(9); }
static int call_abort(void) { abort(); }
static int all_memory(void)
{
	unsigned blocks = 0;
	char result[64];
	for (char *p; (p = malloc(4096)); blocks++)
		p[0] = 1;
	snprintf(result, sizeof(result), "{\"blocks\":%u}", blocks);
	return kchain_result(result) ? 0 : 1;
}

static const struct {
	const char *name;
	int (*act)(void);
} ACTS[] = {
	{ "read-null", read_null }, { "write-stage", write_stage }, { "write-text", write_text }, { "write-fs", write_fs },
	{ "divide", divide }, { "wild-jump", wild_jump }, { "bad-instruction", bad_instruction }, { "spin", spin },
	{ "cli-spin", cli_spin }, { "halt", halt }, { "stack-overflow", stack_overflow }, { "bad-stack", bad_stack },
	{ "malformed", malformed }, { "oversized", oversized }, { "wrapped", wrapped }, { "too-large", too_large },
	{ "exit-seven", exit_seven }, { "quiet", quiet }, { "call-exit", call_exit }, { "call-abort", call_abort },
	{ "all-memory", all_memory },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(ACTS) / sizeof(ACTS[0]); i++)
		for (int word = 0; word < argc; word++)
			if (strcmp(argv[word], ACTS[i].name) == 0)
				return ACTS[i].act();
	printf("misbehave: no such act\n");
	return 64;
}
