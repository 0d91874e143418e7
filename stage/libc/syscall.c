/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The table of system calls that the C library finds here. */

#include "syscall.h"

#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/packed_names.h"
#include "stage/print.h"
#include "stage/random.h"
#include "stage/runtime.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

static int64_t sys_mmap(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	if (!(a[3] & MAP_ANONYMOUS) || (a[3] & MAP_FIXED))
		return -EINVAL; /* no file is ever mapped, and addresses are ours to choose */
	void *got = stage_heap_map(a[1]);
	return got ? (int64_t)got : -ENOMEM;
}

static int64_t sys_munmap(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return stage_heap_unmap((void *)a[0], a[1]) ? 0 : -EINVAL;
}

/* There is no break: malloc then takes its own bookkeeping from mmap. */
static int64_t sys_brk(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	(void)a;
	return 0;
}

static int64_t succeed(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	(void)a;
	return 0;
}

static int64_t one(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	(void)a;
	return 1;
}

/* malloc copies where growing in place fails. */
static int64_t sys_mremap(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	(void)a;
	return -ENOMEM;
}

/* Every clock counts from the chain's beginning: a machine without a battery-backed clock we trust has no date. */
static int64_t sys_clock_gettime(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct timespec *out = (struct timespec *)a[1];
	uint64_t us = stage_clock_us();
	out->tv_sec = (time_t)(us / 1000000);
	out->tv_nsec = (long)(us % 1000000) * 1000;
	return 0;
}

static int64_t sleep_for(const struct timespec *t)
{
	if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec > 999999999)
		return -EINVAL;
	uint64_t us;
	if (__builtin_mul_overflow((uint64_t)t->tv_sec, 1000000, &us) ||
	    __builtin_add_overflow(us, (uint64_t)t->tv_nsec / 1000, &us))
		us = UINT64_MAX;
	stage_sleep_us(us);
	return 0;
}

static int64_t sys_nanosleep(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return sleep_for((const struct timespec *)a[0]);
}

static int64_t sys_clock_nanosleep(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return a[1] ? -EINVAL : sleep_for((const struct timespec *)a[2]); /* relative only */
}

static int64_t sys_getrandom(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	stage_random_fill((void *)a[0], a[1]);
	return (int64_t)a[1];
}

static int64_t sys_getcwd(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	if (a[1] < 2)
		return -ERANGE;
	((char *)a[0])[0] = '/';
	((char *)a[0])[1] = '\0';
	return 2;
}

static const struct row {
	uint16_t number;
	stage_syscall_fn *handle;
} rows[] = {
	/* by number; the page of Linux man-pages that says what each does */
	{ SYS_read, stage_sys_read },                       /* read(2) */
	{ SYS_write, stage_sys_write },                     /* write(2) */
	{ SYS_open, stage_sys_open },                       /* open(2) */
	{ SYS_close, stage_sys_close },                     /* close(2) */
	{ SYS_stat, stage_sys_stat },                       /* stat(2) */
	{ SYS_fstat, stage_sys_fstat },                     /* fstat(2) */
	{ SYS_lstat, stage_sys_lstat },                     /* lstat(2) */
	{ SYS_lseek, stage_sys_lseek },                     /* lseek(2) */
	{ SYS_mmap, sys_mmap },                             /* mmap(2) */
	{ SYS_mprotect, succeed },                          /* mprotect(2): all of the heap is readable and writable */
	{ SYS_munmap, sys_munmap },                         /* munmap(2) */
	{ SYS_brk, sys_brk },                               /* brk(2) */
	{ SYS_rt_sigaction, succeed },                      /* sigaction(2): no signal is ever sent */
	{ SYS_rt_sigprocmask, succeed },                    /* sigprocmask(2) */
	{ SYS_ioctl, stage_sys_ioctl },                     /* ioctl(2) */
	{ SYS_pread64, stage_sys_pread64 },                 /* pread(2) */
	{ SYS_readv, stage_sys_readv },                     /* readv(2) */
	{ SYS_writev, stage_sys_writev },                   /* writev(2) */
	{ SYS_access, stage_sys_access },                   /* access(2) */
	{ SYS_mremap, sys_mremap },                         /* mremap(2) */
	{ SYS_madvise, succeed },                           /* madvise(2) */
	{ SYS_nanosleep, sys_nanosleep },                   /* nanosleep(2) */
	{ SYS_getpid, one },                                /* getpid(2) */
	{ SYS_exit, stage_sys_exit },                       /* _exit(2) */
	{ SYS_fcntl, stage_sys_fcntl },                     /* fcntl(2) */
	{ SYS_getcwd, sys_getcwd },                         /* getcwd(2) */
	{ SYS_readlink, stage_sys_readlink },               /* readlink(2) */
	{ SYS_getuid, succeed },                            /* getuid(2) */
	{ SYS_arch_prctl, stage_sys_arch_prctl },           /* arch_prctl(2) */
	{ SYS_gettid, one },                                /* gettid(2) */
	{ SYS_futex, succeed },                             /* futex(2): one thread, so nobody waits */
	{ SYS_getdents64, stage_sys_getdents64 },           /* getdents64(2) */
	{ SYS_set_tid_address, stage_sys_set_tid_address }, /* set_tid_address(2) */
	{ SYS_clock_gettime, sys_clock_gettime },           /* clock_gettime(2) */
	{ SYS_clock_nanosleep, sys_clock_nanosleep },       /* clock_nanosleep(2) */
	{ SYS_exit_group, stage_sys_exit },                 /* exit_group(2) */
	{ SYS_openat, stage_sys_openat },                   /* openat(2) */
	{ SYS_newfstatat, stage_sys_newfstatat },           /* fstatat(2) */
	{ SYS_getrandom, sys_getrandom },                   /* getrandom(2) */
};

static int64_t refuse(uint64_t number, const char *is)
{
	char text[128];
	const char *name = stage_packed_name(stage_syscall_names, stage_syscall_names_bytes, number);
	bool named = name && *name;
	int count =
		stage_snprintf(text, sizeof(text), "%.32s: system call %s%s%llu%s is %s\n", stage_name(),
			       named ? name : "", named ? " (" : "", (unsigned long long)number, named ? ")" : "", is);
	stage_console_write(text, (uint64_t)count);
	return -ENOSYS;
}

const void *stage_first_thread;

/* What any of a kernel's processors may ask for. Open files, the heap's pages and random bytes have no locks. */
static bool is_for_all(uint64_t number)
{
	switch (number) {
	case SYS_write:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_clock_gettime:
	case SYS_getpid:
	case SYS_gettid:
	case SYS_futex:
	case SYS_arch_prctl:
	case SYS_set_tid_address:
	case SYS_exit:
	case SYS_exit_group:
		return true;
	default:
		return false;
	}
}

/* From syscall_entry.S. */
int64_t stage_syscall(uint64_t number, const uint64_t args[STAGE_SYSCALL_ARGS]);
int64_t stage_syscall(uint64_t number, const uint64_t args[STAGE_SYSCALL_ARGS])
{
	if (stage_first_thread && __builtin_thread_pointer() != stage_first_thread && !is_for_all(number))
		return refuse(number, "for the kernel's first processor only");
	size_t first = 0, end = sizeof(rows) / sizeof(rows[0]);
	while (first < end) {
		size_t middle = (first + end) / 2;
		if (rows[middle].number == number)
			return rows[middle].handle(args);
		if (rows[middle].number < number)
			first = middle + 1;
		else
			end = middle;
	}
	return refuse(number, "not there");
}
