/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: printf into a buffer for texts without floating point and wide characters, for which musl's takes eleven
 * kilobytes and more. The stage has no other; a native kernel's runtime uses it too, so that only a kernel which prints
 * by itself has musl's. Must not know: where texts go. */
#ifndef STAGE_PRINT_H
#define STAGE_PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* As C11 7.21.6.5 and 7.21.6.12 say it, for the conversions d i u x X c s p %; another one is a panic, rather than a
 * text being wrong. */
int stage_snprintf(char *restrict to, size_t room, const char *restrict format, ...)
	__attribute__((format(printf, 3, 4)));
int stage_vsnprintf(char *restrict to, size_t room, const char *restrict format, va_list args)
	__attribute__((format(printf, 3, 0)));

#endif
