/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as a machine's boot information. What is accepted keeps the promises of bootinfo.h, and
 * comes back the same when it is written and read again. */
#include "fuzz.h"

#include "chain/bootinfo_json.h"
#include "chain/json.h"

static void check_info(const struct chain_bootinfo *info)
{
	FUZZ_HOLDS(info->loader && info->cmdline && info->cpus >= 1);
	FUZZ_HOLDS(memchr(info->door, 0, sizeof(info->door)) && info->image.base <= info->image.end);
	for (size_t i = 0; i < info->mem_count; i++) {
		const struct chain_mem_entry *entry = &info->mem[i];
		FUZZ_HOLDS(entry->range.base < entry->range.end && entry->type);
		if (!i)
			continue;
		FUZZ_HOLDS(entry[-1].range.end <= entry->range.base);
		FUZZ_HOLDS(entry[-1].range.end < entry->range.base ||
			   entry[-1].type != entry->type); /* neighbours are merged */
	}
	for (size_t i = 0; i < info->module_count; i++)
		FUZZ_HOLDS(info->modules[i].range.base <= info->modules[i].range.end && info->modules[i].string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_bootinfo info, again;
	struct chain_error err = { 0 };
	json_t *doc = NULL, *written = NULL, *rewritten = NULL;

	if (fuzz_text_status(chain_json_load((const char *)data, size, 1 << 20, "fuzz", &doc, &err), &err))
		return 0;
	if (!fuzz_text_status(chain_bootinfo_from_json(doc, &info, &err), &err)) {
		check_info(&info);
		FUZZ_HOLDS(!fuzz_status(chain_bootinfo_to_json(&info, NULL, NULL, &written, &err), &err));
		FUZZ_HOLDS(!fuzz_status(chain_bootinfo_from_json(written, &again, &err), &err));
		check_info(&again);
		FUZZ_HOLDS(!fuzz_status(chain_bootinfo_to_json(&again, NULL, NULL, &rewritten, &err), &err));
		FUZZ_HOLDS(json_equal(written, rewritten));
		FUZZ_HOLDS(info.mem_count == again.mem_count);
		chain_bootinfo_free(&again);
		chain_bootinfo_free(&info);
	}
	json_decref(written);
	json_decref(rewritten);
	json_decref(doc);
	return 0;
}
