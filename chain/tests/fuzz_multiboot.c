/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a kernel: the Multiboot 1 header, the segments it means, what the file is taken for,
 * and the memory that it is called in where its addresses say. */
#include "fuzz.h"

#include "chain/fixed.h"
#include "chain/guest.h"
#include "chain/image.h"
#include "chain/multiboot.h"

static void check_header(const uint8_t *data, size_t size, uint64_t offset, const struct multiboot_header *header)
{
	FUZZ_HOLDS(offset % 4 == 0 && offset + 12 <= size && offset + 12 <= MULTIBOOT_SEARCH);
	FUZZ_HOLDS(header->magic == MULTIBOOT_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0);
	FUZZ_HOLDS(chain_le32(data + offset + 4) == header->flags);
	if (!(header->flags & MULTIBOOT_AOUT_KLUDGE))
		FUZZ_HOLDS(!header->load_addr && !header->bss_end_addr && !header->entry_addr);
}

static void check_kernel(const struct chain_multiboot_kernel *kernel, size_t size)
{
	const struct chain_reader file = { NULL, size, "" };
	size_t inside = 0;
	FUZZ_HOLDS(kernel->segment_count > 0 && kernel->segment_count <= CHAIN_SEGMENTS_MAX);
	for (size_t i = 0; i < kernel->segment_count; i++) {
		const struct chain_segment *s = &kernel->segments[i];
		FUZZ_HOLDS(s->phys.base < s->phys.end && s->phys.end <= (uint64_t)1 << 32);
		FUZZ_HOLDS(chain_range_bytes(s->phys) == chain_range_bytes(s->virt));
		FUZZ_HOLDS(s->file_bytes <= chain_range_bytes(s->phys));
		FUZZ_HOLDS(!s->file_bytes || chain_reader_has(&file, s->file_offset, s->file_bytes));
		inside += kernel->entry >= s->phys.base && kernel->entry < s->phys.end;
		for (size_t j = 0; j < i; j++)
			FUZZ_HOLDS(!chain_range_overlaps(s->phys, kernel->segments[j].phys));
	}
	FUZZ_HOLDS(inside == 1);
}

/* All that a call writes lies in its window, which begins with the kernel, and its mailbox is no part of it. */
static void check_call(const struct chain_multiboot_kernel *kernel, const uint8_t *data, size_t size)
{
	static struct chain_bootinfo machine;
	struct chain_error err = { 0 };
	struct chain_fixed fixed;
	struct chain_guest guest;
	if (!machine.loader)
		FUZZ_HOLDS(!chain_bootinfo_qemu("pc", 64 << 20, 2, &machine, &err));
	if (fuzz_status(chain_fixed_place(chain_door_of_ours, data, size, 1 << 20, "fuzz", &fixed, &err), &err))
		return;
	FUZZ_HOLDS(chain_range_contains(fixed.window, fixed.mailbox) && chain_range_bytes(fixed.window) == 1 << 20);
	for (size_t i = 0; i < kernel->segment_count; i++)
		FUZZ_HOLDS(kernel->segments[i].phys.base >= fixed.window.base);
	if (fuzz_status(chain_fixed_check(&fixed, &machine, "fuzz", &err), &err))
		return;
	struct chain_guest_request request = { .subject = "fuzz",
					       .door = chain_door_of_ours,
					       .kernel = data,
					       .kernel_bytes = size,
					       .handoff_string = "kchain-handoff",
					       .handoff_at = CHAIN_HANDOFF_LAST,
					       .text_bytes = 100,
					       .fixed = &fixed,
					       .machine = &machine };
	if (fuzz_status(chain_guest_make(&request, &guest, &err), &err))
		return;
	FUZZ_HOLDS(guest.base == fixed.window.base && guest.base + guest.memory_bytes == fixed.mailbox.base);
	const struct chain_range memory = { guest.base, fixed.mailbox.base };
	for (size_t i = 0; i < guest.plan.move_count; i++)
		FUZZ_HOLDS(chain_range_contains(memory, guest.plan.moves[i].dest));
	uint8_t *bytes = malloc(guest.memory_bytes);
	FUZZ_HOLDS(bytes);
	chain_guest_part(&guest, guest.base, guest.memory_bytes, bytes);
	FUZZ_HOLDS(chain_guest_texts(&guest, bytes, "{}", 2, "a"));
	free(bytes);
	chain_guest_free(&guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_error find_err = { 0 }, read_err = { 0 }, probe_err = { 0 };
	struct chain_multiboot_kernel kernel;
	struct multiboot_header header;
	enum chain_kernel_kind kind;
	uint64_t offset = 0;

	enum chain_status found =
		fuzz_status(chain_multiboot_find(data, size, "fuzz", &offset, &header, &find_err), &find_err);
	enum chain_status probed = fuzz_status(chain_kernel_probe(data, size, "fuzz", &kind, &probe_err), &probe_err);
	if (!found)
		check_header(data, size, offset, &header);
	FUZZ_HOLDS(!probed == (kind != CHAIN_KERNEL_UNKNOWN));
	FUZZ_HOLDS(strcmp(chain_kernel_kind_name(kind), "unknown") == 0 || !probed);
	enum chain_status read =
		fuzz_status(chain_multiboot_kernel_read(&kernel, data, size, "fuzz", &read_err), &read_err);
	/* Whatever has a header that says, itself or by the ELF headers, where the file goes is a kernel; what has none
	 * is an image or a native kernel, or no kernel. */
	FUZZ_HOLDS(found || !probed || read == CHAIN_E_ELF_BAD_MAGIC);
	FUZZ_HOLDS(!found || found == CHAIN_E_MULTIBOOT_UNKNOWN_FLAG || probed || kind != CHAIN_KERNEL_FOREIGN);
	if (!read) {
		FUZZ_HOLDS(!found && kernel.header_offset == offset);
		check_kernel(&kernel, size);
		check_call(&kernel, data, size);
	}
	return 0;
}
