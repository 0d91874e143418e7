/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/bootinfo_json.h"
#include "chain/fixed.h"

#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "abi/mailbox.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096, LOW_END = 0x100000, MAILBOX_BYTES = (KCHAIN_MAILBOX_BYTES + PAGE - 1) / PAGE * PAGE };

static struct chain_range common(struct chain_range a, struct chain_range b)
{
	struct chain_range both = { a.base > b.base ? a.base : b.base, a.end < b.end ? a.end : b.end };
	return both.base < both.end ? both : (struct chain_range){ 0, 0 };
}

static enum chain_status taken(const struct chain_fixed *fixed, struct chain_range by, const char *who,
			       const char *subject, struct chain_error *err)
{
	struct chain_range both = common(fixed->window, by);
	return CHAIN_FAIL(err, FIXED_OVERLAP, .subject = subject, .detail = who, .base = fixed->window.base,
			  .end = fixed->window.end, .shared = chain_range_bytes(both), .free = both.base);
}

enum chain_status chain_fixed_place(const struct chain_door *door, const uint8_t *kernel, uint64_t kernel_bytes,
				    uint64_t memory_bytes, const char *subject, struct chain_fixed *out,
				    struct chain_error *err)
{
	struct chain_kernel read;
	uint64_t lowest = UINT64_MAX, memory = chain_align_down(memory_bytes, PAGE);
	enum chain_status status = door->read(kernel, kernel_bytes, subject, &read, err);
	for (size_t i = 0; !status && i < read.segment_count; i++)
		lowest = read.segments[i].phys.base < lowest ? read.segments[i].phys.base : lowest;
	if (!status && memory <= MAILBOX_BYTES)
		status = CHAIN_FAIL(err, GUEST_MEMORY, .subject = subject, .detail = "its mailbox takes five pages",
				    .bytes = memory_bytes);
	if (!status)
		status = chain_range_make(chain_align_down(lowest, PAGE), memory, subject, &out->window, err);
	const struct chain_range beyond = { chain_entry_memory_end(read.mode), UINT64_MAX };
	if (!status && out->window.end > beyond.base)
		status = taken(out, beyond, "it lies above 4 GiB", subject, err);
	if (!status)
		out->mailbox = (struct chain_range){ out->window.end - MAILBOX_BYTES, out->window.end };
	return status;
}

enum chain_status chain_fixed_check_image(const struct chain_fixed *fixed, struct chain_range image,
					  const char *subject, struct chain_error *err)
{
	struct chain_range both = common(fixed->window, image);
	if (!chain_range_bytes(both))
		return CHAIN_OK;
	return CHAIN_FAIL(err, FIXED_ON_IMAGE, .subject = subject, .base = fixed->window.base, .end = fixed->window.end,
			  .shared = chain_range_bytes(both), .free = fixed->window.end);
}

/* The map is sorted. */
static enum chain_status check_there(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
				     const char *subject, struct chain_error *err)
{
	struct chain_range missing = fixed->window; /* what is behind the last piece that is there */
	uint64_t there = 0;
	for (size_t i = 0; i < machine->mem_count; i++) {
		struct chain_range part = common(fixed->window, machine->mem[i].range);
		if (machine->mem[i].type != CHAIN_MEM_AVAILABLE)
			continue;
		there += chain_range_bytes(part);
		if (part.base == missing.base && chain_range_bytes(part))
			missing.base = part.end;
	}
	if (missing.base == missing.end)
		return CHAIN_OK;
	return CHAIN_FAIL(err, FIXED_OVERLAP, .subject = subject, .detail = "it is no available memory",
			  .base = fixed->window.base, .end = fixed->window.end,
			  .shared = chain_range_bytes(fixed->window) - there, .free = missing.base);
}

