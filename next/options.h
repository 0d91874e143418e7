/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the command line of kchain-next. Must not know: what is done. */
#ifndef NEXT_OPTIONS_H
#define NEXT_OPTIONS_H

#include "chain/plan.h"

enum { NEXT_MODULES_MAX = 64 };
enum { NEXT_OK = 0, NEXT_USAGE = 2, NEXT_REFUSED = 3, NEXT_FAILED = 4, NEXT_DECLINED = 130 };

struct next_options {
	const char *image;
	const char *handoff, *name, *args, *result, *state, *digest; /* null: not said */
	const char *modules[NEXT_MODULES_MAX];                       /* FILE or FILE=STRING */
	size_t module_count;
	enum chain_handoff_at handoff_at;
	bool yes, dry_run, load, now, by_file, json;
};

/* -1: go on; else the exit code to leave with. All borrow from argv. */
int next_options_read(int argc, char **argv, struct next_options *out);

#endif
