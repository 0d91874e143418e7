/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/json_memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

static bool failed;

static void *take(size_t bytes)
{
	void *got = failed ? NULL : malloc(bytes);
	failed = !got;
	return got;
}

void stage_json_memory_init(void) { json_set_alloc_funcs(take, free); }
void stage_json_memory_again(void) { failed = false; }
