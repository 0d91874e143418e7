/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: laying out an image (docs/IMAGE.md): the stage moved to its base, manifest, filesystem, the head and tail of
 * one of several forms around them, with all digests filled in. Must not know: pipelines, directories of the host, how
 * the output is written. Host only. No I/O of its own.
 *
 * The same request gives the same bytes. The data of a file goes through once; memory grows with the number of files,
 * not with their size. */
#ifndef CHAIN_BAKE_H
#define CHAIN_BAKE_H

#include "chain/verity.h"
#include "abi/image_format.h"
#include "fs/write.h"

/* Where an image goes unless it is told otherwise: the least machine still has memory there. */
#define CHAIN_BAKE_BASE 0x100000u
/* Of one with a root, which is large: UEFI firmware keeps places between 8 and 16 MiB. */
#define CHAIN_BAKE_ROOT_BASE 0x1000000u

/* The forms that an image's file can have, by name, the default first; null behind the last. */
const char *chain_bake_format_name(size_t index);
/* What starts a file of that form, as a clause; of an index that has a name. */
const char *chain_bake_format_about(size_t index);
/* That in which QEMU's `machine` starts an image soonest and with the least memory; null: the first, by which GRUB and
 * the like enter it. */
const char *chain_bake_format_soonest(const char *machine);
/* The form of an image's file. Null: no loader would take it, its headers being damaged. */
const char *chain_bake_format_of(const void *bytes, uint64_t bytes_count);

/* All borrowed for the call. */
struct chain_bake_request {
	const char *name;   /* the pipeline's; null: none */
	const char *format; /* of the image's file: one of chain_bake_format_name; null: the first */
	uint64_t base;      /* physical; a multiple of 4096, at least 1 MiB */
	/* Null, or the path of a file that a kernel is to use where it lies: it gets a section of its own in the file,
	 * and the base is raised as far as it takes for it to lie at or above `root_floor`. */
	const char *root;
	uint64_t root_floor;
	uint32_t flags;    /* CHAIN_IMAGE_FLAG_* */
	const void *stage; /* ELF file of the stage, a kernel of our runtime */
	uint64_t stage_bytes;
	const char *stage_subject;   /* names it in errors */
	const struct fs_spec *specs; /* what the filesystem holds; files, folders and links. A spec's digest, where
				      * given, is checked against the data as it goes through */
	size_t spec_count;
	fs_source *source; /* bytes of files; gets the caller's spec */
	fs_sink *sink;     /* bytes of the image; file data in ascending order, small pieces in any order. What is
			    * never written is zero; the last byte is always written */
	fs_place *place;   /* null, or as fs/write.h says, the offset being one of the image file; what it says of a
			    * file whose digest is given has to be the same */
	/* Null, or hears of each file and link where its bytes came to lie in the image file, and its digest. */
	void (*placed)(void *ctx, const struct fs_spec *spec, uint64_t offset,
		       const uint8_t digest[CHAIN_LOCATED_BYTES]);
	void *ctx; /* for all of them */
};

enum chain_bake_part_kind {
	CHAIN_BAKE_ELF,
	CHAIN_BAKE_STAGE,
	CHAIN_BAKE_MANIFEST,
	CHAIN_BAKE_FS_META,
	CHAIN_BAKE_FILES,
	CHAIN_BAKE_SECTIONS,
	CHAIN_BAKE_PART_COUNT
};
const char *chain_bake_part_name(enum chain_bake_part_kind kind);

struct chain_bake_result {
	uint8_t id[CHAIN_SHA256_BYTES];
	struct chain_image_header header;
	struct chain_bake_part {
		uint64_t offset, bytes, phys, memory_bytes;
	} parts[CHAIN_BAKE_PART_COUNT]; /* phys 0: not loaded */
	struct chain_bake_part root;    /* where the request's root lies; bytes 0: none */
	uint64_t file_bytes;
	uint64_t memory_end;    /* physical */
	uint64_t entry;         /* physical */
	uint64_t entry_count;   /* files and links */
	uint64_t content_bytes; /* of all files, shared ones counted once each */
	uint64_t shared_bytes;  /* how many of these are stored elsewhere already */
};

/* CHAIN_E_BAKE_BAD_STAGE, _FORMAT, _BAD_BASE, _TOO_LARGE, _NAME, _PATH, _CHANGED; errors of elf.h about the stage, of
 * fs/write.h about the specs, and whatever source and sink return. After a failure what the sink received is worthless.
 */
enum chain_status chain_bake(const struct chain_bake_request *request, struct chain_bake_result *out,
			     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
