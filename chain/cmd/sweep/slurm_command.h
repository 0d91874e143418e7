/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: asking Slurm's commands (sbatch, squeue, scancel, sinfo). Must not know: why. */
#ifndef KCHAIN_SWEEP_SLURM_COMMAND_H
#define KCHAIN_SWEEP_SLURM_COMMAND_H

#include "chain/cmd/run/words.h"

#include <stdbool.h>
#include <stddef.h>

/* Runs a program of PATH to its end, at most a minute, and keeps what it printed, errors too: new text, as far as there
 * is memory for it. False: it could not be run, or exited with another status than 0. */
bool slurm_command(struct words *words, char **out_text);
/* Whether such a program is on PATH. */
bool slurm_has_command(const char *name);

#endif
