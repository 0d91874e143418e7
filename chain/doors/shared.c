/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "doors.h"

#include <string.h>

uint64_t door_after(uint64_t used, uint64_t bytes, uint64_t align)
{
	return ((used + align - 1) & ~(align - 1)) + bytes;
}

uint64_t door_put(struct door_block *block, const void *from, uint64_t bytes, uint64_t align)
{
	uint64_t at = door_after(block->used, 0, align);
	memset(block->buf + block->used, 0, at - block->used);
	if (bytes)
		memcpy(block->buf + at, from, bytes);
	block->used = at + bytes;
	return block->phys + at;
}

enum chain_status door_check_entry(const struct chain_kernel *kernel, const char *subject, struct chain_error *err)
{
	for (size_t i = 0; i < kernel->segment_count; i++)
		if (kernel->entry >= kernel->segments[i].phys.base && kernel->entry < kernel->segments[i].phys.end)
			return CHAIN_OK;
	return CHAIN_FAIL(err, ELF_BAD_ENTRY, .subject = subject, .entry = kernel->entry);
}

enum chain_status door_check_low(const struct chain_kernel *kernel, const char *subject, struct chain_error *err)
{
	for (size_t i = 0; i < kernel->segment_count; i++)
		if (kernel->segments[i].phys.end > CHAIN_4G)
			return CHAIN_FAIL(err, KERNEL_ABOVE_4G, .subject = subject, .segment = i,
					  .base = kernel->segments[i].phys.base, .end = kernel->segments[i].phys.end);
	return CHAIN_OK;
}

enum chain_status door_read_elf(const uint8_t *file, uint64_t file_bytes, const char *subject, struct chain_kernel *out,
				struct chain_error *err)
{
	struct chain_elf elf;
	enum chain_status status =
		chain_elf_read_kernel(&elf, file, file_bytes, subject, out->segments, &out->segment_count, err);
	if (!status)
		status = chain_elf_entry(&elf, out->segments, out->segment_count, &out->entry, err);
	return status ? status : door_check_low(out, subject, err);
}
