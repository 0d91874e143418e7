/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the libraries refer to and the stage never uses, or uses on short texts only, in a few bytes each instead of
 * musl's kilobytes: the linker takes the first definition that it finds. A native kernel gets the libraries' own. */

#include "stage/cpu.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#if KCHAIN_STAGE /* the host's test has the host's */
/* jansson's json_loadf refers to it. */
#undef stdin
FILE *const stdin = NULL;
#endif

/* runtime/syscall.h: the stage makes no system call that is not in the table. */
extern const char stage_syscall_names[];
extern const size_t stage_syscall_names_bytes;
const char stage_syscall_names[1] = "";
const size_t stage_syscall_names_bytes = sizeof(stage_syscall_names);

/* What the runtime's system calls fail with; any other by its number. */
char *strerror(int number)
{
	static const struct {
		uint8_t number;
		char text[22];
	} rows[] = {
		{ 0, "no error" },
		{ ENOENT, "no such file" },
		{ EIO, "input or output error" },
		{ EBADF, "file is not open" },
		{ ENOMEM, "out of memory" },
		{ ENOTDIR, "not a directory" },
		{ EISDIR, "is a directory" },
		{ EINVAL, "invalid argument" },
		{ EMFILE, "too many open files" },
		{ ENOTTY, "not a terminal" },
		{ ESPIPE, "not seekable" },
		{ EROFS, "read-only file system" },
		{ ERANGE, "out of range" },
		{ ENAMETOOLONG, "name too long" },
		{ ENOSYS, "no such system call" },
		{ ELOOP, "too many links" },
	};
	static char other[] = "error -2147483648";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number == number)
			return (char *)(uintptr_t)rows[i].text;
	snprintf(other, sizeof(other), "error %d", number);
	return other;
}

/* jansson: where its hash tables begin to differ from other machines'. No secret: a document's sender could as well
 * send a longer one. */
extern volatile uint32_t hashtable_seed;
volatile uint32_t hashtable_seed;

void json_object_seed(size_t seed)
{
	hashtable_seed = seed ? (uint32_t)seed : (uint32_t)stage_rdtsc() | 1;
}

char *strstr(const char *text, const char *wanted)
{
	size_t bytes = strlen(wanted);
	for (; *text; text++)
		if (!strncmp(text, wanted, bytes))
			return (char *)(uintptr_t)text;
	return bytes ? NULL : (char *)(uintptr_t)text;
}
