/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* For a stage that no image has: linked in front of its allocators (ld's --wrap), it counts what is asked for and, as
 * the kernel's command line says, gives nothing:
 *   fail_alloc=N      the N-th time, from 1
 *   fail_alloc=N-     from the N-th time on
 *   fail_alloc=trace  never; a record of each says who asked
 * The count is a record at the end. qemu-tests/test_alloc.py goes through them. */
#include "chain/multiboot1_format.h"
#include "stage/boot.h"
#include "stage/commit.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t asked, first = UINT64_MAX, last;
static bool known, trace;

static void read_command_line(void)
{
	const struct multiboot_info *info = stage_phys_to_virt(stage_boot.info_phys);
	const char *text = info->flags & MULTIBOOT_INFO_CMDLINE ? stage_phys_to_virt(info->cmdline) : "";
	char *end;
	known = true;
	text = strstr(text, "fail_alloc=");
	if (!text)
		return;
	text = strchr(text, '=') + 1;
	trace = *text == 't';
	uint64_t number = strtoull(text, &end, 10);
	if (!number)
		return;
	first = number;
	last = *end == '-' ? UINT64_MAX : number;
}

/* The eight nearest return addresses, more or less: words on the stack that point into the text. */
static uint64_t who(void)
{
	extern const uint8_t stage_boot_text_end[];
	const uint64_t *word = __builtin_frame_address(0);
	uint64_t sum = 0;
	for (unsigned i = 0, seen = 0; i < 96 && seen < 8; i++) {
		if (word[i] < (uint64_t)stage_image_start || word[i] >= (uint64_t)stage_boot_text_end)
			continue;
		sum = (sum ^ (word[i] - (uint64_t)stage_image_start)) * 0x9e3779b97f4a7c15;
		seen++;
	}
	return sum;
}

static bool fails(const char *what)
{
	if (!known)
		read_command_line();
	uint64_t number = __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
	if (trace) {
		char record[96];
		int count = snprintf(record, sizeof(record), "{\"event\":\"alloc\",\"what\":\"%s\",\"who\":\"%llx\"}",
				     what, (unsigned long long)who());
		stage_record(record, (uint64_t)count);
	}
	return number >= first && number <= last;
}

static void report(void)
{
	char record[64];
	int count = snprintf(record, sizeof(record), "{\"event\":\"allocations\",\"count\":%llu}",
			     (unsigned long long)asked);
	stage_record(record, (uint64_t)count);
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
	return fails("malloc") ? NULL : __real_malloc(bytes);
}

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails("calloc") ? NULL : __real_calloc(count, bytes);
}

void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes)
{
	return fails("realloc") ? NULL : __real_realloc(old, bytes);
}

uint64_t __real_stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner);
uint64_t __wrap_stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner);
uint64_t __wrap_stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	return fails("pages") ? 0 : __real_stage_pages_alloc(bytes, align, owner);
}

void *__real_stage_heap_map(uint64_t bytes);
void *__wrap_stage_heap_map(uint64_t bytes);
void *__wrap_stage_heap_map(uint64_t bytes)
{
	return fails("heap") ? NULL : __real_stage_heap_map(bytes);
}

_Noreturn void __real_stage_exit(int status);
_Noreturn void __wrap_stage_exit(int status);
_Noreturn void __wrap_stage_exit(int status)
{
	report();
	__real_stage_exit(status);
}

_Noreturn void __real_stage_commit(const struct stage_commit *commit);
_Noreturn void __wrap_stage_commit(const struct stage_commit *commit);
_Noreturn void __wrap_stage_commit(const struct stage_commit *commit)
{
	if (!stage_cpu()->index) /* another processor's is given away for a call only */
		report();
	__real_stage_commit(commit);
}
