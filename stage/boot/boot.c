/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* From the entry code to the C library's start: processor, machine description, memory, then stage_start. */

#include "stage/boot.h"

#include "boot_layout.h"
#include "doors.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/runtime.h"
#include "stage/start.h"

#include <stdlib.h>
#include <string.h>

static_assert(offsetof(struct stage_boot, entry_tsc) == BOOT_ENTRY_TSC, "BOOT_ENTRY_TSC");
static_assert(offsetof(struct stage_boot, image_phys) == BOOT_IMAGE_PHYS, "BOOT_IMAGE_PHYS");
static_assert(offsetof(struct stage_boot, door) == BOOT_DOOR, "BOOT_DOOR");
static_assert(offsetof(struct stage_boot, info_phys) == BOOT_INFO_PHYS, "BOOT_INFO_PHYS");
static_assert(offsetof(struct stage_boot, call) == BOOT_CALL, "BOOT_CALL");
static_assert(offsetof(struct stage_boot, face) == BOOT_FACE, "BOOT_FACE");

enum { FIRST_HEAP_BYTES = 128 * 1024, HANDLER_STACK_BYTES = 8192 };

struct stage_boot stage_boot;
static struct chain_bootinfo info;

/* Of the processor that was booted. */
static struct stage_entry_area boot_area STAGE_BOOT_ONLY;
static uint8_t handler_stacks[STAGE_IST_COUNT][HANDLER_STACK_BYTES] STAGE_BOOT_ONLY __attribute__((aligned(4096)));
static uint8_t first_heap[FIRST_HEAP_BYTES] STAGE_BOOT_ONLY __attribute__((aligned(4096)));

struct chain_bootinfo *stage_bootinfo(void)
{
	return &info;
}

/* The entry code's tables show the low 4 GiB. */
STAGE_BOOT_TEXT static const void *view(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	return stage_phys_view(phys, bytes);
}

static enum chain_status read_info(struct chain_error *err)
{
	enum chain_status status = stage_doors_read(stage_boot.door, stage_boot.info_phys, view, NULL, &info, err);
	return status ? status : stage_keep_rsdp(&info, err);
}

/* What a loader calls a module may be no memory at all: said here, before anybody reads one. */
static enum chain_status check_modules(struct chain_error *err)
{
	for (size_t i = 0; i < info.module_count; i++) {
		struct chain_range range = info.modules[i].range;
		uint64_t bytes = chain_range_bytes(range);
		if (bytes && !stage_phys_view(range.base, bytes))
			return CHAIN_FAIL(err, MULTIBOOT_INFO_UNREADABLE, .subject = "boot module",
					  .detail = info.modules[i].string, .base = range.base, .bytes = bytes);
	}
	return CHAIN_OK;
}

static void find_tables(void)
{
	stage_efi_find(&info);
	if (!info.acpi_rsdp)
		info.acpi_rsdp = stage_find_rsdp();
	if (!info.smbios)
		info.smbios = stage_find_smbios();
	info.cpus = stage_list_cpus(info.acpi_rsdp, NULL, 0);
	if (!info.cpus) /* where the firmware says nothing */
		info.cpus = 1;
}

STAGE_BOOT_TEXT static enum chain_status set_up_machine(struct chain_error *err)
{
	const struct chain_image_header *header = &stage_image_header;
	enum chain_status status = read_info(err);
	if (status)
		return status;
	uint64_t bytes = header->stage_bytes;
	if (header->manifest_bytes && header->manifest_offset + header->manifest_bytes > bytes)
		bytes = header->manifest_offset + header->manifest_bytes;
	if (header->fs_bytes && header->fs_offset + header->fs_memory_bytes > bytes)
		bytes = header->fs_offset + header->fs_memory_bytes;
	status = chain_range_make(stage_boot.image_phys, bytes, "image", &info.image, err);
	info.image_base = stage_boot.image_phys;
	if (!status)
		status = stage_pages_init(&info, err);
	if (!status)
		status = stage_tables_init(&info, err);
	if (!status)
		status = check_modules(err);
	if (!status)
		find_tables();
	if (!status && !info.framebuffer.phys && stage_vga_is_text())
		info.framebuffer = chain_framebuffer_ega_text(); /* as other loaders say it of themselves */
	return status;
}

/* On the boot stack, with the entry code's page tables. */
_Noreturn void stage_boot_start_booted(void);
STAGE_BOOT_TEXT _Noreturn void stage_boot_start_booted(void)
{
	uint64_t stacks[STAGE_IST_COUNT];
	for (size_t i = 0; i < STAGE_IST_COUNT; i++)
		stacks[i] = (uint64_t)(handler_stacks[i] + HANDLER_STACK_BYTES);
	stage_cpu_init(&boot_area.cpu, 0, stacks);
	stage_heap_add(first_heap, sizeof(first_heap), true);
	stage_start(set_up_machine);
}

/* On the window's stack, with the caller's tables and traps. */
_Noreturn void stage_boot_start_called(void);
_Noreturn void stage_boot_start_called(void)
{
	stage_cpu_restore_syscall();
	stage_start(NULL);
}
