/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static uint64_t lacking;

static void *take(size_t bytes)
{
	void *got = lacking ? NULL : malloc(bytes);
	if (!got)
		chain_json_memory_fail(bytes);
	return got;
}

void chain_json_memory_init(void) { json_set_alloc_funcs(take, free); }

uint64_t chain_json_memory_lacking(void) { return lacking; }

void chain_json_memory_fail(uint64_t bytes)
{
	if (!lacking)
		lacking = bytes;
}

void chain_json_memory_reset(void) { lacking = 0; }
