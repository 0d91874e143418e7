/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: starting QEMU, talking to it, and being sure that it is gone.
 * Must not know: pipelines, records, what is expected of a run. */
#ifndef KCHAIN_QEMU_H
#define KCHAIN_QEMU_H

#include "chain/cmd/cmd.h"

#include <sys/types.h>

struct qemu_module {
	const char *path;
	const char *string; /* what the kernel sees; its first word becomes a file name */
};

/* All borrowed for qemu_start. */
struct qemu_config {
	const char *program; /* found by qemu_find */
	const char *machine; /* "pc", "q35", "microvm" */
	const char *accel;   /* "tcg" or "kvm" */
	const char *cpu;
	uint64_t memory_bytes, cpus;
	bool icount, display, net, keep_screen; /* keep_screen: stay when the machine shuts down, for a screenshot */
	int kernel_fd;
	int item_fd; /* a file that the kernel asks for (qemu_large.h); -1: none */
	bool halted; /* at the start, and gdb is heard at the listening socket `gdb_fd` */
	int gdb_fd;
	const char *args;             /* the kernel's command line; null: none */
	struct cmd_list ports, disks; /* as on the command line; checked by qemu_start */
	const struct qemu_module *modules;
	size_t module_count;
	char **extra;
	size_t extra_count;
};

/* A running QEMU. The descriptors are ours; -1 when closed. */
struct qemu {
	pid_t pid;
	int console;     /* first serial port */
	int records;     /* debug port */
	int monitor;     /* QMP */
	int errors;      /* standard error */
	char folder[64]; /* private, with the modules' names; "" once removed */
};

enum { QEMU_PATH_BYTES = 4096 };
/* qemu-system-x86_64 on PATH, or what KCHAIN_QEMU names. CHAIN_E_CMD_NO_QEMU. */
enum chain_status qemu_find(char out[QEMU_PATH_BYTES], struct chain_error *err) CHAIN_MUST_CHECK;

/* Starts it in a process group of its own; it dies with us, however we end. Its working directory is a private folder,
 * so relative paths in `extra` do not mean what they say. On failure nothing is left. */
enum chain_status qemu_start(const struct qemu_config *config, struct qemu *out,
			     struct chain_error *err) CHAIN_MUST_CHECK;
/* Once QEMU has opened all its files (its monitor has greeted): nothing of ours is left on disk from here on. */
void qemu_forget_files(struct qemu *qemu);
/* Kills it if it still runs, waits for it, closes and removes everything. The wait status. */
int qemu_stop(struct qemu *qemu);

/* Sends one command to the monitor, without waiting. */
void qemu_tell(struct qemu *qemu, const char *json);

/* "kvm" or "tcg": which one this machine runs faster, measured with a small kernel; remembered under XDG_CACHE_HOME. */
const char *qemu_accel_choose(const char *program);

#endif
