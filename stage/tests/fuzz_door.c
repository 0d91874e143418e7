/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as what a boot loader left in memory. The first four are EAX, the next four EBX; all of
 * them are the machine's memory from address 0 on. What a door accepts is a bootinfo that the claims can be made from.
 */
#include "chain/bootinfo_json.h"
#include "../../chain/tests/fuzz.h"
#include "../boot/doors.h"
#include "fake_memory.h"
#include "stage/boot.h"
#include "stage/cpu.h"
#include "stage/pages.h"

#include <inttypes.h>

static const struct stage_face booted = { .owns_machine = true,
					  .take_pages = stage_claims_take,
					  .free_pages = stage_claims_free };
struct stage_boot stage_boot = { .face = &booted };
const struct chain_image_header stage_image_header = { .stage_bytes = 0x40000,
						       .fs_offset = 0x200000,
						       .fs_bytes = 0x1000,
						       .fs_memory_bytes = 0x200000,
						       .manifest_offset = 0x50000,
						       .manifest_bytes = 100 };
const uint8_t stage_image_start[1], stage_image_end[1];

_Noreturn void stage_panic(const char *format, ...)
{
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	FUZZ_HOLDS(bytes >= 1 && phys <= UINT64_C(0x100000000) - bytes);
	return stage_phys_view(phys, bytes);
}

static void check_map(const struct chain_bootinfo *info)
{
	FUZZ_HOLDS(info->mem_count > 0);
	for (size_t i = 0; i < info->mem_count; i++) {
		FUZZ_HOLDS(info->mem[i].range.base < info->mem[i].range.end);
		FUZZ_HOLDS(i == 0 || info->mem[i - 1].range.end <= info->mem[i].range.base);
	}
	for (size_t i = 0; i < info->module_count; i++)
		FUZZ_HOLDS(info->modules[i].string && info->modules[i].range.base <= info->modules[i].range.end);
}

/* Whether memory holds all of [phys, phys + bytes), in however many entries. */
static bool is_available(const struct chain_bootinfo *info, uint64_t phys, uint64_t bytes)
{
	uint64_t end = phys + bytes;
	for (size_t i = 0; i < info->mem_count && phys < end; i++) {
		const struct chain_mem_entry *entry = &info->mem[i];
		if (entry->type == CHAIN_MEM_AVAILABLE && entry->range.base <= phys && entry->range.end > phys)
			phys = entry->range.end;
	}
	return phys >= end;
}

/* Pages are taken from memory that the map gives, and never from what anybody holds. */
static void check_pages(const struct chain_bootinfo *info)
{
	struct chain_error err = { 0 };
	uint64_t taken[8];
	size_t count = 0;
	if (fuzz_status(stage_pages_init(info, &err), &err))
		return;
	for (; count < 8; count++) {
		uint64_t bytes = (uint64_t)STAGE_PAGE << count;
		taken[count] = stage_pages_alloc(bytes, bytes, CHAIN_OWNER_HEAP);
		if (!taken[count])
			break;
		struct chain_range got = { taken[count], taken[count] + bytes };
		FUZZ_HOLDS(got.base % bytes == 0 && got.base >= 0x100000 && got.end <= UINT64_C(0x100000000));
		FUZZ_HOLDS(is_available(info, got.base, bytes));
		for (size_t i = 0; i < info->module_count; i++)
			FUZZ_HOLDS(!chain_range_overlaps(info->modules[i].range, got));
		for (size_t i = 0; i < count; i++)
			FUZZ_HOLDS(!chain_range_overlaps(
				got, (struct chain_range){ taken[i], taken[i] + ((uint64_t)STAGE_PAGE << i) }));
	}
	while (count--)
		stage_pages_free(taken[count], (uint64_t)STAGE_PAGE << count);
}

static void check_json(const struct chain_bootinfo *info)
{
	struct chain_error err = { 0 };
	struct chain_bootinfo again;
	json_t *doc = NULL;
	if (fuzz_status(chain_bootinfo_to_json(info, NULL, NULL, &doc, &err), &err))
		return;
	if (!fuzz_status(chain_bootinfo_from_json(doc, &again, &err), &err))
		FUZZ_HOLDS(again.mem_count == info->mem_count && again.module_count == info->module_count);
	chain_bootinfo_free(&again);
	json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_error err = { 0 };
	struct chain_bootinfo info;
	enum chain_status status;
	uint32_t eax, ebx;

	if (size < 8)
		return 0;
	memcpy(&eax, data, 4);
	memcpy(&ebx, data + 4, 4);
	fake_memory_set(0, data, size);
	stage_boot.image_phys = 0x400000;
	chain_bootinfo_init(&info);
	status = stage_doors_read(eax, ebx, view, NULL, &info, &err);
	if (!status)
		status = stage_keep_rsdp(&info, &err);
	if (!fuzz_status(status, &err)) {
		check_map(&info);
		check_pages(&info);
		check_json(&info);
	}
	chain_bootinfo_free(&info);
	fake_memory_forget();
	return 0;
}
