/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/native_kernel.h"

#include <string.h>

enum { PAGE = 4096, STACK_BYTES = 32 * 1024, MAILBOX_BYTES = 16 * 1024 };

static enum chain_status read_note(const struct chain_elf *elf, struct kchain_native_note *out, struct chain_error *err)
{
	const uint8_t *desc;
	uint64_t desc_bytes;
	enum chain_status status =
		chain_elf_find_note(elf, KCHAIN_NOTE_NAME, KCHAIN_NOTE_NATIVE, &desc, &desc_bytes, err);
	if (status)
		return status;
	if (desc_bytes < sizeof(*out))
		return CHAIN_FAIL(err, CALL_NOTE, .subject = elf->reader.subject, .bytes = desc_bytes,
				  .wanted = sizeof(*out));
	memcpy(out, desc, sizeof(*out));
	if (out->abi != KCHAIN_NATIVE_ABI)
		return CHAIN_FAIL(err, CALL_ABI, .subject = elf->reader.subject, .abi = out->abi,
				  .understood = KCHAIN_NATIVE_ABI);
	return CHAIN_OK;
}

/* Keeps what a called kernel has. Virtual ranges are whole and don't wrap (elf.h). */
static enum chain_status keep_segments(struct chain_native_kernel *kernel, const char *subject, struct chain_error *err)
{
	const struct chain_range room = { KCHAIN_NATIVE_VIRT, KCHAIN_ENTRY_VIRT };
	size_t count = 0;
	for (size_t i = 0; i < kernel->segment_count; i++) {
		const struct chain_segment *s = &kernel->segments[i];
		if (s->flags & KCHAIN_SEGMENT_BOOT_ONLY)
			continue;
		if (s->virt.base % PAGE || !chain_range_contains(room, s->virt))
			return CHAIN_FAIL(err, CALL_SEGMENT, .subject = subject, .base = s->virt.base,
					  .bytes = chain_range_bytes(s->virt), .range_base = KCHAIN_NATIVE_VIRT);
		kernel->segments[count++] = *s;
	}
	kernel->segment_count = count;
	return CHAIN_OK;
}

enum chain_status chain_native_read(struct chain_native_kernel *out, const uint8_t *file, uint64_t file_bytes,
				    const char *subject, struct chain_error *err)
{
	struct chain_elf elf;
	enum chain_status status =
		chain_elf_read_kernel(&elf, file, file_bytes, subject, out->segments, &out->segment_count, err);
	if (!status)
		status = chain_elf_check_virtual(&elf, out->segments, out->segment_count, err);
	if (!status)
		status = read_note(&elf, &out->note, err);
	return status ? status : keep_segments(out, subject, err);
}

bool chain_native_is_shared(const struct chain_segment *segment)
{
	return !(segment->flags & CHAIN_ELF_PF_W) && segment->file_bytes == chain_range_bytes(segment->virt);
}

static uint64_t add(uint64_t sum, uint64_t bytes)
{
	uint64_t pages, total;
	if (__builtin_add_overflow(bytes, (uint64_t)(PAGE - 1), &pages) ||
	    __builtin_add_overflow(sum, pages / PAGE * PAGE, &total))
		return UINT64_MAX;
	return total;
}

uint64_t chain_native_least_bytes(const struct chain_native_kernel *kernel, uint64_t cpus)
{
	uint64_t sum = MAILBOX_BYTES;
	for (size_t i = 0; i < kernel->segment_count; i++)
		if (!chain_native_is_shared(&kernel->segments[i]))
			sum = add(sum, chain_range_bytes(kernel->segments[i].virt));
	for (uint64_t cpu = 0; cpu < (cpus ? cpus : 1); cpu++)
		sum = add(sum, kernel->note.stack_bytes ? kernel->note.stack_bytes : STACK_BYTES);
	return add(sum, kernel->note.heap_bytes);
}
