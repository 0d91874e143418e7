/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The names of Linux's system calls, in order of their numbers, each with its zero byte; empty where a number has none.
 */

#include "syscall.h"

const char stage_syscall_names[] =
#include "stage/syscall_names.h"
	;
const size_t stage_syscall_names_bytes = sizeof(stage_syscall_names);
