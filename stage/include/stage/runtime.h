/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the C library stands on: system calls, the heap's pages, open files, the end of the program.
 * Must not know: what the program does. */
#ifndef STAGE_RUNTIME_H
#define STAGE_RUNTIME_H

#include "chain/error.h"
#include "fs/fs.h"

#include <stdbool.h>

/* The filesystem that fopen reads: the image's own, or the caller's. Null when there is none or it was refused. */
const struct fs *stage_fs(void);

/* Zeroed pages for the C library; null: none left. */
void *stage_heap_map(uint64_t bytes);
bool stage_heap_unmap(void *virt, uint64_t bytes);
/* Gives the heap memory to begin with. Page-aligned. `zero`: it is zero, and need not be cleared again. */
void stage_heap_add(void *virt, uint64_t bytes, bool zero);

enum { STAGE_EXIT_FAULT = 134 }; /* as a shell reports SIGABRT */

/* Ends the program. Booted: a record {"event":"exit","status":N}, QEMU's isa-debug-exit, power-off, else halt. Called:
 * back to the caller with the mailbox as it is. `status` 0 to 255. */
_Noreturn void stage_exit(int status);

enum { STAGE_RESULT_MAX = 64 * 1024 }; /* of a booted kernel */
/* Result of a called kernel: copied to the mailbox. False when it does not fit. Booted: kept, and recorded at the exit.
 */
bool stage_result_set(const char *json, uint64_t bytes);

/* Text for the report of a fault: who faulted. Borrowed. */
void stage_set_name(const char *name);
const char *stage_name(void);

#endif
