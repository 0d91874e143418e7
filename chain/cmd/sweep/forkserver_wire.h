/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the command and its fork server say to each other, a packet each, over a pair of SOCK_SEQPACKET sockets.
 * Each request has one answer. Must not know: what either makes of it. */
#ifndef KCHAIN_SWEEP_FORKSERVER_WIRE_H
#define KCHAIN_SWEEP_FORKSERVER_WIRE_H

#include "machine_fds.h"

#include <stdint.h>

/* The server's end, by its number. */
enum { FORKSERVER_FD = MACHINE_FD_END, FORKSERVER_FD_LIBRARY };

enum forkserver_what {
	FORKSERVER_READY, /* said by the server, once, before anything else: `value` is 0 */
	FORKSERVER_FORK,  /* with the four descriptors of an instance; answered by its pid, or -errno */
	FORKSERVER_REAP,  /* `value`: the pid of one that has ended, or will at once; answered by its wait status */
};

struct forkserver_message {
	int32_t what, value;
};

/* In this order: the instance's MACHINE_FD_CONSOLE, MACHINE_FD_RECORDS, 2 and MACHINE_FD_HANDOFF. */
enum { FORKSERVER_FDS = 4 };

#endif
