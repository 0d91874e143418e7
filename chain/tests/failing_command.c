/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What makes build/kchain-failing of the command: KCHAIN_FAIL_ALLOC=N lets its N-th allocation fail and all that
 * follow, with KCHAIN_FAIL_ONCE only that one (qemu-tests/test_command_memory.py); failing_io.c does so with system
 * calls. */
#include "alloc_fail.h"
#include "failing_io.h"

static void __attribute__((constructor)) begin(void)
{
	const char *n = getenv("KCHAIN_FAIL_ALLOC");
	if (!n)
		return;
	alloc_fail_at(atol(n), getenv("KCHAIN_FAIL_ONCE") != NULL);
}

/* Tells the test when there was nothing left to fail. */
static void __attribute__((destructor)) end(void)
{
	const char *path = getenv("KCHAIN_FAIL_REPORT");
	FILE *file = path ? fopen(path, "we") : NULL;
	if (!file)
		return;
	fputs(alloc_state.failed || failing_io_failed() ? "failed" : "none", file);
	fclose(file);
}
