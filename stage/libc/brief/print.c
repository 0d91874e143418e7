/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The C library's names for it (stage/print.h): the stage has no other printf. */

#include "stage/print.h"

#include <stdio.h>

int vsnprintf(char *restrict to, size_t room, const char *restrict format, va_list args)
{
	return stage_vsnprintf(to, room, format, args);
}
