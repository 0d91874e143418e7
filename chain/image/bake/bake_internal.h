/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the files of this folder share: bake.c lays an image out, bake_stage.c has its stage, bake_manifest.c its
 * manifest, containers.c the forms of its file, bake_elf.c what those that are ELF files have in common. */
#ifndef CHAIN_BAKE_INTERNAL_H
#define CHAIN_BAKE_INTERNAL_H

#include "chain/bake.h"
#include "chain/elf.h"

enum { BAKE_BLOCK = 4096, BAKE_NOTE_ALIGN = 4 };

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
	/* The note that says where it is entered by PVH, moved as well; note_bytes 0: it has none. */
	uint64_t note_at; /* in bytes */
	uint64_t note_phys, note_bytes;
};
enum chain_status bake_stage_load(const struct chain_bake_request *request, struct bake_stage *out,
				  struct chain_error *err);
void bake_stage_free(struct bake_stage *stage);
/* CHAIN_E_BAKE_BAD_STAGE: `what` is wrong with it, and the number that shows it. */
enum chain_status bake_stage_bad(const struct chain_bake_request *request, const char *what, uint64_t number,
				 struct chain_error *err);

/* A form of an image's file. The contents lie in its middle: the stage (behind the head, or with the head in the place
 * of its own ELF headers), manifest and filesystem; the head comes before them, the tail behind. */
enum { BAKE_TAIL_MAX = 512 };
struct bake_container {
	const char *name;       /* as --format has it */
	const char *about;      /* what starts it, for people */
	const char *door;       /* by which protocol of chain/door.h such a file is started */
	const char *soonest_on; /* QEMU's machine that starts an image sooner in this form than in others; null: none */
	/* The least room that its head needs, for a stage of so many segments. At most BAKE_BLOCK. */
	uint64_t (*head_bytes)(size_t segment_count);
	/* Makes the stage's own headers those of this form. CHAIN_E_BAKE_BAD_STAGE where it lacks what they need. */
	enum chain_status (*adapt)(const struct chain_bake_request *request, struct bake_stage *stage,
				   struct chain_error *err);
	/* Head, and zeros behind it: exactly stage->elf_bytes, at most BAKE_BLOCK. */
	void (*head)(const struct chain_bake_result *layout, const struct bake_stage *stage, uint8_t *out);
	/* Writes the tail and returns its size, which depends on no address. */
	size_t (*tail)(const struct chain_bake_result *layout, uint8_t out[BAKE_TAIL_MAX]);
};
/* By its name, null: the first; null where there is none. */
const struct bake_container *bake_container_named(const char *name);

/* What differs between forms that are ELF files. */
struct bake_elf_form {
	bool is64;
	bool note; /* the stage's note is to be found by the file's headers */
};
/* What a head with so many rows of program headers takes: the stage's, two more, and one for the note. */
uint64_t bake_elf_least_bytes(size_t row_count, bool is64);
/* ELF headers, as struct bake_container has it. */
void bake_elf_head(const struct chain_bake_result *layout, const struct bake_stage *stage,
		   const struct bake_elf_form *form, uint8_t *out);
/* Section names and table, behind each other. */
size_t bake_elf_tail(const struct chain_bake_result *layout, const struct bake_elf_form *form,
		     uint8_t out[BAKE_TAIL_MAX]);

/* Where in the stage's first bytes the header of Multiboot 1 lies that a loader would take; false: there is none. */
bool bake_find_multiboot1(const uint8_t *bytes, uint64_t count, uint64_t *out);
/* The same of Multiboot 2, and its size. */
bool bake_find_multiboot2(const uint8_t *bytes, uint64_t count, uint64_t *out, uint64_t *out_bytes);

/* One file or link of the manifest. */
struct bake_entry {
	const char *path;
	uint64_t bytes;
	const uint8_t *digest; /* and the locator behind it, of a file */
	bool link;
};
struct bake_part_line {
	const char *name;
	uint64_t offset, bytes;
	uint8_t digest[CHAIN_LOCATED_BYTES];
};
enum { BAKE_PART_LINES = 4 };
/* Writes the text to `out` (null: only measures) and returns its size. */
uint64_t bake_manifest_write(const struct bake_part_line parts[BAKE_PART_LINES], const struct bake_entry *entries,
			     size_t count, char *out);

#endif
