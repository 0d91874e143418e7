/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a file that is in its place wholly or not at all. While it is written it has no name (O_TMPFILE): whatever ends
 * the process, SIGKILL included, leaves nothing of it. Then it is linked to its place, or, since a link can't replace a
 * file that is there, to a name beside it (FILE.XXXXXX), which is renamed: a process killed between these two calls
 * leaves the whole new file under that name, and the old one in its place. On a file system without files that have no
 * name (NFS, FAT, most of FUSE) it is written under such a name: SIGINT, SIGTERM and SIGHUP remove it, SIGKILL can't be
 * helped. Must not know: what is written. */
#ifndef KCHAIN_CMD_OUT_H
#define KCHAIN_CMD_OUT_H

#include "chain/error.h"

#include <signal.h>

struct cmd_out {
	const char *path; /* borrowed; null: it never gets a name */
	int fd;           /* for reading and writing, at its beginning */
	char *beside;     /* its name until then; null: none */
	struct sigaction int_before, term_before, hup_before, size_before;
};

/* One at a time. SIGINT, SIGTERM and SIGHUP, where they were not ignored, end the process from here to the commit, by
 * exit statuses 130, 143 and 129; a limit on the size of files (SIGXFSZ) is an error of write(2) like any other. On
 * failure nothing is to be dropped. */
enum chain_status cmd_out_open(struct cmd_out *out, const char *path, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same for a file in this folder that never gets a name, and goes with its last descriptor. */
enum chain_status cmd_out_open_unnamed(struct cmd_out *out, const char *folder,
				       struct chain_error *err) CHAIN_MUST_CHECK;
/* Puts the file in its place, readable and writable as far as the umask lets. On failure nothing is left. `out_fd`,
 * where not null, gets the open file. */
enum chain_status cmd_out_commit(struct cmd_out *out, int *out_fd, struct chain_error *err) CHAIN_MUST_CHECK;
/* Leaves nothing of it; does nothing after a commit. */
void cmd_out_drop(struct cmd_out *out);

#endif
