/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* An ELF64 file with the note that PVH has for its entry (Xen's docs/misc/pvh.pandoc), as QEMU, Firecracker and Cloud
 * Hypervisor start it; the latter two read no ELF32. It has no Multiboot header, since QEMU prefers that where both are
 * there. Its entry point is still the one for Multiboot, which nobody finds but `kchain run`. */
#include "bake_internal.h"

#include <string.h>

static const struct bake_elf_form form = { .is64 = true, .note = true };

static uint64_t head_bytes(size_t segment_count)
{
	return bake_elf_least_bytes(segment_count + 3, form.is64);
}

static enum chain_status adapt(const struct chain_bake_request *request, struct bake_stage *stage,
			       struct chain_error *err)
{
	enum { MB1_BYTES = 32 };
	uint64_t at, bytes;

	if (stage->note_bytes == 0)
		return bake_stage_bad(request, "no note with a PVH entry point", 0, err);
	while (bake_find_multiboot1(stage->bytes, stage->bytes_count, &at))
		memset(stage->bytes + at, 0, MB1_BYTES);
	while (bake_find_multiboot2(stage->bytes, stage->bytes_count, &at, &bytes))
		memset(stage->bytes + at, 0, bytes > sizeof(uint32_t) ? (size_t)bytes : sizeof(uint32_t));
	return CHAIN_OK;
}

static void head(const struct chain_bake_result *layout, const struct bake_stage *stage, uint8_t *out)
{
	bake_elf_head(layout, stage, &form, out);
}

static size_t tail(const struct chain_bake_result *layout, uint8_t out[BAKE_TAIL_MAX])
{
	return bake_elf_tail(layout, &form, out);
}

const struct bake_container bake_container_pvh = {
	.name = "pvh",
	.about = "QEMU (in less time and memory), Firecracker and Cloud Hypervisor start it",
	.door = "pvh",
	.soonest_on = "microvm",
	.head_bytes = head_bytes,
	.adapt = adapt,
	.head = head,
	.tail = tail,
};
