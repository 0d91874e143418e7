/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: work on a stranger's file by a library that trusts files more than we do: in a process of its own, bounded in
 * memory, time and output, so that a crash there is no crash here. Must not know: what the work is. */
#ifndef KCHAIN_CHILD_H
#define KCHAIN_CHILD_H

#include "chain/error.h"

#include <jansson.h>

/* Runs in the child; what it returns is all that comes back (new; null: nothing). */
typedef json_t *child_work(void *ctx);

/* Forks, waits, and gives back the document (new). `what` names the work in errors: CHAIN_E_CMD_CHILD where the child
 * crashed, took too long or said nothing; CHAIN_E_NO_MEMORY, CHAIN_E_IO. */
enum chain_status child_run(child_work *work, void *ctx, const char *what, json_t **out,
			    struct chain_error *err) CHAIN_MUST_CHECK;

#endif
