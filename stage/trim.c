/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the libraries refer to and the stage never uses, or uses on short texts only, in a few bytes each instead of musl's
 * kilobytes: the linker takes the first definition that it finds. A native kernel gets the libraries' own. */

#include "stage/cpu.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* jansson's json_loadf refers to it. */
#undef stdin
FILE *const stdin = NULL;

/* runtime/syscall.h: the stage makes no system call that is not in the table. */
extern const char stage_syscall_names[];
extern const size_t stage_syscall_names_bytes;
const char stage_syscall_names[1] = "";
const size_t stage_syscall_names_bytes = sizeof(stage_syscall_names);

/* printf's %m, and what jansson says of a file that it can't read. */
char *strerror(int number)
{
	(void)number;
	static char text[] = "error";
	return text;
}

/* jansson: where its hash tables begin to differ from other machines'. No secret: a document's sender could as well send a longer one. */
extern volatile uint32_t hashtable_seed;
volatile uint32_t hashtable_seed;

void json_object_seed(size_t seed) { hashtable_seed = seed ? (uint32_t)seed : (uint32_t)stage_rdtsc() | 1; }

char *strstr(const char *text, const char *wanted)
{
	size_t bytes = strlen(wanted);
	for (; *text; text++)
		if (!strncmp(text, wanted, bytes))
			return (char *)(uintptr_t)text;
	return bytes ? NULL : (char *)(uintptr_t)text;
}
