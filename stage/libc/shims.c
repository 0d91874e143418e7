/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What Debian's static libraries expect of glibc beyond the C library: the checking variants that _FORTIFY_SOURCE calls
 * (Linux Standard Base 5, "__memcpy_chk" and the others). They do check. */

#include "stage/cpu.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void check(size_t count, size_t room)
{
	if (count > room)
		stage_panic("%zu bytes written to a buffer of %zu", count, room);
}

void *__memcpy_chk(void *to, const void *from, size_t count, size_t room);
void *__memcpy_chk(void *to, const void *from, size_t count, size_t room)
{
	check(count, room);
	return memcpy(to, from, count);
}

/* What assert() calls: without stderr and the buffers behind it. */
_Noreturn void __assert_fail(const char *claim, const char *file, int line, const char *function)
{
	stage_panic("%s:%d: %s: %s does not hold", file, line, function, claim);
}

char *__strncpy_chk(char *to, const char *from, size_t count, size_t room);
char *__strncpy_chk(char *to, const char *from, size_t count, size_t room)
{
	check(count, room);
	return strncpy(to, from, count);
}

void *__memset_chk(void *to, int value, size_t count, size_t room);
void *__memset_chk(void *to, int value, size_t count, size_t room)
{
	check(count, room);
	return memset(to, value, count);
}

int __vsnprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, va_list args);
int __vsnprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, va_list args)
{
	(void)flag;
	check(count, room);
	return vsnprintf(to, count, format, args);
}

int __snprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, ...);
int __snprintf_chk(char *to, size_t count, int flag, size_t room, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int written = __vsnprintf_chk(to, count, flag, room, format, args);
	va_end(args);
	return written;
}
