/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the virtual machine of an instance: as small as QEMU gives one, and its memory, whose pages are the image's own
 * until they are written to. Must not know: what runs in it, when it is over. */
#ifndef KCHAIN_SWEEP_MACHINE_H
#define KCHAIN_SWEEP_MACHINE_H

#include "forkserver.h"

#include "chain/cmd/run/run_input.h"
#include "chain/cmd/run/words.h"

#include <sys/types.h>

struct machine_options {
	const char *program, *accel; /* borrowed */
	uint64_t memory_bytes, cpus;
	bool net;
	char **extra; /* borrowed: further arguments for QEMU */
	size_t extra_count;
	bool load_each; /* load QEMU anew for each machine */
};

/* What all instances share: RAM with the image in it, as a file that each maps privately, so that a page is copied only
 * when it is written to; a kernel of one page, which has QEMU enter the image in it by PVH; and a QEMU that was loaded
 * already, and is forked. */
struct machine_template {
	int ram_fd, kernel_fd;
	struct words words; /* QEMU's command line */
	struct forkserver server;
};

/* CHAIN_E_CMD_MEMORY, CHAIN_E_CMD_LOW_MEMORY: the image does not fit; CHAIN_E_SWEEP_NO_ENTRY. On failure nothing is
 * left. */
enum chain_status machine_template_make(const struct run_input *input, const char *subject,
					const struct machine_options *options, struct machine_template *out,
					struct chain_error *err) CHAIN_MUST_CHECK;
void machine_template_free(struct machine_template *made);

/* A running QEMU. All descriptors are ours, non-blocking; -1: closed. */
struct machine {
	pid_t pid;
	int process;                  /* pidfd: readable once it has ended */
	int console, records, errors; /* first serial port, debug port, QEMU's own words */
	struct forkserver *server;    /* borrowed: whose child it is; null: ours */
};

/* Starts QEMU with this handoff, in a process group of its own; it dies with this thread, however that ends. The
 * template outlives it. */
enum chain_status machine_start(struct machine_template *made, const char *handoff, size_t bytes, struct machine *out,
				struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether it has ended: its status stays to be read by machine_reap. */
bool machine_has_ended(const struct machine *machine);
/* It will have ended soon. */
void machine_kill(const struct machine *machine);
/* Waits for one that has ended or was killed, and closes what is left. Its wait status. */
int machine_reap(struct machine *machine);

/* Has the template's QEMU loaded once. Where it can't be forked, each machine loads its own. */
void machine_load(struct machine_template *made);

/* What QEMU calls its version ("7.2.22 (Debian …)"), asked of the program itself: CHAIN_E_CMD_QEMU_FAILED where it does
 * not answer in ten seconds, or not so. */
enum { MACHINE_VERSION_BYTES = 128 };
enum chain_status machine_version(const char *program, char out[MACHINE_VERSION_BYTES],
				  struct chain_error *err) CHAIN_MUST_CHECK;

#endif
