/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the heap that the C library's functions of these names give out (C11 7.22.3): free blocks in bins by size,
 * found by a bitmap, merged with free neighbours at once. musl's own takes four times the room and five times the
 * instructions, for the sake of threads and hardening that a kernel with one thread and no users has no use for. Must
 * not know: where its pages come from (stage/runtime.h). */
#ifndef STAGE_MALLOC_H
#define STAGE_MALLOC_H

#include <stddef.h>

/* Aligned to 16. Null with errno ENOMEM: no memory. A pointer that was not given out, or was freed, ends the program.
 */
void *stage_malloc(size_t bytes);
void stage_free(void *at);
void *stage_calloc(size_t count, size_t bytes);
void *stage_realloc(void *at, size_t bytes);
/* `align` a power of two. */
void *stage_aligned_alloc(size_t align, size_t bytes);
size_t stage_malloc_usable_size(void *at);

#endif
