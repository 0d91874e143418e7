/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A booted kernel's face: the machine is its own. */

#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/print.h"
#include "stage/runtime.h"

#include <stdlib.h>
#include <string.h>

struct kchain_call stage_no_call STAGE_BOOT_ONLY; /* never written to */

static char *result;
static uint64_t result_bytes;

static uint64_t phys_of(const void *virt)
{
	uint64_t v = (uint64_t)virt;
	if (v >= (uint64_t)stage_image_start && v < (uint64_t)stage_image_end)
		return stage_boot.image_phys + (v - (uint64_t)stage_image_start);
	if (v < KCHAIN_DIRECT_VIRT || v >= KCHAIN_WINDOW_VIRT)
		stage_panic("%#llx is no address of physical memory", (unsigned long long)v);
	return v - KCHAIN_DIRECT_VIRT;
}

STAGE_BOOT_TEXT static void *more_heap(uint64_t least_bytes, uint64_t *bytes)
{
	uint64_t phys = stage_pages_alloc(*bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	if (!phys) {
		*bytes = least_bytes;
		phys = stage_pages_alloc(least_bytes, STAGE_PAGE, CHAIN_OWNER_HEAP);
	}
	return phys ? stage_phys_to_virt(phys) : NULL;
}

static const void *fs(uint64_t *out_bytes)
{
	*out_bytes = stage_image_header.fs_bytes;
	return stage_phys_to_virt(stage_boot.image_phys + stage_image_header.fs_offset);
}

static const char *args(void)
{
	return stage_bootinfo()->cmdline ? stage_bootinfo()->cmdline : "";
}

/* Kept until it is recorded with the exit. */
STAGE_BOOT_TEXT static bool set_result(const char *json, uint64_t bytes)
{
	if (bytes > STAGE_RESULT_MAX)
		return false;
	char *copy = bytes ? malloc(bytes) : NULL; /* an empty one is none, as it is to a caller */
	if (bytes && !copy)
		return false;
	for (uint64_t i = 0; i < bytes; i++)
		copy[i] = (unsigned char)json[i] < ' ' ? ' ' :
							 json[i]; /* white space, or no JSON: a record has one line */
	free(result);
	result = copy;
	result_bytes = bytes;
	return true;
}

STAGE_BOOT_TEXT static void record_exit(int status)
{
	static char record[STAGE_RESULT_MAX + 64] STAGE_BOOT_ONLY;
	int used = stage_snprintf(record, sizeof(record), "{\"event\":\"exit\",\"status\":%d", status);
	if (result) {
		static const char key[] = ",\"result\":";
		memcpy(record + used, key, sizeof(key) - 1);
		used += (int)sizeof(key) - 1;
		memcpy(record + used, result, result_bytes);
		used += (int)result_bytes;
	}
	record[used++] = '}';
	stage_record(record, (uint64_t)used);
}

/* docs/RECORDS.md, "The exit port". The stage's own main says its verdict itself. */
static uint32_t verdict(int status)
{
	enum { OK = 0x10, CHILD_FAILED = 0x11, FAILED = 0x12, UNMET = 0x13 };
	if ((uint64_t)stage_image_start != KCHAIN_STAGE_VIRT)
		return status ? CHILD_FAILED : OK;
	return status >= OK && status <= UNMET ? (uint32_t)status : FAILED;
}

/* QEMU: isa-debug-exit where the command line added it, else the power management's sleep register where QEMU's
 * firmware puts it; known to be QEMU by CPUID's hypervisor leaf, else no port is guessed at. */
STAGE_BOOT_TEXT static void leave_emulator(int status)
{
	enum { DEBUG_EXIT = 0xf4, PM1A_CONTROL = 0x604, SLEEP_S5 = 0x2000 };
	if (!stage_is_under_hypervisor())
		return;
	struct stage_cpuid id = stage_cpuid(0x40000000, 0);
	if (memcmp(&id.b, "TCGTCGTCGTCG", 12) != 0 && memcmp(&id.b, "KVMKVMKVM\0\0\0", 12) != 0)
		return;
	stage_outl(DEBUG_EXIT, verdict(status));
	stage_outw(PM1A_CONTROL, SLEEP_S5);
}

STAGE_BOOT_TEXT static void leave(int status)
{
	record_exit(status);
	leave_emulator(status);
	stage_halt();
}

static uint64_t now_us(void)
{
	return stage_clock_us_at(stage_rdtsc());
}

const struct stage_face stage_booted_face = {
	.owns_machine = true,
	.direct_virt = KCHAIN_DIRECT_VIRT,
	.phys_of = phys_of,
	.take_pages = stage_claims_take,
	.free_pages = stage_claims_free,
	.more_heap = more_heap,
	.fs = fs,
	.mount = fs_mount,
	.args = args,
	.set_result = set_result,
	.exit = leave,
	.write = stage_console_put,
	.now_us = now_us,
	.idle = stage_clock_idle,
};
