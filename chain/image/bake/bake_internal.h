/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What bake.c, bake_stage.c, bake_elf.c and bake_manifest.c share. */
#ifndef CHAIN_BAKE_INTERNAL_H
#define CHAIN_BAKE_INTERNAL_H

#include "chain/bake.h"
#include "chain/elf.h"

enum { BAKE_BLOCK = 4096 };

/* The stage, moved to its base. */
struct bake_stage {
	uint8_t *bytes; /* owned: what of it lies in the file, segment behind segment */
	uint64_t bytes_count;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX]; /* phys: moved; file_offset: in the image */
	size_t segment_count;
	uint64_t memory_bytes;
	uint64_t entry;     /* physical */
	uint64_t header_at; /* of struct chain_image_header in bytes */
	/* Where its bytes lie in the file. A stage that is loaded with its own ELF headers first gives their place to
	 * the image's, and begins the file; any other comes behind a block of headers. */
	uint64_t file_base;
	uint64_t elf_bytes; /* room for the ELF headers */
};
enum chain_status bake_stage_load(const struct chain_bake_request *request, struct bake_stage *out,
				  struct chain_error *err);
void bake_stage_free(struct bake_stage *stage);

/* What ELF headers take around a stage of so many segments. */
uint64_t bake_elf_least_bytes(size_t segment_count);
/* ELF headers, and zeros behind them: exactly stage->elf_bytes, at most BAKE_BLOCK. */
void bake_elf_headers(const struct chain_bake_result *layout, const struct bake_stage *stage, uint8_t *out);
/* Section names and table, behind each other: writes and returns their size, at most BAKE_SECTIONS_MAX. */
enum { BAKE_SECTIONS_MAX = 512 };
size_t bake_elf_sections(const struct chain_bake_result *layout, uint8_t out[BAKE_SECTIONS_MAX]);

/* One file or link of the manifest. */
struct bake_entry {
	const char *path;
	uint64_t bytes;
	const uint8_t *sha256;
	bool link;
};
struct bake_part_line {
	const char *name;
	uint64_t offset, bytes;
	uint8_t sha256[CHAIN_SHA256_BYTES];
};
enum { BAKE_PART_LINES = 4 };
/* Writes the text to `out` (null: only measures) and returns its size. */
uint64_t bake_manifest_write(const struct bake_part_line parts[BAKE_PART_LINES], const struct bake_entry *entries,
			     size_t count, char *out);

#endif
