/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the step from the entry code to the C library (stage/runtime/start.c). */
#ifndef STAGE_START_H
#define STAGE_START_H

#include "chain/error.h"

/* Starts the C library, calls `set_up` (nullable) under it, then main; a failure of set_up ends the program with its
 * message. */
typedef enum chain_status stage_set_up(struct chain_error *err);
_Noreturn void stage_start(stage_set_up *set_up);

/* Says why, and ends the program. The library's says it by numbers; a program that has words for it has its own. */
_Noreturn void stage_cannot_start(const struct chain_error *err);

#endif
