/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as JSON. It is read where the grammar as it is written down a second time has it, written
 * and read again it is the same, and where memory runs out at some point, that is what is reported. The first byte says
 * how many levels there may be, the second at which allocation. */
#include "alloc_fail.h"
#include "fuzz.h"

#include "chain/json.h"
#include "chain/json_quick.h"
#include "chain/json_write.h"
#include "json_oracle.h"

static enum chain_status read_text(const uint8_t *text, size_t bytes, unsigned levels, json_t **out)
{
	struct chain_error err = { 0 };
	enum chain_status status =
		fuzz_status(chain_json_any((const char *)text, bytes, levels, "fuzz", out, &err), &err);
	FUZZ_HOLDS(!*out == (status != CHAIN_OK));
	FUZZ_HOLDS(status != CHAIN_E_NO_MEMORY || (alloc_state.failed && err.number[0]));
	return status;
}

static void same_again(const json_t *value, unsigned levels)
{
	json_t *again;
	uint64_t bytes;
	char *text = chain_json_text(value, 0, &bytes);
	FUZZ_HOLDS(text && read_text((const uint8_t *)text, bytes, levels, &again) == CHAIN_OK);
	FUZZ_HOLDS(json_equal(value, again));
	json_decref(again);
	free(text);
}

/* What is read quickly is what jansson reads. */
static void same_quickly(const char *text, size_t bytes, unsigned levels)
{
	json_t *value = chain_json_quick(text, bytes, levels);
	json_t *same = value ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL) : NULL;
	FUZZ_HOLDS(!value || (same && json_equal(value, same)));
	json_decref(value);
	json_decref(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *value;
	if (size < 2 || size - 2 > ORACLE_BYTES)
		return 0;
	unsigned levels = data[0] % CHAIN_JSON_DEPTH_MAX + 1;
	alloc_fail_at(-1, true);
	enum chain_status status = read_text(data + 2, size - 2, levels, &value);
	FUZZ_HOLDS(!status == oracle_is_json((const char *)data + 2, size - 2, levels));
	FUZZ_HOLDS(!status || status == CHAIN_E_JSON_SYNTAX || status == CHAIN_E_JSON_DEPTH);
	if (!status)
		same_again(value, levels);
	json_decref(value);
	same_quickly((const char *)data + 2, size - 2, levels);
	alloc_fail_at(data[1], data[0] >> 7);
	status = read_text(data + 2, size - 2, levels, &value);
	alloc_stop();
	FUZZ_HOLDS(!alloc_state.failed || status == CHAIN_E_NO_MEMORY);
	json_decref(value);
	chain_json_memory_reset();
	return 0;
}
