/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Alone in its file: a program that has a function of this name is linked without this one. */

#include "stage/cpu.h"
#include "stage/start.h"

/* The texts of all errors are larger than a whole kernel: this names the status, as status.def counts them. */
_Noreturn void stage_cannot_start(const struct chain_error *err)
{
	stage_panic("cannot start: %s: %s %d (%llu, %llu, %llu) %s", err->subject,
		    err->status == CHAIN_E_NO_MEMORY ? "no memory," : "status", (int)err->status,
		    (unsigned long long)err->number[0], (unsigned long long)err->number[1],
		    (unsigned long long)err->number[2], err->detail);
}
