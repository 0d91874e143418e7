/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the time while the program runs: its output, signals, orphans, leases, and its end. Must not know: how it was
 * started; what the machine does then. */
#ifndef INIT_RUN_H
#define INIT_RUN_H

#include "app.h"
#include "dhcp.h"
#include "tail.h"

struct init_world {
	const struct init_spec *spec;
	const struct init_interfaces *interfaces;
	const int *index;      /* of each interface, as the kernel counts them */
	const uint64_t *age_s; /* of each interface's lease */
};

struct init_outcome {
	int status;                /* as a shell has it: 128 and the signal */
	char reason[256];          /* why it is not 0, or what was wrong besides; "": nothing to say */
	struct init_tail out, err; /* what it wrote last */
	uint64_t ran_ms;
};

/* Blocks the signals that init is sent, which init_run takes. Before the program is started. */
void init_run_prepare(void);
/* Until the program has ended; then ends what it left behind. Says on the console what a person should know. */
void init_run(const struct init_world *world, const struct init_app *app, struct init_outcome *out);

#endif
