/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the heap that the C library's functions of these names give out (C11 7.22.3): free blocks in bins by size,
 * found by a bitmap, merged with free neighbours at once. musl's own takes four times the room and five times the
 * instructions, for the sake of threads and hardening that a kernel with one thread and no users has no use for. Must
 * not know: where its pages come from (stage/runtime.h). */
#ifndef STAGE_MALLOC_H
#define STAGE_MALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
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

/* A block that one processor, its taker, cuts up while another one has the heap. Its parts stay until stage_free, on
 * either of both, as if they were blocks; they can't be made larger. */
struct stage_pool {
	size_t used, bytes, taken; /* the taker's: bytes of all, with this; parts */
	bool lacking;              /* the taker's: there was not room enough; there is none at all then */
	bool closed;               /* the heap's */
	atomic_size_t freed;       /* parts */
};
/* On the heap's processor. Null: no memory. */
struct stage_pool *stage_pool_make(size_t bytes);
/* On the taker's. Null: there is no room. */
void *stage_pool_take(struct stage_pool *pool, size_t bytes);
/* On the heap's processor, null is taken: nobody takes from it any more, and all that the taker wrote is seen here. Its
 * memory goes with the last part. */
void stage_pool_close(struct stage_pool *pool);

#endif
