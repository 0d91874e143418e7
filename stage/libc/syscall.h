/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the form of a system call's handler. Arguments and results as Linux has them on x86-64: a negative errno is a
 * failure. Must not know: how a call arrives. */
#ifndef STAGE_SYSCALL_H
#define STAGE_SYSCALL_H

#include <stddef.h>
#include <stdint.h>

enum { STAGE_SYSCALL_ARGS = 6 };
typedef int64_t stage_syscall_fn(const uint64_t args[STAGE_SYSCALL_ARGS]);

/* files.c */
stage_syscall_fn stage_sys_read, stage_sys_write, stage_sys_readv, stage_sys_writev, stage_sys_open, stage_sys_openat,
	stage_sys_close, stage_sys_lseek, stage_sys_stat, stage_sys_lstat, stage_sys_fstat, stage_sys_newfstatat,
	stage_sys_getdents64, stage_sys_ioctl, stage_sys_fcntl, stage_sys_pread64, stage_sys_access, stage_sys_readlink;

/* syscall_brief.c: those that touch no vector register; the entry asks it first. `done`: it was one of them. */
stage_syscall_fn stage_sys_arch_prctl, stage_sys_set_tid_address;
_Noreturn stage_syscall_fn stage_sys_exit;
struct stage_syscall_brief {
	int64_t result;
	uint64_t done;
};
struct stage_syscall_brief stage_syscall_brief(uint64_t number, const uint64_t args[STAGE_SYSCALL_ARGS]);

/* The first processor's thread pointer, in a kernel that has put others to work; null: there is one. */
extern const void *stage_first_thread;

/* For the message that a call is not there (stage/packed_names.h). The stage has none: its calls are known. */
extern const char stage_syscall_names[];
extern const size_t stage_syscall_names_bytes;

#endif
