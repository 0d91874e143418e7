/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The running stage by its linker's symbols (stage/boot/kernel.ld). All but its data is as the loader left it; of that
 * the entry code kept a copy. */

#include "stage/self.h"

#include "stage/boot.h"

extern const uint8_t stage_text_end[], stage_rodata_start[], stage_rodata_file_end[], stage_data_start[],
	stage_data_file_end[], stage_data_end[], stage_boot_start[], stage_entry32[], stage_data_copy[];

static uint64_t phys_of(const uint8_t *virt)
{
	return stage_boot.image_phys + (uint64_t)(virt - stage_image_start);
}

enum chain_status stage_self(struct chain_self *out, const struct chain_image *image, struct chain_error *err)
{
	static const struct {
		const uint8_t *start, *file_end, *end, *copy;
	} segments[] = {
		{ stage_image_start, stage_text_end, stage_text_end, NULL },
		{ stage_rodata_start, stage_rodata_file_end, stage_rodata_file_end, NULL },
		{ stage_data_start, stage_data_file_end, stage_data_end, stage_data_copy },
		{ stage_boot_start, stage_boot_start, stage_image_end, NULL },
	};
	*out = (struct chain_self){ .entry = phys_of(stage_entry32) };
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < sizeof(segments) / sizeof(segments[0]); i++) {
		uint64_t phys = phys_of(segments[i].start);
		const struct chain_blob blob = {
			segments[i].copy ? segments[i].copy : segments[i].start,
			(uint64_t)(segments[i].file_end - segments[i].start),
			segments[i].copy ? CHAIN_PHYS_UNKNOWN : phys,
		};
		status = chain_self_add(out, phys, (uint64_t)(segments[i].end - segments[i].start), &blob, false, err);
	}
	return status ? status : chain_self_add_contents(out, image, stage_boot.image_phys, err);
}
