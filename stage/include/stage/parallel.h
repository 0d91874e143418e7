/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine's processors as helpers in work of the stage's own (chain/parallel.h): how many are started for it,
 * and what becomes of work whose processor is lost. Must not know: what the work is. */
#ifndef STAGE_PARALLEL_H
#define STAGE_PARALLEL_H

/* Once, before the first work: the library finds the helpers from then on. */
void stage_parallel_init(void);

#endif
