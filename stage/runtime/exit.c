/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The end of a program, and the result it leaves. */

#include "stage/boot.h"
#include "stage/runtime.h"

bool stage_result_set(const char *json, uint64_t bytes)
{
	return stage_boot.face->set_result(json, bytes);
}

_Noreturn void stage_exit(int status)
{
	stage_boot.face->exit(status);
	__builtin_unreachable();
}
