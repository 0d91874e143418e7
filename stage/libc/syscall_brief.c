/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The system calls of a program's start and end. This file is compiled for general registers alone, so that the entry
 * need not save the others for them: under an emulator that takes longer than the whole call. */

#include "syscall.h"

#include "chain/x86_registers.h"
#include "stage/boot.h"
#include "stage/cpu.h"
#include "stage/runtime.h"

#include <errno.h>
#include <sys/syscall.h>

int64_t stage_sys_arch_prctl(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	enum { ARCH_SET_FS = 0x1002 };
	if (a[0] != ARCH_SET_FS)
		return -EINVAL;
	stage_wrmsr(MSR_FS_BASE, a[1]);
	if (stage_boot.face->owns_machine) /* else the block is the caller's */
		stage_cpu()->fs_base = a[1];
	return 0;
}

int64_t stage_sys_set_tid_address(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	(void)a;
	return 1;
}

int64_t stage_sys_exit(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	stage_exit((int)(a[0] & 0xff));
}

struct stage_syscall_brief stage_syscall_brief(uint64_t number, const uint64_t args[STAGE_SYSCALL_ARGS])
{
	switch (number) {
	case SYS_arch_prctl:
		return (struct stage_syscall_brief){ stage_sys_arch_prctl(args), true };
	case SYS_set_tid_address:
		return (struct stage_syscall_brief){ stage_sys_set_tid_address(args), true };
	case SYS_exit:
	case SYS_exit_group:
		stage_sys_exit(args);
	}
	return (struct stage_syscall_brief){ 0, false };
}
