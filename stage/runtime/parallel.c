/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A called kernel's further processors (abi/native.h), at work on one function at a time.
 *
 * Each is a thread to the C library: what is thread-local (errno) is its own. All else of the C library belongs to the
 * first one; system calls are refused to others where they must be (syscall.c), and the heap has a lock, in kernels
 * that have this file in them. */

#include <kchain.h>

#include "chain/x86_registers.h"
#include "stage/boot.h"
#include "stage/bulk.h"
#include "stage/cpu.h"
#include "stage/malloc.h"
#include "stage/runtime.h"
#include "stage/libc/syscall.h"

#include <stdatomic.h>
#include <stdlib.h>

/* musl, src/env/__init_tls.c: lays thread-local storage out in `memory`, and says where the thread's block is, which FS
 * points to and which begins with its own address; then makes it a thread's. The first thread is started by the same
 * two. */
void *__copy_tls(unsigned char *memory);
int __init_tp(void *block);

enum {
	THREAD_BYTES = 1024, /* for the block, which has about 200, and the table before it */
	SPINS = 64,          /* most wait for no longer */
};

struct region {
	void (*work)(unsigned cpu, void *arg);
	void *arg;
};

static __thread unsigned own_cpu;
static bool in_region;

/* Null: one processor, or a stage that knows nothing of more. */
static const struct kchain_team *team(void)
{
	const struct kchain_call *call = stage_boot.call;
	bool has_team = call->bytes >= offsetof(struct kchain_call, cpus) + sizeof(call->cpus);
	return has_team ? (const struct kchain_team *)call->team : NULL;
}

unsigned kchain_cpus(void)
{
	return team() ? (unsigned)stage_boot.call->cpus : 1;
}

unsigned kchain_processor(void)
{
	if (team())
		return team()->processors[own_cpu];
	return stage_boot.call->processor;
}

/* Where a further processor begins each time. */
static _Noreturn void begin(unsigned cpu, const struct region *region)
{
	extern const uint8_t stage_tls_bytes[], stage_tls_align[];
	size_t room = (size_t)stage_tls_bytes + 2 * (size_t)stage_tls_align + THREAD_BYTES;
	unsigned char *memory = __builtin_alloca(room);
	stage_cpu_restore_syscall();
	stage_zero(memory, room);
	void **block = __copy_tls(memory);
	*block = block;
	stage_wrmsr(MSR_FS_BASE, (uint64_t)block); /* before __init_tp asks for the same: who asks is known by it */
	__init_tp(block);
	own_cpu = cpu;
	region->work(cpu, region->arg);
	stage_service(KCHAIN_SERVICE_DONE, 0, 0);
	__builtin_unreachable();
}

static void join(const struct kchain_team *others)
{
	const _Atomic uint32_t *busy = (const _Atomic uint32_t *)&others->busy;
	for (unsigned spins = 0; atomic_load(busy); spins++) {
		if (spins < SPINS)
			stage_pause();
		else
			stage_wait_for_interrupt(); /* the last one's end is one, also when it comes before this */
	}
}

bool kchain_parallel(void (*work)(unsigned cpu, void *arg), void *arg)
{
	const struct region region = { work, arg };
	const struct kchain_team *others = team();
	if (own_cpu || in_region)
		return false;
	if (others) {
		stage_first_thread = __builtin_thread_pointer();
		(void)stage_fs(); /* from now on it is only read */
		if (stage_service(KCHAIN_SERVICE_START, (uint64_t)begin, (uint64_t)&region))
			return false;
	}
	in_region = true;
	work(0, arg);
	if (others)
		join(others);
	in_region = false;
	return true;
}

/* --- the heap: these take the place of the weak ones in malloc.c --- */

static atomic_bool heap_in_use;

static void lock(void)
{
	while (atomic_exchange(&heap_in_use, true))
		stage_pause();
}

static void *unlock(void *got)
{
	atomic_store(&heap_in_use, false);
	return got;
}

void *malloc(size_t bytes)
{
	lock();
	return unlock(stage_malloc(bytes));
}

void free(void *pointer)
{
	lock();
	stage_free(pointer);
	unlock(NULL);
}

void *calloc(size_t count, size_t bytes)
{
	lock();
	return unlock(stage_calloc(count, bytes));
}

void *realloc(void *pointer, size_t bytes)
{
	lock();
	return unlock(stage_realloc(pointer, bytes));
}

void *aligned_alloc(size_t align, size_t bytes)
{
	lock();
	return unlock(stage_aligned_alloc(align, bytes));
}

void *memalign(size_t align, size_t bytes) __attribute__((alias("aligned_alloc")));
