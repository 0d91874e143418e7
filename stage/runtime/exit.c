/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The end of a program, and the result it leaves. */

#include "stage/boot.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_MAX = 64 * 1024 };

static char *result;
static uint64_t result_bytes;

bool stage_result_set(const char *json, uint64_t bytes)
{
	const struct kchain_call *call = stage_boot.call;
	if (bytes > (call ? call->mailbox_bytes : RESULT_MAX))
		return false;
	if (call) {
		memcpy((void *)call->mailbox, json, bytes);
		((struct kchain_call *)call)->mailbox_used = bytes; /* the one field that is ours to write */
		return true;
	}
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
	static char record[RESULT_MAX + 64] STAGE_BOOT_ONLY;
	int used = snprintf(record, sizeof(record), "{\"event\":\"exit\",\"status\":%d", status);
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
	enum { DEBUG_EXIT = 0xf4, PM1A_CONTROL = 0x604, SLEEP_S5 = 0x2000, HYPERVISOR = 31 };
	if (!(stage_cpuid(1, 0).c >> HYPERVISOR))
		return;
	struct stage_cpuid id = stage_cpuid(0x40000000, 0);
	if (memcmp(&id.b, "TCGTCGTCGTCG", 12) != 0 && memcmp(&id.b, "KVMKVMKVM\0\0\0", 12) != 0)
		return;
	stage_outl(DEBUG_EXIT, verdict(status));
	stage_outw(PM1A_CONTROL, SLEEP_S5);
}

_Noreturn void stage_exit(int status)
{
	if (stage_is_called()) {
		stage_service(KCHAIN_SERVICE_EXIT, (uint64_t)status, 0);
		__builtin_unreachable();
	}
	record_exit(status);
	leave_emulator(status);
	stage_halt();
}
