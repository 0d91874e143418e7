/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the options of `bake` and `run` about a root. */
#ifndef KCHAIN_BAKE_ROOT_OPTIONS_H
#define KCHAIN_BAKE_ROOT_OPTIONS_H

#include "chain/cmd/cmd.h"

/* As they were given; null: not said. Borrowed from the command line. */
struct bake_root_options {
	const char *rootfs, *type, *fs, *platform, *owner, *kernel, *modules, *entrypoint, *workdir, *user, *hostname,
		*write, *stop_signal;
	struct cmd_list env;
};

/* Their rows of a table of options. */
enum { BAKE_ROOT_OPTIONS = 14 };
void bake_root_options_rows(struct bake_root_options *options, struct cmd_opt out[BAKE_ROOT_OPTIONS]);

/* As "root" of a pipeline; new; null: nothing was said. */
json_t *bake_root_options_json(const struct bake_root_options *options, bool beside_pipeline);

#endif