enum chain_status chain_fixed_check(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
				    const char *subject, struct chain_error *err)
{
	const struct chain_range low = { 0, LOW_END };
	char who[CHAIN_SUBJECT_BYTES];
	if (chain_range_overlaps(fixed->window, low))
		return taken(fixed, low, "it is the firmware's", subject, err);
	enum chain_status status = chain_fixed_check_image(fixed, machine->image, subject, err);
	if (status)
		return status;
	for (size_t i = 0; i < machine->module_count; i++) {
		if (!chain_range_overlaps(fixed->window, machine->modules[i].range))
			continue;
		snprintf(who, sizeof(who), "boot module %zu, %.100s", i, machine->modules[i].string);
		return taken(fixed, machine->modules[i].range, who, subject, err);
	}
	return check_there(fixed, machine, subject, err);
}

enum chain_status chain_fixed_check_processors(uint32_t processors, const char *subject, struct chain_error *err)
{
	return processors > 1 ? CHAIN_OK : CHAIN_FAIL(err, FIXED_PROCESSORS, .subject = subject, .count = processors);
}

enum chain_status chain_fixed_claim(const struct chain_fixed *fixed, struct chain_claims *claims, const char *subject,
				    struct chain_error *err)
{
	const struct chain_claim *other = chain_claims_overlap(claims, fixed->window);
	if (other)
		return taken(fixed, other->range, chain_owner_name(other->owner), subject, err);
	return chain_claims_add(claims, fixed->window, CHAIN_OWNER_WINDOW, 0, err);
}

enum chain_status chain_fixed_map(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
				  struct chain_mem_entry **out, size_t *out_count, struct chain_error *err)
{
	const struct chain_mem_entry parts[] = {
		{ { 0, fixed->window.base }, CHAIN_MEM_RESERVED },
		{ { fixed->window.base, fixed->mailbox.base }, CHAIN_MEM_AVAILABLE },
		{ { fixed->mailbox.base, UINT64_MAX }, CHAIN_MEM_RESERVED },
	};
	enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
	struct chain_mem_entry *map = calloc(machine->mem_count * PARTS + 1, sizeof(*map));
	size_t count = 0;
	if (!map)
		return chain_fail_no_memory(err, "memory map", machine->mem_count * PARTS * sizeof(*map));
	for (size_t i = 0; i < machine->mem_count; i++) {
		const struct chain_mem_entry *entry = &machine->mem[i];
		if (entry->type != CHAIN_MEM_AVAILABLE)
			map[count++] = *entry;
		for (size_t p = 0; entry->type == CHAIN_MEM_AVAILABLE && p < PARTS; p++) {
			struct chain_range part = common(entry->range, parts[p].range);
			if (chain_range_bytes(part))
				map[count++] = (struct chain_mem_entry){ part, parts[p].type };
		}
	}
	*out = map;
	*out_count = count;
	return CHAIN_OK;
}

static json_t *range_json(struct chain_range range, uint64_t bytes)
{
	return chain_json_object(CHAIN_HEX("phys", range.base), CHAIN_INT("bytes", (json_int_t)bytes));
}

enum chain_status chain_fixed_hand_over(const struct chain_fixed *fixed, const struct chain_bootinfo *machine,
					json_t *handoff, struct chain_error *err)
{
	struct chain_mem_entry *map;
	size_t count;
	enum chain_status status = chain_fixed_map(fixed, machine, &map, &count, err);
	if (status)
		return status;
	json_t *self = json_object_get(handoff, "self");
	json_t *platform =
		chain_json_shallow(json_object_get(handoff, "platform")); /* shared with the handoffs of other steps */
	int bad = json_object_set_new(self, "window", range_json(fixed->window, chain_range_bytes(fixed->window)));
	bad |= json_object_set_new(self, "mailbox", range_json(fixed->mailbox, KCHAIN_MAILBOX_BYTES));
	bad |= json_object_set_new(platform, "cpus", json_integer(1));
	bad |= json_object_set_new(platform, "memory", chain_bootinfo_memory_json(map, count));
	bad |= json_object_set_new(handoff, "platform", platform);
	free(map);
	return bad ? chain_json_no_memory(err, "handoff") : CHAIN_OK;
}
