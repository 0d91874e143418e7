/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What stands in for parts of musl that are larger than an init needs them: it allocates at its beginning and its end,
 * and runs on one thread. The linker takes the first definition that it finds. The integers and vsnprintf are the
 * stage's own (stage/libc/brief). */

#include "stage/cpu.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- memory: one block behind another; the last one is given back when it is freed --- */

enum { UNIT = 16, REGION_BYTES = 256 << 10 };

static char *region, *region_end;
static size_t *last; /* the head, with its bytes, of the block that was allocated last; null: it was freed */

static size_t *head_of(void *block)
{
	return (size_t *)(void *)((char *)block - UNIT);
}

static void *out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t bytes)
{
	if (bytes > PTRDIFF_MAX - 2 * UNIT - REGION_BYTES)
		return out_of_memory();
	size_t whole = (bytes + 2 * UNIT - 1) / UNIT * UNIT;
	if ((size_t)(region_end - region) < whole) {
		size_t more = whole > REGION_BYTES ? whole : REGION_BYTES;
		char *found = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (found == MAP_FAILED)
			return out_of_memory();
		region = found;
		region_end = found + more;
	}
	last = (size_t *)(void *)region;
	*last = whole;
	region += whole;
	return (char *)last + UNIT;
}

void free(void *block)
{
	if (!block || head_of(block) != last)
		return;
	region = (char *)last;
	last = NULL;
}

void *calloc(size_t count, size_t each)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, each, &bytes))
		return out_of_memory();
	void *block = malloc(bytes);
	return block ? memset(block, 0, bytes) : NULL;
}

void *realloc(void *block, size_t bytes)
{
	size_t room = block ? *head_of(block) - UNIT : 0;
	if (block && bytes <= room)
		return block;
	void *other = malloc(bytes);
	if (other && block)
		memcpy(other, block, room);
	return other;
}

/* --- the rest --- */

char *strstr(const char *text, const char *wanted)
{
	size_t bytes = strlen(wanted);
	for (; *text; text++)
		if (!strncmp(text, wanted, bytes))
			return (char *)(uintptr_t)text;
	return bytes ? NULL : (char *)(uintptr_t)text;
}

/* vsnprintf's, for a conversion that it does not know. */
void stage_panic(const char *format, ...)
{
	(void)!write(STDERR_FILENO, format, strlen(format));
	_exit(1);
}
