/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the files of `kchain run` share: run.c has the options and the order of things, run_machine.c the machine
 * that is started, run_follow.c what it says until its end. */
#ifndef KCHAIN_RUN_H
#define KCHAIN_RUN_H

#include "qemu.h"
#include "run_input.h"
#include "run_session.h"

#include <termios.h>

enum { RUN_MODULES_MAX = 32, RUN_PORTS_MAX = 64, RUN_ERRORS_BYTES = 2048 };

struct run {
	/* options */
	const char *machine, *accel, *cpu, *handoff, *args, *screenshot;
	const char *gdb; /* port; "": the usual one; null: no gdb */
	uint64_t memory_bytes, cpus, hold_us;
	bool net, no_net, display, icount, shell;
	struct cmd_list ports, disks, modules, symbols;
	struct run_session_options session_options;
	/* the run */
	struct cmd_args operands;
	struct run_input input;
	struct run_session session;
	struct fault_places places;
	struct qemu qemu;
	char program[QEMU_PATH_BYTES];
	struct qemu_module module_list[RUN_MODULES_MAX];
	char *module_paths[RUN_MODULES_MAX]; /* owned */
	size_t module_count;
	char *port_texts[RUN_PORTS_MAX]; /* owned: those of `ports` that were not on the command line */
	size_t port_count;
	uint16_t portless[RUN_PORTS_MAX]; /* ports inside for which no port here was free */
	size_t portless_count;
	char monitor[65536];
	size_t monitor_used;     /* the monitor's unfinished line */
	struct termios terminal; /* as it was */
	bool shell_on, shell_left, shell_over, terminal_kept;
	uint64_t shell_left_us; /* when its end was last typed */
	bool ready, shut_down, was_reset, ended, shot_done, shot_failed;
	int shot_fd, handoff_fd, gdb_fd;
	int loader_fd; /* what is started in the place of a kernel that is too large for QEMU's own loader; -1: nothing
			*/
	uint16_t gdb_port;
	char handoff_path[64];
	char errors[RUN_ERRORS_BYTES];
	size_t errors_used; /* QEMU's own words, the first of them */
};

/* run_machine.c: opens the inputs and resolves what the options leave open; then starts QEMU. */
enum chain_status run_prepare(struct run *run, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status run_start(struct run *run, struct chain_error *err) CHAIN_MUST_CHECK;
void run_release(struct run *run);

/* run_shell.c: the descriptor to be polled for what is typed, -1: none now; reads it and passes it on, false: the
 * person has had enough; puts the terminal back, and takes nothing more. */
int run_shell_input(struct run *run);
bool run_shell_take(struct run *run);
/* How long to wait at most; says the end of what is typed, once it is over. */
int run_shell_wait_ms(struct run *run, int wait_ms);
void run_shell_end(struct run *run);

/* run_ports.c: forwards the ports that the root's program serves and the command line does not name to free ones of
 * 127.0.0.1; those of UDP are left out. CHAIN_E_LIMIT: more than RUN_PORTS_MAX. What became of all, for people and as
 * JSON (new). */
enum chain_status run_ports_add(struct run *run, struct chain_error *err) CHAIN_MUST_CHECK;
void run_ports_print(const struct run *run);
json_t *run_ports_json(const struct run *run);

/* run_follow.c: hears the machine until it is over; for a while longer where it is ready and wanted; takes its picture.
 */
enum run_end run_follow(struct run *run);
void run_hold(struct run *run);
enum chain_status run_screenshot(struct run *run, struct chain_error *err) CHAIN_MUST_CHECK;

/* run_gdb.c: reads the option's value, false: no port; takes the port; then says how gdb takes over the machine, with
 * whose symbols. */
bool run_gdb_port(struct run *run) CHAIN_MUST_CHECK;
enum chain_status run_gdb_listen(struct run *run, struct chain_error *err) CHAIN_MUST_CHECK;
void run_gdb_introduce(const struct run *run);

#endif
