/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a QEMU that was loaded once and forks for each instance (preload/forkserver.c), as the command sees it. Must
 * not know: what an instance is. */
#ifndef KCHAIN_SWEEP_FORKSERVER_H
#define KCHAIN_SWEEP_FORKSERVER_H

#include "forkserver_wire.h"

#include <stdbool.h>
#include <sys/types.h>

/* pid -1: there is none, and each QEMU is to be started anew. */
struct forkserver {
	pid_t pid;
	int fd;
};

/* The library is a file of its own, to be loaded by its place in /proc: a descriptor; -1: there is no such file. */
int forkserver_library(void);
/* A child that has become the server has said so, or will within ten seconds; false: it is none, since its program does
 * not load libraries, say. It was ended then. Takes the descriptor. */
bool forkserver_begin(struct forkserver *server, pid_t pid, int fd);
/* Forks: the instance's pid, which is its own until it is reaped or the server has ended; -1: it could not, and errno
 * says why. The descriptors, in the order of forkserver_wire.h, stay the caller's. */
pid_t forkserver_fork(struct forkserver *server, const int fds[FORKSERVER_FDS]);
/* The wait status of one that has ended or was killed. Where the server is gone, so are its instances: as if by
 * SIGKILL. */
int forkserver_reap(struct forkserver *server, pid_t pid);
/* Ends it, and with it all that it forked. */
void forkserver_end(struct forkserver *server);

#endif
