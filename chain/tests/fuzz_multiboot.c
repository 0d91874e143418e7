/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a kernel: the Multiboot 1 header, the segments it means, and what the file is taken for. */
#include "fuzz.h"

#include "chain/image.h"
#include "chain/multiboot.h"

static void check_header(const uint8_t *data, size_t size, uint64_t offset, const struct chain_mb1_header *header)
{
	FUZZ_HOLDS(offset % 4 == 0 && offset + 12 <= size && offset + 12 <= CHAIN_MB1_SEARCH_BYTES);
	FUZZ_HOLDS(header->magic == CHAIN_MB1_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0);
	FUZZ_HOLDS(chain_le32(data + offset + 4) == header->flags);
	if (!(header->flags & CHAIN_MB1_ADDRESSES))
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_error find_err = { 0 }, read_err = { 0 }, probe_err = { 0 };
	struct chain_multiboot_kernel kernel;
	struct chain_mb1_header header;
	enum chain_kernel_kind kind;
	uint64_t offset = 0;

	enum chain_status found = fuzz_status(chain_multiboot_find(data, size, "fuzz", &offset, &header, &find_err), &find_err);
	enum chain_status probed = fuzz_status(chain_kernel_probe(data, size, "fuzz", &kind, &probe_err), &probe_err);
	if (!found)
		check_header(data, size, offset, &header);
	FUZZ_HOLDS(!probed == (kind != CHAIN_KERNEL_UNKNOWN));
	FUZZ_HOLDS(strcmp(chain_kernel_kind_name(kind), "unknown") == 0 || !probed);
	/* Whatever has a header is a kernel; what has none is an image or a native kernel, or no kernel. */
	FUZZ_HOLDS(found || !probed);
	FUZZ_HOLDS(!found || found == CHAIN_E_MULTIBOOT_UNKNOWN_FLAG || probed || kind != CHAIN_KERNEL_MULTIBOOT1);
	if (!fuzz_status(chain_multiboot_kernel_read(&kernel, data, size, "fuzz", &read_err), &read_err)) {
		FUZZ_HOLDS(!found && kernel.header_offset == offset);
		check_kernel(&kernel, size);
	}
	return 0;
}
