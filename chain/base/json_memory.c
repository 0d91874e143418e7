/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static uint64_t lacking;

static void *(*taker)(size_t bytes) = chain_json_memory_take;

void *chain_json_memory_take(size_t bytes)
{
	void *got = lacking ? NULL : malloc(bytes);
	if (!got)
		chain_json_memory_fail(bytes);
	return got;
}

void chain_json_memory_init(void)
{
	json_set_alloc_funcs(taker, free);
}

void chain_json_memory_from(void *(*take)(size_t bytes))
{
	taker = take;
	chain_json_memory_init();
}

uint64_t chain_json_memory_lacking(void)
{
	return lacking;
}

void chain_json_memory_fail(uint64_t bytes)
{
	if (!lacking)
		lacking = bytes;
}

enum chain_status chain_json_no_memory(struct chain_error *err, const char *subject)
{
	return lacking ? chain_fail_no_memory(err, subject, lacking) :
			 chain_fail_subject(err, CHAIN_E_JSON_TEXT, subject);
}

void chain_json_memory_reset(void)
{
	lacking = 0;
}
