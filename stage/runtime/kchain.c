/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The interface for authors of native kernels. */

#include <kchain.h>

#include "stage/boot.h"
#include "stage/bulk.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "abi/module_name.h"
#include "stage/pages.h"
#include "stage/runtime.h"

#include <stdlib.h>
#include <string.h>

/* A caller's, or the module of that name; not terminated. */
static bool find_handoff(const char **text, size_t *bytes)
{
	const struct kchain_call *call = stage_boot.call;
	const struct chain_bootinfo *info = stage_bootinfo();
	*text = (const char *)call->handoff;
	*bytes = call->handoff_bytes;
	for (size_t i = 0; !*bytes && i < info->module_count; i++) {
		if (!kchain_module_is_handoff(info->modules[i].string))
			continue;
		*text = stage_phys_to_virt(info->modules[i].range.base);
		*bytes = chain_range_bytes(info->modules[i].range);
	}
	return *bytes > 0;
}

bool kchain_handoff(const char **text, size_t *bytes)
{
	static char *copy;
	static size_t count;
	const char *found;
	if (!copy) {
		if (!find_handoff(&found, &count))
			return false;
		copy = malloc(count + 1);
		if (!copy)
			return false;
		stage_copy(copy, found, count);
		copy[count] = '\0';
	}
	*text = copy;
	if (bytes)
		*bytes = count;
	return true;
}

bool kchain_result(const char *json)
{
	return stage_result_set(json, strlen(json));
}

size_t kchain_result_room(void)
{
	return stage_boot.face->owns_machine ? STAGE_RESULT_MAX : stage_boot.call->mailbox_bytes;
}

const char *kchain_args(void)
{
	return stage_boot.face->args();
}

bool kchain_is_called(void)
{
	return !stage_boot.face->owns_machine;
}
unsigned kchain_index(void)
{
	return stage_boot.call->index;
}
uint64_t kchain_clock_us(void)
{
	return stage_clock_us();
}
void kchain_record(const char *json)
{
	stage_record(json, strlen(json));
}

bool kchain_file(const char *path, const void **bytes, size_t *count)
{
	struct fs_node node;
	struct chain_error err = { 0 };
	const uint8_t *start;
	uint64_t size;
	if (!stage_fs() || fs_lookup(stage_fs(), path, true, &node, &err) ||
	    fs_file_bytes(stage_fs(), &node, &start, &size, &err))
		return false;
	*bytes = start;
	*count = size;
	return true;
}
