/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what multiboot2.c and multiboot2_info.c share. Not for others. */
#ifndef CHAIN_DOORS_MULTIBOOT2_H
#define CHAIN_DOORS_MULTIBOOT2_H

#include "doors.h"

enum { MB2_INFO_TAG_LAST = 21 };

/* Section 3.1: a header with its tags. */
struct mb2_header {
	uint64_t offset; /* in the file */
	uint32_t wanted; /* information that is required, a bit for each tag's number */
	bool has_address, has_entry, align_modules, relocatable;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	uint32_t min_addr, max_addr, align, preference;
	struct chain_video_request video;
};

/* CHAIN_E_MB2_NO_HEADER, _ARCHITECTURE, _HEADER_CUT, _TAG (of a size that can't be), _REQUIRED (a tag that is not
 * known), _REQUEST. */
enum chain_status mb2_header_read(const uint8_t *file, uint64_t file_bytes, const char *subject, struct mb2_header *out,
				  struct chain_error *err) CHAIN_MUST_CHECK;

enum chain_status mb2_info_bytes(const struct chain_door_info *info, uint64_t *out,
				 struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status mb2_info_build(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
				 struct chain_error *err) CHAIN_MUST_CHECK;
bool mb2_info_texts(const uint8_t *made, uint64_t made_bytes, uint64_t phys, struct chain_range handoff,
		    struct chain_door_texts *out);

#endif
