/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A called kernel's face: what it has is its window, and what is said in its block. */

#include "stage/boot.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/runtime.h"

#include <string.h>

static uint64_t phys_of(const void *virt)
{
	return (uint64_t)virt;
}

static enum chain_status take_pages(uint64_t bytes, uint64_t align, uint64_t end, enum chain_owner owner,
				    const char *subject, uint64_t *out_phys, struct chain_error *err)
{
	(void)end;
	(void)owner;
	*out_phys = align <= STAGE_PAGE ? (uint64_t)stage_heap_map(bytes) : 0;
	return *out_phys ? CHAIN_OK : chain_fail_no_memory(err, subject, bytes);
}

static bool free_pages(uint64_t phys, uint64_t bytes)
{
	return stage_heap_unmap((void *)phys, bytes);
}

/* All that it has, when it first asks: one that never does writes to no page for it. */
static void *more_heap(uint64_t least_bytes, uint64_t *bytes)
{
	static bool handed_out;
	(void)least_bytes;
	if (handed_out)
		return NULL;
	handed_out = true;
	*bytes = stage_boot.call->heap_bytes;
	return (void *)stage_boot.call->heap;
}

static const void *fs(uint64_t *out_bytes)
{
	*out_bytes = stage_boot.call->fs_bytes;
	return (const void *)stage_boot.call->fs;
}

static const char *args(void)
{
	return (const char *)stage_boot.call->args;
}

static bool set_result(const char *json, uint64_t bytes)
{
	const struct kchain_call *call = stage_boot.call;
	if (bytes > call->mailbox_bytes)
		return false;
	memcpy((void *)call->mailbox, json, bytes);
	((struct kchain_call *)call)->mailbox_used = bytes; /* the one field that is ours to write */
	return true;
}

static void leave(int status)
{
	stage_service(KCHAIN_SERVICE_EXIT, (uint64_t)status, 0);
	__builtin_unreachable();
}

static void write(const char *bytes, uint64_t count)
{
	char copy[256]; /* the caller takes bytes from the window only; ours may be in the image */
	while (count) {
		uint64_t piece = count < sizeof(copy) ? count : sizeof(copy);
		memcpy(copy, bytes, piece);
		if (stage_service(KCHAIN_SERVICE_WRITE, (uint64_t)copy, piece) != piece)
			return;
		bytes += piece;
		count -= piece;
	}
}

static uint64_t now_us(void)
{
	return stage_service(KCHAIN_SERVICE_CLOCK, 0, 0);
}

/* The timer is its caller's. */
static void idle(void)
{
	stage_pause();
}

const struct stage_face stage_called_face = {
	.phys_of = phys_of,
	.take_pages = take_pages,
	.free_pages = free_pages,
	.more_heap = more_heap,
	.fs = fs,
	.mount = fs_mount_verified, /* its caller has done the rest */
	.args = args,
	.set_result = set_result,
	.exit = leave,
	.write = write,
	.now_us = now_us,
	.idle = idle,
};
